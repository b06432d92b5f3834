"""Where the suites, dossier templates and checkpoints lie, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).parent
_CHECKOUT = {"suites": "suites", "reports": "reports", "checkpoints": "fixtures/checkpoints"}


def data_path(kind: Literal["suites", "reports", "checkpoints"]) -> Path:
    """The folder of what comes with the package."""
    packed = _PACKAGE / "_data" / kind
    return packed if packed.is_dir() else _PACKAGE.parent / _CHECKOUT[kind]
