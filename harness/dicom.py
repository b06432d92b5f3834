"""pydicom, kept from repeating what it reads; unique identifiers."""

from __future__ import annotations

import functools
import logging
import re
import warnings
from typing import Any, Final

UID: Final = r"^[012](\.(0|[1-9][0-9]*))+$"
"""A DICOM unique identifier (PS3.5, section 9.1), at most 64 characters."""


def is_uid(text: str) -> bool:
    """Whether it has the form of a unique identifier; an Accession Number or Study ID has not."""
    return re.fullmatch(UID, text) is not None


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
