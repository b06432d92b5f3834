"""One condition of a promotion, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.status import Status

if TYPE_CHECKING:
    from harness.promotion.waivers import Waiver


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold before a candidate may be promoted."""

    id: str
    """What waivers call it, such as `regulatory.laterality`."""
    section: str
    """The key of the policy that asks for it; "" for what every policy asks."""
    status: Status
    """By the evidence alone; a waiver does not change it."""
    reason: str
    fixed: str = ""
    """Why no waiver can lift it; empty where one can."""
    stated: bool = False
    """Met by a signed statement of the policy in place of evidence."""
    waiver: Waiver | None = None
    """The one that lifts it, where it failed."""

    @property
    def counted(self) -> Status:
        """What it counts as in the whole: PASS where its failure is waived."""
        return Status.PASS if self.waiver is not None else self.status

    @property
    def word(self) -> str:
        """PASS, FAIL, NOT EVALUATED, WAIVED, or STATED: a waived condition is never shown as passed."""
        if self.waiver is not None:
            return "WAIVED"
        return "STATED" if self.stated else self.status.value

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "id": self.id,
            "section": self.section,
            "status": self.status.value,
            "word": self.word,
            "reason": self.reason,
            "waiver": None if self.waiver is None else self.waiver.model_dump(mode="json"),
        }
