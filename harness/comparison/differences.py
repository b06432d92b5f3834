"""The difference of every value between two runs, with its interval and its tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.comparison.arms import Run
from harness.estimates import IntervalOf
from harness.inference import (
    Bootstrap,
    BootstrapDistribution,
    Interval,
    TestResult,
    TestResults,
    clustered_mcnemar_test,
    clustered_paired_difference_interval,
    clustered_proportion_interval,
    paired_t_test,
    permutation_test,
    randomisation_test,
    signed_rank_test,
    square_and_add,
)
from harness.inference.cluster_sums import cluster_index
from harness.inference.results import Side
from harness.measures.base import Measure, WeightedMeasure
from harness.weighted import weighted_difference

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SAME = "identical rows"


@dataclass(frozen=True, slots=True)
class Difference:
    """One value of two candidates."""

    measure: str
    value: str
    signature: str
    higher_is_better: bool
    current: float
    challenger: float
    difference: float
    """Challenger minus current."""
    low: float
    high: float
    confidence: float
    """Of the two-sided interval [low, high]."""
    method: str
    reason: str
    """Why it is undefined; empty where it is not."""
    n_studies: int
    n_patients: int
    tests: dict[str, TestResult]
    """By name: permutation, t, signed-rank, mcnemar; those that make sense for the value."""
    interval: IntervalOf = field(repr=False, compare=False)
    """The interval of the difference at any confidence, of any side."""
    silent: IntervalOf | None = field(default=None, repr=False, compare=False)
    """For proportions: the interval had the two never differed, the best for showing no loss."""

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN as None."""
        names = [name for name in self.__dataclass_fields__ if name not in ("interval", "silent", "tests")]
        record = {name: _plain(getattr(self, name)) for name in names}
        tests = {
            name: {
                "statistic": _plain(test.statistic),
                "p_value": _plain(test.p_value),
                "method": test.method,
                "reason": test.reason,
            }
            for name, test in self.tests.items()
        }
        return {**record, "tests": tests}


def paired_differences(current: Run, challenger: Run) -> list[Difference]:
    """Differences of two runs of the same studies, patient by patient, on one draw.

    Proportions whose trials are the same in both runs (sensitivities, but not claims) get a clustered
    Tango interval and McNemar's test (Obuchowski); everything else a BCa bootstrap of the difference
    over patients. The permutation swaps the two reports of whole patients; t and signed-rank test the
    scores of single studies, averaged by patient, where both are defined.
    """
    inference, measures = current.suite.inference, current.suite.build_measures()
    names, patient = cluster_index(current.patients)
    tables = {key: (challenger.rows[key], current.rows[key]) for key in measures}
    summed = {key: item for key, item in measures.items() if not isinstance(item, WeightedMeasure)}
    [distributions] = Bootstrap(current.patients, inference.replicates, inference.seed).distributions(
        [(np.concatenate(tables[key], axis=1), partial(_stacked, measure)) for key, measure in summed.items()]
    )
    found = _weighted_differences(current, challenger, measures)
    for (key, measure), distribution in zip(summed.items(), distributions, strict=True):
        new, old = tables[key]
        swaps = permutation_test(
            new, old, measure.value, current.patients, inference.replicates, inference.seed
        )
        assert isinstance(swaps, TestResults)  # noqa: S101  # a measure's value is a vector
        scores = measure.value(new.astype(np.float64)), measure.value(old.astype(np.float64))
        point = partial(_point, measure)
        for place, value in enumerate(measure.values):
            tests = {"permutation": swaps[place], **_score_tests(scores, place, current.patients)}
            interval: IntervalOf = _bootstrapped(distribution, place, bool((new == old).all()))
            silent: IntervalOf | None = None
            columns = _columns(measure, value)
            if columns is not None:
                (hits, trials), (old_hits, old_trials) = (table[:, columns].T for table in tables[key])
                if (trials == old_trials).all():
                    won, lost = (
                        np.bincount(patient, np.maximum(gain, 0), len(names))
                        for gain in (hits - old_hits, old_hits - hits)
                    )
                    size = np.bincount(patient, trials, len(names)).astype(np.float64)
                    interval = partial(clustered_paired_difference_interval, won, lost, size)
                    silent = partial(clustered_paired_difference_interval, 0 * won, 0 * lost, size)
                    # Only b - c and the number of clusters bear on Obuchowski's statistic.
                    tests["mcnemar"] = clustered_mcnemar_test(size - won - lost, won, lost, 0 * won)
            values = point(old)[place], point(new)[place]
            sizes = len(current.studies), len(names)
            found.append(
                _difference(key, measure, place, values, interval, silent, tests, inference.confidence, sizes)
            )
    return found


def randomised_differences(current: Run, challenger: Run) -> list[Difference]:
    """Differences of two runs of different patients, dealt out at random.

    Proportions get Newcombe's square-and-add of their clustered intervals, everything else a BCa
    bootstrap over patients. The test deals patients out anew.
    """
    inference, measures = current.suite.inference, current.suite.build_measures()
    patients = [*challenger.patients, *current.patients]
    arm = np.arange(len(patients)) < len(challenger.patients)
    summed = {key: item for key, item in measures.items() if not isinstance(item, WeightedMeasure)}
    tables = {key: np.concatenate([challenger.rows[key], current.rows[key]]) for key in summed}
    [distributions] = Bootstrap(patients, inference.replicates, inference.seed).distributions(
        [
            (
                np.concatenate([table * arm[:, None], table * ~arm[:, None]], axis=1),
                partial(_stacked, measures[key]),
            )
            for key, table in tables.items()
        ]
    )
    found = _weighted_differences(current, challenger, measures)
    for (key, measure), distribution in zip(summed.items(), distributions, strict=True):
        table = tables[key]
        deals = randomisation_test(table, arm, measure.value, patients, inference.replicates, inference.seed)
        assert isinstance(deals, TestResults)  # noqa: S101  # a measure's value is a vector
        point = partial(_point, measure)
        for place, value in enumerate(measure.values):
            interval: IntervalOf = _bootstrapped(distribution, place, False)
            silent: IntervalOf | None = None
            columns = _columns(measure, value)
            if columns is not None:
                (new, new_trials), (old, old_trials) = (
                    _by_patient(run.rows[key][:, columns], run.patients) for run in (challenger, current)
                )
                interval = partial(
                    square_and_add,
                    partial(clustered_proportion_interval, new, new_trials),
                    partial(clustered_proportion_interval, old, old_trials),
                )
                silent = partial(
                    square_and_add,
                    partial(clustered_proportion_interval, new_trials, new_trials),
                    partial(clustered_proportion_interval, old_trials, old_trials),
                )
            values = point(table[~arm])[place], point(table[arm])[place]
            tests = {"permutation": deals[place]}
            sizes = len(patients), len(set(patients))
            found.append(
                _difference(key, measure, place, values, interval, silent, tests, inference.confidence, sizes)
            )
    return found


def _weighted_differences(current: Run, challenger: Run, measures: Mapping[str, Measure]) -> list[Difference]:
    """Of measures that are no function of column totals: a bootstrapped interval, and no test."""
    inference, found = current.suite.inference, []
    names = np.unique([*current.patients, *challenger.patients])
    for key, measure in measures.items():
        if not isinstance(measure, WeightedMeasure):
            continue
        new, old = ((run.rows[key], np.searchsorted(names, run.patients)) for run in (challenger, current))
        distribution = weighted_difference(
            measure, new, old, names, replicates=inference.replicates, seed=inference.seed
        )
        points = [measure.weighted(rows, np.ones(len(rows))) for rows, _ in (old, new)]
        same = np.array_equal(new[0], old[0])
        for place, value in enumerate(measure.values):
            interval: IntervalOf = _bootstrapped(distribution, place, same)
            if value in measure.without_interval:
                interval = partial(_none, measure.without_interval[value])
            values = float(points[0][place]), float(points[1][place])
            sizes = len(set(current.studies) | set(challenger.studies)), len(names)
            found.append(
                _difference(key, measure, place, values, interval, None, {}, inference.confidence, sizes)
            )
    return found


def _none(reason: str, confidence: float, side: Side = "two-sided") -> Interval:
    return Interval(math.nan, math.nan, math.nan, confidence, side, "no interval", reason)


def _difference(
    key: str,
    measure: Measure,
    place: int,
    values: tuple[float, float],
    interval: IntervalOf,
    silent: IntervalOf | None,
    tests: dict[str, TestResult],
    confidence: float,
    sizes: tuple[int, int],
) -> Difference:
    current, challenger = map(float, values)
    both = interval(confidence=confidence)
    return Difference(
        measure=key,
        value=measure.values[place],
        signature=measure.signature(),
        higher_is_better=measure.higher_is_better,
        current=current,
        challenger=challenger,
        difference=challenger - current,
        low=both.low,
        high=both.high,
        confidence=confidence,
        method=both.method,
        reason=both.reason,
        n_studies=sizes[0],
        n_patients=sizes[1],
        tests=tests,
        interval=interval,
        silent=silent,
    )


def _point(measure: Measure, table: Ints) -> Floats:
    return measure.value(table.sum(axis=0).astype(np.float64))


def _stacked(measure: Measure, totals: Floats) -> Floats:
    """The difference of the values of two arms whose columns stand side by side."""
    width = len(measure.columns)
    return np.asarray(measure.value(totals[..., :width]) - measure.value(totals[..., width:]))


def _bootstrapped(distribution: BootstrapDistribution, place: int, same: bool) -> IntervalOf:
    """The bootstrap's interval; [0, 0] where the two runs have the very same rows."""
    if same and not math.isnan(distribution.estimate[place]):
        return _nothing
    return partial(distribution.guarded_interval, place)


def _nothing(confidence: float, side: Side = "two-sided") -> Interval:
    return Interval(0.0, 0.0, 0.0, confidence, side, SAME)


def _columns(measure: Measure, value: str) -> list[int] | None:
    """The columns of successes and trials of a proportion."""
    names = measure.proportions.get(value)
    if names is None:
        return None
    return [measure.columns.index(name) for name in (names.successes, names.trials)]


def _by_patient(table: Ints, patients: Sequence[str]) -> tuple[Floats, Floats]:
    names, patient = cluster_index(patients)
    successes, trials = (np.bincount(patient, column, len(names)).astype(np.float64) for column in table.T)
    return successes, trials


def _score_tests(scores: tuple[Floats, Floats], place: int, patients: Sequence[str]) -> dict[str, TestResult]:
    """Tests on the scores of single studies; none where an arm's own answers decide which have one.

    A study in which one arm invents a finding and the other does not has an F1 in one arm alone: left
    out, a test would see nothing of inventions.
    """
    new, old = (each[:, place] for each in scores)
    known = ~np.isnan(new)
    if (known != ~np.isnan(old)).any():
        return {}
    of = np.asarray(patients)[known]
    return {
        "t": paired_t_test(new[known], old[known], of),
        "signed-rank": signed_rank_test(new[known], old[known], of),
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
