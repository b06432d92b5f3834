"""Differences of paired shares by patient: is the new model not worse, and is it harmful?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from harness.comparison.decide import Guarded, guarded
from harness.comparison.differences import Difference
from harness.inference import clustered_mcnemar_test, clustered_paired_difference_interval
from harness.inference.cluster_sums import cluster_index
from harness.report import CRITICAL, Finding
from harness.staging.config import BY_FINDING, POOLED, MeasurePart
from harness.staging.pairs import Pair, Pairs, Reading
from harness.status import Status
from harness.suite_comparison import Guardrail


@dataclass(frozen=True, slots=True)
class Table:
    """The trials of one measure, by patient; an event is what the measure counts."""

    part: MeasurePart
    both: NDArray[np.int64]
    shadow_alone: NDArray[np.int64]
    """Trials with the event in the shadow's report alone, shape (patients,); so the others."""
    production_alone: NDArray[np.int64]
    neither: NDArray[np.int64]
    studies: int
    lacking: int
    """Trials of which it is not known how they went, because a field or a usable record is lacking: the
    new model may have been the worse in each."""

    @property
    def higher_is_better(self) -> bool:
        """Whether the event is a good one."""
        return self.part.measure == "critical_sensitivity"

    @property
    def pairs(self) -> NDArray[np.int64]:
        """All trials, by patient."""
        found: NDArray[np.int64] = self.both + self.shadow_alone + self.production_alone + self.neither
        return found

    @property
    def worst(self) -> Table:
        """As it would be if the new model were the worse in every trial that is not known."""
        more = np.ones(self.lacking, dtype=np.int64)
        none = np.zeros(self.lacking, dtype=np.int64)
        old, new = (more, none) if self.higher_is_better else (none, more)
        return replace(
            self,
            both=np.concatenate([self.both, none]),
            shadow_alone=np.concatenate([self.shadow_alone, new]),
            production_alone=np.concatenate([self.production_alone, old]),
            neither=np.concatenate([self.neither, none]),
            studies=self.studies + self.lacking,
            lacking=0,
        )


@dataclass(frozen=True, slots=True)
class Harm:
    """Patients for whom the shadow did worse on the whole, and better, and how surprising that is."""

    id: str
    worse: int
    better: int
    p_value: float
    """One-sided; of a model that is as good as production."""


def tabulate(part: MeasurePart, seen: Pairs) -> Table:
    """The trials of a measure."""
    patients: list[str] = []
    cells: list[tuple[int, int, int, int]] = []
    lacking = _without_record(part, seen)
    for study, pair in seen.pairs.items():
        found = _trials(part, pair, seen.readings.get(study))
        if found is None:
            lacking += 1
            continue
        outcomes = [(shadow, production) for production, shadow in found]
        if outcomes:
            patients.append(pair.patient)
            cells.append(
                (
                    outcomes.count((True, True)),
                    outcomes.count((True, False)),
                    outcomes.count((False, True)),
                    outcomes.count((False, False)),
                )
            )
    names, index = cluster_index(np.array(patients, dtype=str))
    sums = np.zeros((len(names), 4), dtype=np.int64)
    np.add.at(sums, index, np.array(cells, dtype=np.int64).reshape(-1, 4))
    return Table(part, sums[:, 0], sums[:, 1], sums[:, 2], sums[:, 3], len(cells), lacking)


def harm(table: Table) -> Harm:
    """The sign test on patients (Dixon & Mood, J Am Stat Assoc 1946;41:557-566), exact and one-sided.

    A patient counts once, whatever the number of their studies and findings; those for whom the two did
    equally well say nothing. With fewer than that the test cannot be significant: it never claims more
    than its level.
    """
    net = table.shadow_alone - table.production_alone
    loss = -net if table.higher_is_better else net
    worse, better = int((loss > 0).sum()), int((loss < 0).sum())
    return Harm(table.part.id, worse, better, sign_p(worse, better))


def sign_p(worse: int, better: int) -> float:
    """How probable so many worse patients are among those that differ, if neither is likelier."""
    return float(binom.sf(worse - 1, worse + better, 0.5)) if worse + better else 1.0


def decide(table: Table) -> tuple[Difference, Guarded]:
    """The difference, shadow minus production, and whether the loss lies within the margin.

    Trials of which nothing is known are left out; but it lies within only if it did with all of them lost.
    """
    part, pairs = table.part, table.pairs
    total = int(pairs.sum())
    nothing = np.zeros(len(pairs), dtype=np.int64)
    interval = partial(
        clustered_paired_difference_interval, table.shadow_alone, table.production_alone, pairs
    )
    both = interval(confidence=0.95)

    def share(alone: NDArray[np.int64]) -> float:
        return float((table.both + alone).sum() / total) if total else math.nan

    old, new = share(table.production_alone), share(table.shadow_alone)
    test = clustered_mcnemar_test(table.both, table.shadow_alone, table.production_alone, table.neither)
    difference = Difference(
        measure=part.measure, value=part.value, signature=f"{part.id}|paired|v1",
        higher_is_better=table.higher_is_better, current=old, challenger=new, difference=new - old,
        low=both.low, high=both.high, confidence=0.95, method=both.method, reason=both.reason,
        n_studies=table.studies, n_patients=len(pairs), tests={"mcnemar": test}, interval=interval,
        silent=partial(clustered_paired_difference_interval, nothing, nothing, pairs),
    )  # fmt: skip
    rail = Guardrail(measure=part.measure, value=part.value, margin=part.margin, confidence=part.confidence)
    found = guarded(rail, difference)
    if found.status is Status.PASS and table.lacking:
        worst = decide(table.worst)[1]
        if worst.status is not Status.PASS:
            reason = (
                f"of {table.lacking:,} comparisons, beside {total:,}, a field or a usable record is lacking. "
                f"If the new model was the worse in each: {worst.reason}"
            )
            found = replace(found, status=Status.NOT_EVALUATED, reason=reason)
    return difference, found


def _without_record(part: MeasurePart, seen: Pairs) -> int:
    """Trials of studies that have no record that can be used, and of records that belong nowhere."""
    if part.measure not in BY_FINDING:
        return len(seen.unusable) + seen.unplaced
    wanted = CRITICAL if part.value == POOLED else (Finding(part.value),)
    there = part.measure == "critical_sensitivity"

    def trials(reading: Reading) -> int:
        return sum((one in reading.sure | reading.contested) == there for one in wanted)

    known = sum(trials(seen.readings[study]) for study in seen.unusable if study in seen.readings)
    return known + sum(sorted(map(trials, seen.orphans()), reverse=True)[: seen.unplaced])


def _trials(part: MeasurePart, pair: Pair, reading: Reading | None) -> list[tuple[bool, bool]] | None:
    """The event in production's and the shadow's report, a trial each; None where a field is lacking."""
    old, new = pair.production, pair.shadow
    if part.measure == "failure_rate":
        return [(old.findings is None, new.findings is None)]
    if part.measure == "hallucination_rate":
        one, other = old.hallucinates, new.hallucinates
        return None if one is None or other is None else [(one, other)]
    if part.measure == "slow_rate":
        if old.latency_s is None or new.latency_s is None:
            return None
        limit = part.limit_s or math.inf
        return [(old.latency_s > limit, new.latency_s > limit)]
    if reading is None:
        return []
    wanted = CRITICAL if part.value == POOLED else (Finding(part.value),)
    if part.measure == "critical_sensitivity":
        return [(old.claims(one), new.claims(one)) for one in wanted if reading.there(one, new)]
    return [(one in old.alarms, one in new.alarms) for one in wanted if reading.absent(one, new)]
