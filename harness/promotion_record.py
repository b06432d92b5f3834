"""A promotion's decision as it stands beside its run, for those that print or file it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from harness.digests import digest_value
from harness.errors import LedgerError

RECORD: Final = "promotion.json"
PLACE: Final = Path("gate") / RECORD
"""Where a run folder holds its own."""


def read_promotion(path: Path) -> dict[str, Any]:
    """The decision that `harness gate --policy` wrote, as plain values.

    Its digest shows a change by accident; who promotes decides again from the evidence.

    Raises:
        LedgerError: it cannot be read, or was changed.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        stated = {key: value for key, value in record.items() if key != "digest"}
        whole = digest_value(stated) == record["digest"]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise LedgerError(f"{path}: not a readable decision ({error}); give harness gate again") from None
    if not whole:
        raise LedgerError(f"{path}: was changed after it was written; give harness gate again")
    return record
