"""Values and intervals of measures that need every study's own weight, not only column totals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.inference import (
    BootstrapDistribution,
    Interval,
    bootstrap_weights,
    clustered_proportion_interval,
)
from harness.inference.results import Side
from harness.measures.base import WeightedMeasure

_BLOCK: Final = 1 << 21
"""Study weights held at a time: 16 MB."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WeightedValue:
    """One value, how intervals of it are made, and its counts where it is a proportion."""

    estimate: float
    interval: Callable[..., Interval]
    """Takes `confidence` and `side`, as `clustered_proportion_interval` does."""
    successes: NDArray[Any] | None = None
    """Of each patient with a trial."""
    trials: NDArray[Any] | None = None

    @property
    def numerator(self) -> int | None:
        """All successes."""
        return None if self.successes is None else int(self.successes.sum())

    @property
    def denominator(self) -> int | None:
        """All trials."""
        return None if self.trials is None else int(self.trials.sum())


def weighted_values(
    measure: WeightedMeasure,
    rows: NDArray[np.int64],
    patient: NDArray[np.intp],
    names: NDArray[np.str_],
    *,
    replicates: int,
    seed: int,
) -> list[WeightedValue]:
    """Every value of a measure on some studies.

    Args:
        measure: the measure.
        rows: its rows, shape (n, columns).
        patient: each study's place in `names`, length n.
        names: the patients, each with a study; the draw is keyed by them.
        replicates: bootstrap replicates.
        seed: of the resampling weights, which are those of every other measure.
    """
    points = measure.weighted(rows, np.ones(len(rows)))
    counts = measure.counts(rows)
    resampled = set(measure.values) - {*counts, *measure.without_interval}
    draws = _resampled(names, replicates, seed, len(rows)) if resampled else iter(())
    left_out = _left_out(len(names), len(rows)) if resampled else iter(())
    none = np.empty((0, len(measure.values)))
    distribution, jackknife = (
        np.concatenate([none, *(measure.weighted(rows, block[:, patient]) for block in blocks)])
        for blocks in (draws, left_out)
    )
    resamples = BootstrapDistribution(points, distribution, jackknife)
    found = []
    interval: Callable[..., Interval]
    for place, value in enumerate(measure.values):
        point = float(points[place])
        if value in counts:
            successes, trials = (
                np.bincount(patient, each, len(names)).astype(np.float64) for each in counts[value]
            )
            interval = partial(clustered_proportion_interval, successes, trials)
            found.append(WeightedValue(point, interval, successes, trials))
        elif value in measure.without_interval:
            found.append(WeightedValue(point, partial(_none, measure.without_interval[value], point)))
        else:
            found.append(WeightedValue(point, partial(resamples.guarded_interval, place)))
    return found


def weighted_difference(
    measure: WeightedMeasure,
    first: tuple[NDArray[np.int64], NDArray[np.intp]],
    second: tuple[NDArray[np.int64], NDArray[np.intp]],
    names: NDArray[np.str_],
    *,
    replicates: int,
    seed: int,
) -> BootstrapDistribution:
    """What a resampling of patients says of the difference of every value, first minus second.

    Args:
        measure: the measure.
        first: rows of the first arm, and each one's place in `names`.
        second: those of the other arm; of the same patients, or of others.
        names: all patients; the draw is keyed by them.
        replicates: bootstrap replicates.
        seed: of the resampling weights, which are those of every other measure.
    """

    def difference(weights: Floats) -> Floats:
        one, other = (measure.weighted(rows, weights[..., place]) for rows, place in (first, second))
        return one - other

    none = np.empty((0, len(measure.values)))
    studies = max(len(first[0]), len(second[0]))
    replicated, jackknife = (
        np.concatenate([none, *(difference(block) for block in blocks)])
        for blocks in (_resampled(names, replicates, seed, studies), _left_out(len(names), studies))
    )
    return BootstrapDistribution(difference(np.ones(len(names))), replicated, jackknife)


def _resampled(names: NDArray[np.str_], replicates: int, seed: int, studies: int) -> Iterator[Floats]:
    """Weights of patients, (replicates, patients), in blocks."""
    size = max(1, _BLOCK // max(1, studies))
    for start in range(0, replicates, size):
        count = min(size, replicates - start)
        yield bootstrap_weights(names, count, seed, start).astype(np.float64)


def _left_out(patients: int, studies: int) -> Iterator[Floats]:
    """Weights of patients with each left out once, (patients, patients), in blocks."""
    each = np.arange(patients)
    size = max(1, _BLOCK // max(1, studies))
    for start in range(0, patients, size):
        yield (each[start : start + size, None] != each).astype(np.float64)


def _none(reason: str, estimate: float, confidence: float, side: Side = "two-sided") -> Interval:
    return Interval(math.nan, math.nan, estimate, confidence, side, "no interval", reason)
