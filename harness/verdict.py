"""The decision: PASS, FAIL or NOT EVALUATED for each criterion and for the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.estimates import Estimate, Settings
from harness.families import decide_family
from harness.status import GroupDecision, Status, finite, status_of
from harness.suite import Criterion, Suite

__all__ = ["Decision", "Status", "Verdict", "decide", "settings_of"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One criterion, what was measured, and what follows."""

    id: str
    status: Status
    measure: str
    value: str
    slice: str | None
    """The group it was decided on; over several groups the one furthest from meeting it."""
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
    statistic: str | None = None
    """"worst" or "gap", over groups."""
    groups: tuple[GroupDecision, ...] = ()
    """Over groups: each of them."""


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
            Decision(
                **{
                    **item,
                    "status": Status(item["status"]),
                    "groups": tuple(
                        GroupDecision(**{**group, "status": Status(group["status"])})
                        for group in item["groups"]
                    ),
                }
            )
            for item in record["decisions"]
        )
        reasons = tuple(record["reasons"])
        return cls(_whole(decisions, reasons), decisions, reasons)


def settings_of(suite: Suite) -> Settings:
    """How the suite wants its intervals made."""
    named = {item.confidence for item in suite.criteria if item.confidence is not None}
    return Settings(
        confidence=suite.inference.confidence,
        bound_confidences=tuple(sorted({suite.inference.confidence} | named)),
        replicates=suite.inference.replicates,
        seed=suite.inference.seed,
    )


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
        confidence = criterion.confidence or suite.inference.confidence
        if criterion.over:
            decision = _decide_over(criterion, estimates, confidence)
        else:
            estimate = found.get((criterion.measure, criterion.value, criterion.slice))
            decision = _decide(criterion, estimate, confidence)
        if decision.status is Status.PASS and reasons:
            reason = f"too few studies; otherwise: {decision.reason}"
            decision = replace(decision, status=Status.NOT_EVALUATED, reason=reason)
        decisions.append(decision)
    return Verdict(_whole(decisions, reasons), tuple(decisions), tuple(reasons))


def _whole(decisions: Sequence[Decision], reasons: Sequence[str]) -> Status:
    parts = [decision.status for decision in decisions]
    return Status.whole([*parts, *(Status.NOT_EVALUATED for _ in reasons)])


def _decide(criterion: Criterion, estimate: Estimate | None, confidence: float) -> Decision:
    status, reason = status_of(criterion, estimate, confidence)
    bound = estimate.bound(criterion.side, confidence) if estimate else math.nan
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
        bound=finite(bound),
        estimate=finite(estimate.estimate) if estimate else None,
        low=finite(estimate.low) if estimate else None,
        high=finite(estimate.high) if estimate else None,
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


def _decide_over(criterion: Criterion, estimates: Sequence[Estimate], confidence: float) -> Decision:
    family = decide_family(criterion, estimates, confidence)
    named = (criterion.measure, criterion.value)
    own = next((item for item in estimates if (item.measure, item.value) == named), None)
    deciding = family.deciding
    return replace(
        _decide(criterion, None, confidence),
        status=family.status,
        slice=deciding.group if deciding else None,
        confidence=(deciding.confidence if deciding else None) or confidence,
        bound=deciding.bound if deciding else None,
        estimate=deciding.estimate if deciding else None,
        low=deciding.low if deciding else None,
        high=deciding.high if deciding else None,
        numerator=deciding.numerator if deciding else None,
        denominator=deciding.denominator if deciding else None,
        n_studies=deciding.n_studies if deciding else 0,
        n_patients=deciding.n_patients if deciding else 0,
        method="Holm over groups",
        signature=own.signature if own else "",
        reason=family.reason,
        statistic=criterion.statistic,
        groups=family.groups,
    )
