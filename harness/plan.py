"""Before any run: which criteria can be decided on a cohort, and how many studies that would take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from harness.cohorts.base import Cohort
from harness.estimates import estimate_all, slice_columns
from harness.inference import clustered_paired_difference_interval, positives_needed, power_sensitivity
from harness.inference.clustered import guarded_design_effect
from harness.measures.base import Pairs, Side
from harness.report import FINDINGS, State
from harness.run import choose
from harness.status import Status
from harness.study import Case
from harness.suite import Criterion, Suite
from harness.suite_comparison import Guardrail
from harness.verdict import Decision, decide, settings_of

Floats = NDArray[np.float64]

POWER: Final = 0.8
_MOST_ERRORS: Final = 400


@dataclass(frozen=True, slots=True)
class Need:
    """One criterion or guardrail, and what the cohort has for it."""

    id: str
    status: Status
    """What a perfect candidate would get: PASS where the criterion can be decided."""
    reason: str
    trials: int | None = None
    """Positives of a sensitivity, studies of a rate; None where only a run can tell."""
    patients: int | None = None
    """That have any."""
    worth: float | None = None
    """Independent trials that these are worth: divided by the assumed design effect."""
    errors_allowed: int | None = None
    truth: float | None = None
    """A true value halfway between the threshold and perfection, ..."""
    power: float | None = None
    """... and how probably a candidate like that passes."""
    studies_perfect: int | None = None
    """Studies of this kind that a perfect candidate needs to pass."""
    studies_power: int | None = None
    """Studies with which a candidate of that truth passes with a probability of 0.8."""
    groups: tuple[str, ...] = ()
    """Over groups: those that could not be evaluated, and why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a suite can decide on a cohort."""

    studies: int
    patients: int
    needs: tuple[Need, ...]
    reasons: tuple[str, ...]

    @property
    def status(self) -> Status:
        """PASS where everything that depends on labels can be decided."""
        parts = [need.status for need in self.needs]
        return Status.whole([*parts, *(Status.NOT_EVALUATED for _ in self.reasons)])


_OPEN: Final = "depends on the candidate: only a run can tell"


def plan(suite: Suite, cohort: Cohort) -> Plan:
    """What a candidate that makes no error would get, from reference labels alone.

    Trials of one patient are taken to be correlated by 0.5, as the criteria take them as long as
    hardly any error is seen. The claims of a candidate are taken to be as many as the reference has
    findings.

    Raises:
        CohortError: the cohort is empty.
    """
    cases = [cohort[index] for _, index in choose(suite, cohort)]
    patients = [case.patient_id for case in cases]
    groups, _ = slice_columns(suite.slices, [case.groups for case in cases])
    measures = suite.build_measures()
    asked = [item for item in suite.criteria if item.value in measures[item.measure].proportions]
    rails = suite.comparison.guardrails if suite.comparison else ()
    guardrails = [item for item in rails if item.value in measures[item.measure].proportions]
    pairs = _perfect(suite, cases)
    wanted = {item.measure for item in asked} | {item.measure for item in guardrails}
    rows = {key: measures[key].rows(pairs) for key in sorted(wanted)}
    estimates = estimate_all(
        {key: measures[key] for key in measures if key in rows}, rows, patients, groups, settings_of(suite)
    )
    verdict = decide(suite.model_copy(update={"criteria": tuple(asked)}), estimates, len(cases))
    decisions = {item.id: item for item in verdict.decisions}

    def trials(item: Criterion | Guardrail, chosen: NDArray[np.bool_]) -> Floats:
        """Trials of each patient who has any."""
        measure = measures[item.measure]
        column = measure.columns.index(measure.proportions[item.value].trials)
        patient = np.unique(np.asarray(patients)[chosen], return_inverse=True)[1]
        counts = np.bincount(patient, rows[item.measure][chosen, column]).astype(np.float64)
        return counts[counts > 0]

    everyone = np.ones(len(cases), dtype=bool)
    needs = []
    for criterion in suite.criteria:
        if criterion.id not in decisions:
            needs.append(Need(criterion.id, Status.PASS, _OPEN))
        elif criterion.over:
            needs.append(_over(criterion, decisions[criterion.id]))
        else:
            name, _, group = (criterion.slice or "").partition("=")
            column = np.asarray(groups.get(name, [""] * len(cases)))
            counts = trials(criterion, column == group if name else everyone)
            confidence = criterion.confidence or suite.inference.confidence
            needs.append(_criterion(criterion, decisions[criterion.id], counts, confidence, len(cases)))
    if suite.comparison is not None and suite.comparison.randomised is None:
        needs += [_guardrail(item, trials(item, everyone), len(cases)) for item in guardrails]
        needs += [
            Need(f"{item.measure}.{item.value} (guardrail)", Status.PASS, _OPEN)
            for item in rails
            if item not in guardrails
        ]
    return Plan(len(cases), len(set(patients)), tuple(needs), verdict.reasons)


def _perfect(suite: Suite, cases: Sequence[Case]) -> Pairs:
    """A candidate that says exactly what the reference does."""
    references = [case.reference for case in cases]
    texts = [item.findings for item in references], [item.impression for item in references]
    if suite.reference_labels == "labeler":
        labels = suite.labeler.build().label([item.text for item in references])
    else:
        unknown = np.full(len(FINDINGS), State.NOT_COVERED, dtype=np.int8)
        labels = np.array([unknown if item.labels is None else item.labels for item in references])
    claims = np.where(labels == State.NOT_COVERED, State.NOT_MENTIONED, labels).astype(np.int8)
    failed = np.zeros(len(cases), dtype=bool)
    return Pairs(Side(*texts, labels=labels), Side(*texts, labels=claims), failed)


def _over(criterion: Criterion, decision: Decision) -> Need:
    left_out = [group for group in decision.groups if group.status is not Status.PASS]
    return Need(
        criterion.id,
        decision.status,
        f"{len(left_out)} groups cannot be evaluated" if left_out else "",
        groups=tuple(f"{group.group}: {group.reason}" for group in left_out),
    )


def _criterion(
    criterion: Criterion, decision: Decision, counts: Floats, confidence: float, studies: int
) -> Need:
    if not len(counts):
        return Need(criterion.id, Status.NOT_EVALUATED, decision.reason, trials=0, patients=0)
    # A rate that must lie below t needs what its complement needs to lie above 1 - t.
    floor = criterion.threshold if criterion.side == "lower" else 1 - criterion.threshold
    effect = guarded_design_effect(counts, counts, 1 - confidence)
    worth = float(counts.sum()) / effect
    truth = (1 + floor) / 2
    allowed = sum(1 for _ in takewhile(lambda needed: needed <= worth, _needed(floor, confidence)))
    per_trial = effect * studies / float(counts.sum())
    enough = next(
        (
            needed
            for errors, needed in enumerate(_needed(floor, confidence))
            if binom.cdf(errors, needed, 1 - truth) >= POWER
        ),
        None,
    )
    return Need(
        criterion.id,
        decision.status,
        "" if decision.status is Status.PASS else decision.reason,
        trials=int(counts.sum()),
        patients=len(counts),
        worth=worth,
        errors_allowed=allowed - 1 if allowed else None,
        truth=truth if criterion.side == "lower" else 1 - truth,
        power=power_sensitivity(truth, math.floor(worth), floor, confidence),
        studies_perfect=math.ceil(positives_needed(floor, 0, confidence) * per_trial),
        studies_power=None if enough is None else math.ceil(enough * per_trial),
    )


def _needed(floor: float, confidence: float) -> Iterator[int]:
    """Trials needed with 0, 1, 2, ... errors."""
    return (positives_needed(floor, errors, confidence) for errors in range(_MOST_ERRORS))


def _guardrail(item: Guardrail, counts: Floats, studies: int) -> Need:
    name = f"{item.measure}.{item.value} (guardrail)"
    if not len(counts):
        return Need(name, Status.NOT_EVALUATED, "no study of the cohort has it", trials=0, patients=0)
    silent = clustered_paired_difference_interval(0 * counts, 0 * counts, counts, item.confidence, "lower")
    shown = silent.low > -item.margin
    effect = guarded_design_effect(counts, counts, 1 - item.confidence)
    # Without a discordant pair Tango's bound is z^2 / (n + z^2).
    needed = math.floor(norm.isf(1 - item.confidence) ** 2 * (1 - item.margin) / item.margin) + 1
    return Need(
        name,
        Status.PASS if shown else Status.NOT_EVALUATED,
        "" if shown else f"too few to show a loss below {item.margin:g}, even if there were none",
        trials=int(counts.sum()),
        patients=len(counts),
        worth=float(counts.sum()) / effect,
        studies_perfect=math.ceil(needed * effect * studies / counts.sum()),
    )
