"""May the challenger replace the model in use, by what readers did with its drafts?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.ab.checks import (
    Check,
    Missing,
    blinding,
    missing_check,
    missing_values,
    reader_check,
    sample_ratio,
)
from harness.ab.design import ENDPOINTS, Design, EndpointName
from harness.ab.effects import Effect, effects, positives, tables
from harness.ab.guards import LEAST, NO_ALPHA, Guard, guards
from harness.ab.ratings import Ratings
from harness.ab.robustness import WORST_CASE, Alternative, Heterogeneity, alternatives, heterogeneity
from harness.comparison.looks import Look, take_look
from harness.status import Status, finite

DECISION: Final = {
    Status.PASS: "PROMOTE",
    Status.FAIL: "DO NOT PROMOTE",
    Status.NOT_EVALUATED: "NOT EVALUATED",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, decided."""

    name: EndpointName
    status: Status
    finding: str
    """"better", "worse", "not worse" (within the margin), "worse by more than the margin", "open" or
    "undefined"."""
    sign: int
    """1 where more is better, else -1."""
    current: float | None
    challenger: float | None
    difference: float | None
    """Challenger minus current."""
    low: float | None
    high: float | None
    """Of the two-sided interval one end of which is the bound that decides."""
    confidence: float | None
    margin: float
    p_value: float | None
    adjusted: float | None
    """p times four (Bonferroni), 1 at most."""
    patients: int
    units: int
    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was found."""

    status: Status
    design: Design
    studies: int
    patients: int
    readers: int
    rows: int
    endpoints: tuple[Endpoint, ...]
    checks: tuple[Check, ...]
    missing: tuple[Missing, ...]
    critical: tuple[Guard, ...]
    alternatives: tuple[Alternative, ...]
    heterogeneity: tuple[Heterogeneity, ...]
    look: Look
    """What "better" may spend; `level` is of one endpoint."""
    data: str
    """Digest of the data's rows."""

    @property
    def decision(self) -> str:
        """PROMOTE, DO NOT PROMOTE or NOT EVALUATED."""
        return DECISION[self.status]

    def as_json(self) -> dict[str, Any]:
        """Plain values, for ab.json. Readers are numbered, and nothing names a patient or quotes a text."""
        plain = asdict(self)
        plain["design"] = self.design.model_dump(mode="json")
        for part in plain["heterogeneity"]:
            if part["by"] == "reader":
                for number, group in enumerate(part["groups"], 1):
                    group["name"] = f"reader {number}"
        head = {"status": self.status.value, "decision": self.decision, "exit_code": self.status.exit_code,
                "design_digest": self.design.digest()}  # fmt: skip
        return head | {key: value for key, value in plain.items() if key != "status"}


def evaluate(ratings: Ratings, design: Design, looks: Path) -> Outcome:
    """Judges the data by the design.

    PASS (promotion): all checks hold, no endpoint and none of the critical findings that are to be decided
    is lost by more than its margin, none is shown to be worse, critical findings are not shown to be lost
    with any one reader or site, and one endpoint at least is shown to be better. What is still open before
    the planned number of studies is NOT EVALUATED, and so is what the data cannot decide.

    Args:
        ratings: the data.
        design: what was declared.
        looks: hash-chained log of looks, shared by all looks at one experiment.

    Raises:
        LedgerError: the log was changed, or cannot be written.
    """
    means, found = tables(ratings, design), positives(ratings)
    effect_of = effects(means, found)
    studies = len(np.unique(ratings.study))
    # Another version of the design is no other experiment: alpha is not had twice by rewording.
    question = [design.name, design.arms.model_dump(), design.design]
    data = ratings.digest()
    superiority, loss = (
        take_look(
            looks, question, [design.digest(), data], studies, design.planned_studies, alpha, design.spending
        )
        for alpha in (design.alpha / len(ENDPOINTS), 2 * (1 - design.confidence))
    )
    missing = missing_values(ratings, design, means)
    checks = [
        *sample_ratio(ratings, design),
        reader_check(ratings),
        *missing_check(missing, design),
        blinding(ratings, design, means["rating"]),
    ]
    others = alternatives(ratings, means, found, design, 1 - loss.level if loss.level > LEAST else 0.95)
    worst = {item.endpoint: item for item in others if item.analysis == WORST_CASE}
    endpoints = tuple(
        _decide(effect_of[name], design, superiority, loss, worst.get(name)) for name in ENDPOINTS
    )
    critical = guards(ratings, found, design, loss)
    groups = heterogeneity(means, found, ratings, design, loss.level)
    return Outcome(
        status=_whole(endpoints, critical, groups, checks, superiority),
        design=design,
        studies=studies,
        patients=len(np.unique(ratings.patient)),
        readers=len(np.unique(ratings.reader)),
        rows=len(ratings),
        endpoints=endpoints,
        checks=tuple(checks),
        missing=tuple(missing),
        critical=critical,
        alternatives=tuple(others),
        heterogeneity=tuple(groups),
        look=superiority,
        data=data,
    )


def _whole(
    endpoints: tuple[Endpoint, ...],
    critical: tuple[Guard, ...],
    groups: list[Heterogeneity],
    checks: list[Check],
    look: Look,
) -> Status:
    # A check that failed says that the data are not those of the design: no verdict rests on them. Nor does
    # one on all patients where some are seen to fare worse.
    doubts = sum(item.status is not Status.PASS for item in checks)
    doubts += sum(group.harmed for part in groups for group in part.groups)
    decided = [*(item.status for item in endpoints), *(item.status for item in critical if item.counts)]
    status = Status.whole([*decided, *[Status.NOT_EVALUATED] * doubts])
    if status is Status.PASS and not any(item.finding == "better" for item in endpoints):
        return Status.FAIL if look.fraction >= 1 else Status.NOT_EVALUATED
    return status


def _decide(
    effect: Effect, design: Design, superiority: Look, loss: Look, worst: Alternative | None
) -> Endpoint:
    margin, p = design.margin(effect.endpoint), effect.p_value

    def decided(status: Status, finding: str, reason: str, confidence: float | None = None) -> Endpoint:
        ends = (math.nan, math.nan)
        if confidence is not None:
            found = effect.interval(confidence=confidence, side="two-sided")
            ends = found.low, found.high
        return Endpoint(
            effect.endpoint, status, finding, effect.sign, finite(effect.current), finite(effect.challenger),
            finite(effect.difference), finite(ends[0]), finite(ends[1]), confidence, margin, finite(p),
            None if math.isnan(p) else min(1.0, p * len(ENDPOINTS)), effect.patients, effect.units,
            effect.method, reason,
        )  # fmt: skip

    if effect.reason:
        return decided(Status.NOT_EVALUATED, "undefined", effect.reason)
    if loss.level <= LEAST:
        return decided(Status.NOT_EVALUATED, "open", NO_ALPHA)
    confidence = 1 - loss.level
    worst_loss, least_loss = _losses(effect.interval(confidence=confidence, side="two-sided"), effect.sign)
    significant = p < superiority.level
    if significant and effect.sign * effect.difference < 0:
        reason = f"shown to be worse: p = {p:.2g} is below {superiority.level:.2g}"
        return decided(Status.FAIL, "worse", reason, confidence)
    if least_loss >= margin:
        reason = f"a loss of more than the margin of {margin:g} is shown"
        return decided(Status.FAIL, "worse by more than the margin", reason, confidence)
    if not worst_loss < margin:
        reason = f"a loss of up to {worst_loss:.3g} cannot be excluded; the margin is {margin:g}"
        status = Status.FAIL if loss.fraction >= 1 else Status.NOT_EVALUATED
        if effect.silent is not None:
            silent, _ = _losses(effect.silent(confidence=confidence, side="two-sided"), effect.sign)
            if not silent < margin:
                status = Status.NOT_EVALUATED
                reason += f"; with {effect.units:,} critical findings not even equal drafts could show it"
        return decided(status, "open", reason, confidence)
    if worst is not None and not _worst_holds(worst, effect.sign, margin):
        reason = "within the margin only if missing values are not counted against the challenger"
        return decided(Status.NOT_EVALUATED, "open", reason, confidence)
    within = f"no loss beyond {max(0.0, worst_loss):.2g}; the margin is {margin:g}"
    if significant and not _gain_holds(worst, effect.sign, superiority.level):
        within += "; a gain is shown only if missing values are not counted against the challenger"
    elif significant:
        reason = f"shown to be better: p = {p:.2g} is below {superiority.level:.2g}; {within}"
        return decided(Status.PASS, "better", reason, confidence)
    return decided(Status.PASS, "not worse", within, confidence)


def _losses(interval: Any, sign: int) -> tuple[float, float]:
    """The largest and the least loss inside an interval."""
    ends = -sign * interval.low, -sign * interval.high
    return (max(ends), min(ends)) if not any(map(math.isnan, ends)) else (math.nan, math.nan)


def _worst_holds(worst: Alternative, sign: int, margin: float) -> bool:
    bound = worst.low if sign > 0 else worst.high
    return bound is not None and -sign * bound < margin


def _gain_holds(worst: Alternative | None, sign: int, level: float) -> bool:
    if worst is None or worst.p_value is None or worst.estimate is None:
        return False
    return worst.p_value < level and sign * worst.estimate > 0
