"""Waivers: a person takes a failed condition on, by name, with a reason and until a day."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from harness.promotion.condition import Condition
from harness.status import Status

LONGEST: Final = timedelta(days=180)
"""A waiver is in force no longer than this; what is still wrong then is decided anew."""


def _told(value: str) -> str:
    if not value.strip():
        raise ValueError("must say something")
    return value


def _day(value: Any) -> Any:
    if type(value) is not date:
        raise ValueError("must be a day, such as 2026-12-31, without quotes or time")
    return value


Text = Annotated[str, Field(max_length=2000), AfterValidator(_told)]
Day = Annotated[date, BeforeValidator(_day)]


class Waiver(BaseModel):
    """One failed condition of one candidate that does not block, while the waiver is in force.

    Only what FAILED can be waived: never what was not evaluated, never critical sensitivity, never
    evidence or protocol.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    condition: Text
    """The id of the condition, as the gate prints it."""
    candidate: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Content digest of the candidate that it is for, as the gate prints it; for no other."""
    by: Text
    """Who takes it on, by name."""
    reason: Text
    granted: Day
    """In force from this day, UTC."""
    expires: Day
    """The last day on which it is in force, UTC."""

    @model_validator(mode="after")
    def _in_order(self) -> Waiver:
        if self.expires < self.granted:
            raise ValueError(f"expires on {self.expires}, before it is granted on {self.granted}")
        if self.expires - self.granted > LONGEST:
            raise ValueError(f"is in force for more than {LONGEST.days} days; grant it anew when it expires")
        return self


@dataclass(frozen=True, slots=True)
class WaiverState:
    """What a waiver does on the day of the decision."""

    waiver: Waiver
    applied: bool
    told: str
    """One sentence: what it does, or why nothing."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.waiver.model_dump(mode="json"), "applied": self.applied, "told": self.told}


def apply_waivers(
    conditions: Sequence[Condition], waivers: Sequence[Waiver], candidate: str, today: date
) -> tuple[tuple[Condition, ...], tuple[WaiverState, ...]]:
    """The conditions with those lifted that may be, and what became of each waiver.

    Args:
        conditions: as the evidence decides them.
        waivers: of the policy; where two are for one condition the first in force lifts it.
        candidate: digest of the one that is judged.
        today: in UTC.
    """
    found = {condition.id: condition for condition in conditions}
    states = []
    for waiver in waivers:
        condition = found.get(waiver.condition)
        idle = _idle(waiver, condition, list(found), today)
        if not idle and waiver.candidate != candidate:
            idle = f"it is for candidate {waiver.candidate[:12]}, not for {candidate[:12]}"
        if idle or condition is None:
            states.append(WaiverState(waiver, False, f"does nothing: {idle}"))
            continue
        found[condition.id] = replace(condition, waiver=waiver)
        told = f"in force until {waiver.expires}; the condition fails: {condition.reason}"
        states.append(WaiverState(waiver, True, told))
    return tuple(found.values()), tuple(states)


def _idle(waiver: Waiver, condition: Condition | None, known: Sequence[str], today: date) -> str:
    """Why a waiver does nothing; empty where it lifts its condition."""
    if condition is None:
        near = difflib.get_close_matches(waiver.condition, known, n=1)
        return "there is no such condition" + (f"; did you mean {near[0]}?" if near else "")
    if today < waiver.granted:
        return f"it is not in force before {waiver.granted}"
    if today > waiver.expires:
        return f"it expired on {waiver.expires}"
    if condition.fixed:
        return condition.fixed
    if condition.waiver is not None:
        return "another waiver lifts the condition already"
    if condition.status is Status.NOT_EVALUATED:
        return "what was not evaluated cannot be waived"
    return "" if condition.status is Status.FAIL else "the condition is met without it"
