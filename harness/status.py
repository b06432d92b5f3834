"""PASS, FAIL or NOT EVALUATED: what one confidence bound says of one threshold."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from harness.suite import Criterion

OneSided = Literal["lower", "upper"]
_SIGNS = {"above": ">", "at_least": "≥", "below": "<", "at_most": "≤"}


class Status(StrEnum):
    """Three-valued. NOT EVALUATED is never a kind of PASS."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    NOT_EVALUATED = "NOT EVALUATED"

    @property
    def exit_code(self) -> int:
        """0, 1 or 3: what the command line ends with."""
        return {Status.PASS: 0, Status.FAIL: 1, Status.NOT_EVALUATED: 3}[self]

    @staticmethod
    def whole(parts: Iterable[Status]) -> Status:
        """FAIL if any part failed, else NOT EVALUATED if any was not (or there is none), else PASS."""
        found = set(parts)
        if Status.FAIL in found:
            return Status.FAIL
        return Status.PASS if found == {Status.PASS} else Status.NOT_EVALUATED


@dataclass(frozen=True, slots=True)
class GroupDecision:
    """One group (or, for a gap, one slice) of a criterion over groups, and what follows for it."""

    group: str
    """`sex=F`; for a gap `sex: M - F`, the two groups furthest apart."""
    status: Status
    estimate: float | None
    low: float | None
    high: float | None
    bound: float | None
    confidence: float | None
    """Of the bound: by Holm's procedure the more groups there are, the higher."""
    numerator: int | None
    denominator: int | None
    n_studies: int
    n_patients: int
    reason: str


class Judged(Protocol):
    """What a criterion is decided on: an `Estimate`, or the gap between several."""

    @property
    def reason(self) -> str:
        """Why it is undefined; empty where it is not."""

    def bound(self, side: OneSided, confidence: float) -> float:
        """A one-sided bound; NaN where it is undefined."""

    def best_bound(self, side: OneSided, confidence: float) -> float:
        """The bound of a perfect result on the same studies; NaN where there is no telling."""


def status_of(criterion: Criterion, judged: Judged | None, confidence: float) -> tuple[Status, str]:
    """The status, and one sentence why.

    NOT EVALUATED where the bound is undefined, or where not even a perfect result on these studies
    could have met the criterion and they do not contradict it either.
    """
    if judged is None:
        return Status.NOT_EVALUATED, f"no study in {criterion.slice or 'all studies'}"
    bound = judged.bound(criterion.side, confidence)
    if math.isnan(bound):
        return Status.NOT_EVALUATED, judged.reason or "the bound is undefined"
    words = f"{criterion.side} {100 * confidence:.4g}% bound {bound:.4f}"
    relation = f"{_SIGNS[criterion.comparison]} {criterion.threshold:g}"
    if holds(criterion, bound):
        return Status.PASS, f"{words} {relation}"
    reason = f"{words} is not {relation}"
    best = judged.best_bound(criterion.side, confidence)
    if not math.isnan(best) and not holds(criterion, best):
        opposite = judged.bound("upper" if criterion.side == "lower" else "lower", confidence)
        if holds(criterion, opposite):
            return Status.NOT_EVALUATED, (
                f"too few: even a perfect result could not reach {relation} ({reason})"
            )
    return Status.FAIL, reason


def holds(criterion: Criterion, bound: float) -> bool:
    """Whether a bound meets the threshold; NaN never does."""
    threshold = criterion.threshold
    return {
        "above": bound > threshold,
        "at_least": bound >= threshold,
        "below": bound < threshold,
        "at_most": bound <= threshold,
    }[criterion.comparison]


def finite(number: float) -> float | None:
    """The number; None where it is NaN or infinite."""
    return number if math.isfinite(number) else None
