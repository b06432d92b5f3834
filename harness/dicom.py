"""pydicom, kept from repeating what it reads."""

from __future__ import annotations

import functools
import logging
import warnings
from typing import Any


def load_pydicom() -> Any:
    """The package pydicom. From here on its log and its warnings, which quote values of files, are dropped.

    They are so for the whole process: `warnings.catch_warnings` does not hold while other threads read too.

    Raises:
        ImportError: it is not installed.
    """
    import pydicom

    _silence()
    return pydicom


@functools.cache
def _silence() -> None:
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module=r"pydicom\b")
