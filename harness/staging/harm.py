"""Differences of paired shares by patient: is the new model not worse, and is it harmful?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from harness.comparison.decide import Guarded, guarded
from harness.comparison.differences import Difference
from harness.inference import clustered_mcnemar_test, clustered_paired_difference_interval
from harness.inference.cluster_sums import cluster_index
from harness.report import CRITICAL, Finding
from harness.staging.config import POOLED, MeasurePart
from harness.staging.pairs import Findings, Pair
from harness.suite_comparison import Guardrail

LACKING: Final = 0.05
"""Where a larger share of what should have been counted could not be, the rest says nothing."""


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
    """Studies that lack the field."""

    @property
    def higher_is_better(self) -> bool:
        """Whether the event is a good one."""
        return self.part.measure == "critical_sensitivity"

    @property
    def pairs(self) -> NDArray[np.int64]:
        """All trials, by patient."""
        found: NDArray[np.int64] = self.both + self.shadow_alone + self.production_alone + self.neither
        return found


@dataclass(frozen=True, slots=True)
class Harm:
    """Patients for whom the shadow did worse on the whole, and better, and how surprising that is."""

    id: str
    worse: int
    better: int
    p_value: float
    """One-sided; of a model that is as good as production."""


def tabulate(part: MeasurePart, pairs: Mapping[str, Pair], readings: Mapping[str, Findings]) -> Table:
    """The trials of a measure."""
    patients: list[str] = []
    cells: list[tuple[int, int, int, int]] = []
    lacking = 0
    for study, pair in pairs.items():
        found = _trials(part, pair, readings.get(study))
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
    """The difference, shadow minus production, and whether the loss lies within the margin."""
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
    return difference, guarded(rail, difference)


def lacking(table: Table) -> str:
    """Why the table says nothing of the whole; empty where it does."""
    due = table.studies + table.lacking
    needed = table.part.measure in ("hallucination_rate", "slow_rate")
    if needed and table.lacking > LACKING * due:
        return f"{table.part.id}: {table.lacking:,} of {due:,} studies lack detected or latency_s."
    return ""


def _trials(part: MeasurePart, pair: Pair, reference: Findings | None) -> list[tuple[bool, bool]] | None:
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
    if reference is None:
        return []
    wanted = CRITICAL if part.value == POOLED else (Finding(part.value),)
    there = part.measure == "critical_sensitivity"
    return [(old.claims(one), new.claims(one)) for one in wanted if (one in reference) == there]
