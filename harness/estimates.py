"""Rows to numbers: every measure, overall and by group, with its interval and counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.inference import (
    Interval,
    bca_interval,
    bootstrap_totals,
    bootstrap_weights,
    clustered_proportion_interval,
)
from harness.inference.results import Side
from harness.measures.base import Measure, WeightedMeasure

OneSided = Literal["lower", "upper"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCK: Final = 1 << 21
"""Study weights held at a time: 16 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number with its proof."""

    measure: str
    value: str
    slice: str | None
    """`sex=F`, or None for all studies."""
    signature: str
    estimate: float
    low: float
    high: float
    confidence: float
    """Of the two-sided interval [low, high]."""
    method: str
    numerator: int | None
    """Counts, for values that are proportions."""
    denominator: int | None
    n_studies: int
    n_patients: int
    reason: str
    """Why it is undefined; empty where it is not."""
    bounds: Mapping[str, float] = field(default_factory=dict)
    """`lower@0.95` -> one-sided bound; those that the suite's criteria need, and their opposites."""

    def bound(self, side: OneSided, confidence: float) -> float:
        """A one-sided bound; NaN where it is undefined."""
        return self.bounds.get(bound_key(side, confidence), math.nan)

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN as None."""
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        record["bounds"] = {key: _plain(value) for key, value in self.bounds.items()}
        return {key: _plain(value) for key, value in record.items()}


def bound_key(side: OneSided, confidence: float) -> str:
    """The name of a one-sided bound in `Estimate.bounds`."""
    return f"{side}@{confidence:g}"


def estimate_all(
    measures: Mapping[str, Measure],
    rows: Mapping[str, Ints],
    patients: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    *,
    confidence: float,
    bound_confidences: Sequence[float],
    replicates: int,
    seed: int,
) -> list[Estimate]:
    """Estimates of every value of every measure, on all studies and on each group of each slice.

    Proportions get design-effect-corrected Clopper-Pearson bounds with patients as clusters;
    everything else a BCa bootstrap over patients. All share one draw of resampling weights.

    Args:
        measures: key -> measure.
        rows: key -> integer rows, shape (n, columns of that measure).
        patients: the patient of each study, length n.
        groups: slice name -> the group of each study, length n.
        confidence: of the two-sided intervals.
        bound_confidences: confidences at which criteria need one-sided bounds.
        replicates: bootstrap replicates.
        seed: of the resampling weights.
    """
    names, patient = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    estimates: list[Estimate] = []
    for label, mask in _slices(groups, len(patients)):
        chosen, index = np.unique(patient[mask], return_inverse=True)
        clusters = names[chosen]
        sums = {key: _cluster_sums(table[mask], index, len(clusters)) for key, table in rows.items()}
        resampled = [
            key
            for key, measure in measures.items()
            if not isinstance(measure, WeightedMeasure) and len(measure.proportions) < len(measure.values)
        ]
        totals = bootstrap_totals(
            [sums[key] for key in resampled], clusters, replicates=replicates, seed=seed
        )
        distributions = dict(zip(resampled, totals, strict=True))
        for key, measure in measures.items():
            if isinstance(measure, WeightedMeasure):
                draw = partial(bootstrap_weights, clusters, seed=seed)
                found = _of_weights(measure, rows[key][mask], index, draw, replicates)
            else:
                found = _of_totals(measure, sums[key], distributions.get(key))
            estimates += _estimates(
                key, measure, found, label, int(mask.sum()), len(clusters), confidence, bound_confidences
            )
    return estimates


def _slices(groups: Mapping[str, Sequence[str]], studies: int) -> list[tuple[str | None, NDArray[np.bool_]]]:
    slices: list[tuple[str | None, NDArray[np.bool_]]] = [(None, np.ones(studies, dtype=bool))]
    for name, members in groups.items():
        column = np.asarray(members, dtype=str)
        slices += [(f"{name}={group}", column == group) for group in np.unique(column)]
    return slices


def _cluster_sums(table: Ints, index: NDArray[np.intp], clusters: int) -> Ints:
    sums = np.zeros((clusters, table.shape[1]), dtype=np.int64)
    np.add.at(sums, index, table)
    return sums


@dataclass(frozen=True, slots=True)
class _Found:
    """One value, how to make intervals of it, and its counts where it is a proportion."""

    estimate: float
    interval: Callable[..., Interval]
    numerator: int | None = None
    denominator: int | None = None


def _of_totals(measure: Measure, sums: Ints, distribution: Floats | None) -> list[_Found]:
    total = sums.sum(axis=0)
    point = measure.value(total.astype(np.float64))
    no_values = np.empty((0, len(measure.values)))
    replicate_values = no_values if distribution is None else measure.value(distribution)
    left_out = no_values if distribution is None else measure.value((total - sums).astype(np.float64))
    found = []
    for place, value in enumerate(measure.values):
        proportion = measure.proportions.get(value)
        if proportion is not None:
            names = (proportion.successes, proportion.trials)
            counts = (sums[:, measure.columns.index(name)] for name in names)
            found.append(_of_counts(float(point[place]), *counts))
        else:
            found.append(_of_replicates(float(point[place]), replicate_values[:, place], left_out[:, place]))
    return found


def _of_weights(
    measure: WeightedMeasure,
    rows: Ints,
    index: NDArray[np.intp],
    draw: Callable[..., Ints],
    replicates: int,
) -> list[_Found]:
    """The values of a measure that needs every study's own weight; as `_of_totals` otherwise."""
    clusters = int(index.max(initial=-1)) + 1
    point = measure.weighted(rows, np.ones(len(rows)))
    counts = measure.counts(rows)
    replicate_values = left_out = np.empty((0, len(measure.values)))
    if not set(measure.values) <= {*counts, *measure.without_interval}:
        size = max(1, _BLOCK // max(1, len(rows)))
        blocks = [(start, min(size, replicates - start)) for start in range(0, replicates, size)]
        replicate_values = np.concatenate(
            [measure.weighted(rows, draw(replicates=n, start=at)[:, index].astype(float)) for at, n in blocks]
        )
        each = np.arange(clusters)
        left_out = np.concatenate(
            [
                measure.weighted(rows, (each[at : at + size, None] != index).astype(float))
                for at in range(0, clusters, size)
            ]
        )
    found = []
    for place, value in enumerate(measure.values):
        estimate = float(point[place])
        if value in counts:
            table = _cluster_sums(np.stack(counts[value], axis=1), index, clusters)
            found.append(_of_counts(estimate, *table.T))
        elif value in measure.without_interval:
            reason = measure.without_interval[value]
            found.append(_Found(estimate, partial(_no_interval, reason=reason, estimate=estimate)))
        else:
            found.append(_of_replicates(estimate, replicate_values[:, place], left_out[:, place]))
    return found


def _of_counts(estimate: float, successes: Ints, trials: Ints) -> _Found:
    interval = partial(clustered_proportion_interval, successes, trials)
    return _Found(estimate, interval, int(successes.sum()), int(trials.sum()))


def _of_replicates(estimate: float, replicates: Floats, left_out: Floats) -> _Found:
    return _Found(estimate, partial(bca_interval, estimate, replicates, left_out))


def _no_interval(confidence: float, reason: str, estimate: float, side: Side = "two-sided") -> Interval:
    return Interval(math.nan, math.nan, estimate, confidence, side, "no interval", reason)


def _estimates(
    key: str,
    measure: Measure,
    values: Sequence[_Found],
    label: str | None,
    studies: int,
    patients: int,
    confidence: float,
    bound_confidences: Sequence[float],
) -> list[Estimate]:
    estimates = []
    for value, found in zip(measure.values, values, strict=True):
        both = found.interval(confidence=confidence)
        bounds = {}
        for level in bound_confidences:
            bounds[bound_key("lower", level)] = found.interval(confidence=level, side="lower").low
            bounds[bound_key("upper", level)] = found.interval(confidence=level, side="upper").high
        estimates.append(
            Estimate(
                measure=key,
                value=value,
                slice=label,
                signature=measure.signature(),
                estimate=found.estimate,
                low=both.low,
                high=both.high,
                confidence=confidence,
                method=both.method,
                numerator=found.numerator,
                denominator=found.denominator,
                n_studies=studies,
                n_patients=patients,
                reason=both.reason,
                bounds=bounds,
            )
        )
    return estimates


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
