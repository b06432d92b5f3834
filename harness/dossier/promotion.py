"""What the dossier prints of a promotion decided beside its run: waivers above all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import LedgerError
from harness.promotion_record import PLACE, read_promotion


def promotion(run: Path, ledger: str) -> dict[str, Any] | None:
    """The decision that stands in the run folder, as it was written; None where there is none.

    Args:
        run: the run folder.
        ledger: its ledger digest; a decision on other evidence is not printed.
    """
    path = run / PLACE
    if not path.exists():
        return None
    try:
        record = read_promotion(path)
    except LedgerError as error:
        return {"problem": str(error)}
    if record["ledger"] != ledger:
        return {"problem": f"{path}: was decided on other evidence than this run; give harness gate again"}
    return {"problem": "", **record}
