"""The end of a shadow deployment, as its log has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chain import Chain
from harness.errors import LedgerError
from harness.status import Status


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """What was decided, of whom."""

    status: Status
    candidate: str
    """Content digest of the new model's candidate; "" where the configuration did not name it."""
    production: str
    """Content digest of the candidate in production; "" likewise."""
    terms: str
    """Digest of what was asked of the new model; see `ShadowConfig.terms`."""
    digest: str
    """Of the log's entry that holds the verdict."""
    reason: str
    """One sentence."""


def read_shadow(folder: Path) -> ShadowResult:
    """The verdict of a shadow deployment that is over, from its log.

    Raises:
        LedgerError: there is none, it is not over, or the log was changed.
    """
    if not (folder / "log.jsonl").exists():
        raise LedgerError(f"{folder}: no shadow deployment here; make one with: harness shadow")
    entries = list(Chain(folder / "log.jsonl").entries())
    last: dict[str, Any] = entries[-1] if entries else {}
    if not entries or entries[0].get("kind") != "shadow":
        raise LedgerError(f"{folder}: no shadow deployment here; its log is of something else")
    if last["event"] != "verdict":
        raise LedgerError(f"{folder}: the shadow deployment is not over; give its command again")
    return ShadowResult(
        status=Status(last["status"]),
        candidate=entries[0]["shadow"]["candidate"],
        production=entries[0]["production"]["candidate"],
        terms=entries[0].get("terms", ""),
        digest=last["digest"],
        reason=last["reason"],
    )
