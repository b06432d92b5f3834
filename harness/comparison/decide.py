"""May the challenger replace the candidate in use?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.comparison.arms import (
    MISMATCH,
    Run,
    SampleRatio,
    check_arms,
    check_same_question,
    check_same_studies,
    read_run,
)
from harness.comparison.differences import Difference, paired_differences, randomised_differences
from harness.comparison.looks import Look, take_look
from harness.errors import SuiteError
from harness.status import Status, finite
from harness.suite_comparison import ComparisonPart, Guardrail, Hypothesis


@dataclass(frozen=True, slots=True)
class Tested:
    """One hypothesis of the family."""

    id: str
    status: Status
    """PASS: the challenger is shown to be better. FAIL: shown to be worse, or nothing was shown."""
    finding: str
    """"better", "worse", "no difference shown" or "undefined"."""
    test: str
    p_value: float | None
    adjusted: float | None
    """p times the number of hypotheses (Bonferroni), 1 at most."""
    reason: str


@dataclass(frozen=True, slots=True)
class Guarded:
    """One guardrail."""

    id: str
    status: Status
    margin: float
    difference: float | None
    bound: float | None
    """One-sided confidence bound of the difference on the side of a loss."""
    confidence: float
    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was found."""

    status: Status
    current: dict[str, Any]
    """The run of the candidate in use: folder and digests."""
    challenger: dict[str, Any]
    suite: str
    design: str
    """"paired" or "randomised"."""
    n_studies: int
    n_patients: int
    differences: tuple[Difference, ...]
    family: tuple[Tested, ...]
    guardrails: tuple[Guarded, ...]
    sample_ratio: SampleRatio | None
    look: Look | None
    reasons: tuple[str, ...]
    """What keeps the whole from PASS besides family and guardrails."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, for comparison.json."""
        return {
            "status": self.status.value,
            "exit_code": self.status.exit_code,
            "reasons": list(self.reasons),
            "suite": self.suite,
            "design": self.design,
            "current": self.current,
            "challenger": self.challenger,
            "n_studies": self.n_studies,
            "n_patients": self.n_patients,
            "family": [asdict(item) for item in self.family],
            "guardrails": [asdict(item) for item in self.guardrails],
            "sample_ratio": None if self.sample_ratio is None else asdict(self.sample_ratio),
            "look": None if self.look is None else asdict(self.look),
            "differences": [item.as_json() for item in self.differences],
        }


def compare(
    current: Path,
    challenger: Path,
    looks: Path,
    numbers: Sequence[Guarded] = (),
    asked: ComparisonPart | None = None,
) -> Comparison:
    """Compares two runs of one suite, and decides by its `comparison` section.

    PASS (promotion): at least one hypothesis of the family is shown in the challenger's favour and
    none against it, and every guardrail shows that no more than its margin was lost. A difference
    that was not shown is not shown to be none, and does not promote. A suite with guardrails alone asks
    for non-inferiority: then these decide, and no look at the data spends alpha.

    Args:
        current: run folder of the candidate in use.
        challenger: run folder of the one that may replace it.
        looks: hash-chained log of looks, shared by all comparisons of an experiment.
        numbers: what was decided on the suite's `parity` section, which runs alone cannot answer.
        asked: decides in place of the suite's own section; its values must be the suite's.

    Raises:
        LedgerError: a run is incomplete or was changed. SuiteError: the runs asked different things,
            or of studies that cannot be compared so. NotEvaluable: not the declared experiment.
    """
    old, new = read_run(current), read_run(challenger)
    check_same_question(old, new)
    part, ratio, reasons = asked or old.suite.comparison, None, []
    if part is not None and part.randomised is not None:
        ratio = check_arms(old, new, part.randomised)
        differences = randomised_differences(old, new)
        if ratio.p_value < MISMATCH:
            reasons.append(
                f"Sample ratio: {ratio.challenger:,} of {ratio.current + ratio.challenger:,} patients in the "
                f"challenger's arm do not fit a share of {ratio.share:g} (p = {ratio.p_value:.2g}); "
                "patients went missing in one arm, and the arms cannot be compared."
            )
    else:
        check_same_studies(old, new)
        differences = paired_differences(old, new)
    look: Look | None = None
    family: tuple[Tested, ...] = ()
    guardrails: tuple[Guarded, ...] = ()
    if part is None:
        reasons.append("The suite declares no comparison: differences are shown, and nothing is decided.")
    elif part.family:
        look = _look(old, new, part, looks)
        if look.level == 0:
            reasons.append(
                f"Look {look.number} at {look.fraction:.0%} of the planned studies has no alpha left "
                "to spend: an earlier look saw as many, or it is too early for any."
            )
    elif len(old.studies) < (old.suite.cohort.studies or 0):
        reasons.append(
            f"The suite asks for {old.suite.cohort.studies:,} studies and the cohort gave "
            f"{len(old.studies):,}: nothing can pass on fewer."
        )
    if part is not None:
        replicates = old.suite.inference.replicates
        found = {(item.measure, item.value): item for item in differences}
        wanted: list[Hypothesis | Guardrail] = [*part.family, *part.guardrails]
        for value in wanted:
            if (value.measure, value.value) not in found:  # only what is asked from outside the suite
                raise SuiteError([f"{challenger}: its suite has no {value.measure}.{value.value}"])
        family = tuple(
            _tested(item, found[item.measure, item.value], len(part.family), look, replicates)
            for item in part.family
            if look is not None
        )
        guardrails = (
            *numbers,
            *(guarded(item, found[item.measure, item.value]) for item in part.guardrails),
        )
        if part.parity is not None and not numbers:
            reasons.append("The suite also limits the numbers inside a package: harness parity decides it.")
    parts = [item.status for item in guardrails]
    if part is None or part.family:
        parts.append(_family_status(family))
    return Comparison(
        status=Status.whole([*parts, *(Status.NOT_EVALUATED for _ in reasons)]),
        current=_named(old),
        challenger=_named(new),
        suite=f"{old.suite.name}, version {old.suite.version}",
        design="paired" if ratio is None else "randomised",
        n_studies=differences[0].n_studies,
        n_patients=differences[0].n_patients,
        differences=tuple(differences),
        family=family,
        guardrails=guardrails,
        sample_ratio=ratio,
        look=look,
        reasons=tuple(reasons),
    )


def _look(old: Run, new: Run, part: ComparisonPart, log: Path) -> Look:
    studies = len(set(old.studies) | set(new.studies))
    return take_look(
        log,
        # Another suite on the same studies is another look: alpha is not had twice by rewording.
        question=[old.suite.name, old.identity["candidate"], new.identity["candidate"]],
        data=[old.suite.digest(), old.identity["cohort"], new.identity["cohort"]],
        studies=studies,
        planned=old.suite.cohort.studies or studies,
        alpha=part.alpha / len(part.family),
        spending=part.spending,
    )


def _tested(item: Hypothesis, difference: Difference, size: int, look: Look, replicates: int) -> Tested:
    name = f"{item.measure}.{item.value}"

    def tested(status: Status, finding: str, reason: str) -> Tested:
        p = difference.tests[item.test].p_value if item.test in difference.tests else math.nan
        adjusted = None if math.isnan(p) else min(1.0, p * size)
        return Tested(name, status, finding, item.test, finite(p), adjusted, reason)

    if item.test not in difference.tests:
        return tested(Status.NOT_EVALUATED, "undefined", "the two runs have different trials: no pairs")
    result = difference.tests[item.test]
    if math.isnan(result.p_value):
        return tested(Status.NOT_EVALUATED, "undefined", result.reason)
    if item.test == "permutation" and 0 < look.level <= 1 / (replicates + 1):
        least = math.ceil(1 / look.level)
        reason = f"{replicates:,} replicates cannot give p below {look.level:.2g}; ask for {least:,} or more"
        return tested(Status.NOT_EVALUATED, "undefined", reason)
    if not result.p_value < look.level:
        reason = f"p = {result.p_value:.2g} is not below {look.level:.2g}; that does not show there is none"
        return tested(Status.FAIL, "no difference shown", reason)
    better = (difference.difference > 0) == difference.higher_is_better
    reason = f"p = {result.p_value:.2g} is below {look.level:.2g}"
    return tested(Status.PASS if better else Status.FAIL, "better" if better else "worse", reason)


def _family_status(family: Sequence[Tested]) -> Status:
    found = {item.finding for item in family}
    if "worse" in found:
        return Status.FAIL
    if not family or "undefined" in found:
        return Status.NOT_EVALUATED
    return Status.PASS if "better" in found else Status.FAIL


def guarded(item: Guardrail, difference: Difference) -> Guarded:
    """Non-inferiority: the bound of the difference, on the side of a loss, lies within the margin."""
    side, sign = ("lower", 1) if difference.higher_is_better else ("upper", -1)

    def loss(interval: Any, of: str) -> float:
        """The largest loss at this confidence ("lower"), or the least ("upper")."""
        end = interval(confidence=item.confidence, side=of)
        return -sign * float(end.low if of == "lower" else end.high)

    other = "upper" if side == "lower" else "lower"
    worst = loss(difference.interval, side)
    bound, limit = -sign * worst, -sign * item.margin
    where = f"{side} {100 * item.confidence:.4g}% bound {bound:+.4f} of the difference"
    status, reason = Status.FAIL, f"{where} lies beyond {limit:+g}"
    if math.isnan(worst):
        reason = difference.reason or "the bound is undefined"
        status = Status.NOT_EVALUATED
    elif worst < item.margin:
        status, reason = Status.PASS, f"{where} lies within {limit:+g}"
    elif (
        difference.silent is not None
        and not loss(difference.silent, side) < item.margin
        and loss(difference.interval, other) < item.margin
    ):
        status = Status.NOT_EVALUATED
        reason = f"too few to show a loss below {item.margin:g}, even if there were none"
    return Guarded(
        f"{item.measure}.{item.value}", status, item.margin, finite(difference.difference), finite(bound),
        item.confidence, difference.method, reason,
    )  # fmt: skip


def _named(run: Run) -> dict[str, Any]:
    keys = ("candidate_kind", "candidate", "cohort", "labeler")
    return {"folder": str(run.folder), **{key: run.identity[key] for key in keys}}
