"""The decision: PASS, FAIL or NOT EVALUATED for each criterion and for the whole."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from harness.estimates import Estimate
from harness.inference import proportion_interval
from harness.suite import Criterion, Suite


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
class Decision:
    """One criterion, what was measured, and what follows."""

    id: str
    status: Status
    measure: str
    value: str
    slice: str | None
    comparison: str
    threshold: float
    side: str
    confidence: float
    """Of the one-sided bound."""
    bound: float | None
    estimate: float | None
    low: float | None
    high: float | None
    numerator: int | None
    denominator: int | None
    n_studies: int
    n_patients: int
    method: str
    signature: str
    reason: str
    """One sentence: why this status."""
    requirement: str
    rationale: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All decisions, and the whole."""

    status: Status
    decisions: tuple[Decision, ...]
    reasons: tuple[str, ...]
    """What keeps the whole from PASS besides the criteria."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, for results.json."""
        return {
            "status": self.status.value,
            "exit_code": self.status.exit_code,
            "reasons": list(self.reasons),
            "decisions": [asdict(decision) for decision in self.decisions],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Verdict:
        """The verdict that `as_json` wrote. The whole is worked out again from its parts."""
        decisions = tuple(
            Decision(**{**item, "status": Status(item["status"])}) for item in record["decisions"]
        )
        reasons = tuple(record["reasons"])
        return cls(_whole(decisions, reasons), decisions, reasons)


def decide(suite: Suite, estimates: Sequence[Estimate], studies: int) -> Verdict:
    """Judges every criterion of the suite on the estimates of a run over so many studies."""
    reasons = []
    wanted = suite.cohort.studies
    if wanted is not None and studies < wanted:
        reasons.append(
            f"The suite asks for {wanted:,} studies and the cohort gave {studies:,}: "
            "nothing can pass on fewer."
        )
    found = {(item.measure, item.value, item.slice): item for item in estimates}
    decisions = []
    for criterion in suite.criteria:
        estimate = found.get((criterion.measure, criterion.value, criterion.slice))
        confidence = criterion.confidence or suite.inference.confidence
        decisions.append(_decide(criterion, estimate, confidence, short=bool(reasons)))
    return Verdict(_whole(decisions, reasons), tuple(decisions), tuple(reasons))


def _whole(decisions: Sequence[Decision], reasons: Sequence[str]) -> Status:
    parts = [decision.status for decision in decisions]
    return Status.whole([*parts, *(Status.NOT_EVALUATED for _ in reasons)])


def _decide(criterion: Criterion, estimate: Estimate | None, confidence: float, short: bool) -> Decision:
    bound = estimate.bound(criterion.side, confidence) if estimate else math.nan
    status, reason = _status(criterion, estimate, bound, confidence)
    if status is Status.PASS and short:
        status, reason = Status.NOT_EVALUATED, f"too few studies; otherwise: {reason}"
    return Decision(
        id=criterion.id,
        status=status,
        measure=criterion.measure,
        value=criterion.value,
        slice=criterion.slice,
        comparison=criterion.comparison,
        threshold=criterion.threshold,
        side=criterion.side,
        confidence=confidence,
        bound=_finite(bound),
        estimate=_finite(estimate.estimate) if estimate else None,
        low=_finite(estimate.low) if estimate else None,
        high=_finite(estimate.high) if estimate else None,
        numerator=estimate.numerator if estimate else None,
        denominator=estimate.denominator if estimate else None,
        n_studies=estimate.n_studies if estimate else 0,
        n_patients=estimate.n_patients if estimate else 0,
        method=estimate.method if estimate else "",
        signature=estimate.signature if estimate else "",
        reason=reason,
        requirement=criterion.requirement,
        rationale=criterion.rationale,
    )


def _status(
    criterion: Criterion, estimate: Estimate | None, bound: float, confidence: float
) -> tuple[Status, str]:
    if estimate is None:
        group = criterion.slice or "all studies"
        return Status.NOT_EVALUATED, f"no study in {group}"
    if math.isnan(bound):
        return Status.NOT_EVALUATED, estimate.reason or "undefined: 0/0"
    words = f"{criterion.side} {confidence:.0%} bound {bound:.4f}"
    relation = {"above": ">", "at_least": "≥", "below": "<", "at_most": "≤"}[criterion.comparison]
    if _holds(criterion, bound):
        return Status.PASS, f"{words} {relation} {criterion.threshold:g}"
    reason = f"{words} is not {relation} {criterion.threshold:g}"
    if estimate.denominator is not None and _undecidable(criterion, estimate.denominator, confidence):
        opposite = estimate.bound("upper" if criterion.side == "lower" else "lower", confidence)
        if _holds(criterion, opposite):
            return Status.NOT_EVALUATED, (
                f"{estimate.denominator:,} are too few: even a perfect result could not reach "
                f"{relation} {criterion.threshold:g} ({reason})"
            )
    return Status.FAIL, reason


def _holds(criterion: Criterion, bound: float) -> bool:
    threshold = criterion.threshold
    return {
        "above": bound > threshold,
        "at_least": bound >= threshold,
        "below": bound < threshold,
        "at_most": bound <= threshold,
    }[criterion.comparison]


def _undecidable(criterion: Criterion, trials: int, confidence: float) -> bool:
    """Whether not even a perfect result on so many trials could meet the criterion."""
    best = trials if criterion.side == "lower" else 0
    interval = proportion_interval(
        best, trials, confidence=confidence, method="clopper-pearson", side=criterion.side
    )
    return not _holds(criterion, interval.low if criterion.side == "lower" else interval.high)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
