"""Rows to numbers: every measure, overall and by group, with its interval and counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.inference import (
    Bootstrap,
    BootstrapDistribution,
    Interval,
    clustered_proportion_interval,
)
from harness.inference.cluster_sums import cluster_index
from harness.measures.base import Measure, WeightedMeasure
from harness.study import UNKNOWN_GROUP
from harness.weighted import WeightedValue, weighted_values

OneSided = Literal["lower", "upper"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
IntervalOf = Callable[..., Interval]
"""`confidence=` and `side=` to the interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One number with its proof."""

    measure: str
    value: str
    slice: str | None
    """`sex=F`, `sex*age=F*40-64`, or None for all studies; `sex` for a disparity between its groups."""
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
    bounds: Mapping[str, float]
    """`lower@0.95` -> one-sided bound; those that the suite's criteria name, and their opposites."""
    interval: IntervalOf = field(repr=False, compare=False)
    """The interval at any confidence, of any side."""
    perfect: IntervalOf | None = field(default=None, repr=False, compare=False)
    """For proportions: the interval if every one of these trials had succeeded (`side="lower"`), or
    none had (`side="upper"`): the best that so many can show."""

    def bound(self, side: OneSided, confidence: float) -> float:
        """A one-sided bound; NaN where it is undefined."""
        return end_of(self.interval(confidence=confidence, side=side), side)

    def best_bound(self, side: OneSided, confidence: float) -> float:
        """The bound of a perfect result on the same trials; NaN for what is no proportion."""
        if self.perfect is None:
            return math.nan
        return end_of(self.perfect(confidence=confidence, side=side), side)

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN as None."""
        left_out = ("interval", "perfect", "bounds")
        record = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in left_out}
        bounds = {key: _plain(value) for key, value in self.bounds.items()}
        return {**{key: _plain(value) for key, value in record.items()}, "bounds": bounds}


@dataclass(frozen=True, slots=True)
class Settings:
    """How intervals are made."""

    confidence: float
    """Of the two-sided intervals."""
    bound_confidences: tuple[float, ...]
    """Confidences at which one-sided bounds are written down."""
    replicates: int
    """Of the bootstrap."""
    seed: int
    """Of the resampling weights."""


def end_of(interval: Interval, side: OneSided) -> float:
    """The end of an interval that a one-sided bound is about."""
    return interval.low if side == "lower" else interval.high


def slice_columns(
    slices: Sequence[str], groups: Sequence[Mapping[str, str]]
) -> tuple[dict[str, list[str]], list[str]]:
    """The group of each study in each slice, and the slices that no study has a group in.

    Args:
        slices: names, such as "sex", or "sex*age" for an intersection, whose groups are named
            "F*40-64".
        groups: slice name -> group, for each study.
    """
    columns, absent = {}, []
    for name in slices:
        parts = name.split("*")
        if any(not any(part in group for group in groups) for part in parts):
            absent.append(name)
        else:
            columns[name] = ["*".join(group.get(part, UNKNOWN_GROUP) for part in parts) for group in groups]
    return columns, absent


def estimate_all(
    measures: Mapping[str, Measure],
    rows: Mapping[str, Ints],
    patients: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    settings: Settings,
) -> list[Estimate]:
    """Estimates of every value of every measure, on all studies and on each group of each slice.

    Proportions get guarded Clopper-Pearson intervals with patients as clusters; everything else a
    guarded BCa bootstrap over patients. One draw of resampling weights serves all.

    Args:
        measures: key -> measure.
        rows: key -> integer rows, shape (n, columns of that measure).
        patients: the patient of each study, length n.
        groups: slice name -> the group of each study, length n.
        settings: of the intervals.
    """
    names, patient = cluster_index(patients)
    slices = list(_slices(groups, len(patients)))
    resampled = [
        key
        for key, measure in measures.items()
        if not isinstance(measure, WeightedMeasure) and set(measure.values) - set(measure.proportions)
    ]
    found = Bootstrap(names[patient], settings.replicates, settings.seed).distributions(
        [(rows[key], measures[key].value) for key in resampled],
        [None if label is None else mask for label, mask in slices],
    )
    estimates: list[Estimate] = []
    for (label, mask), distributions in zip(slices, found, strict=True):
        by_key = dict(zip(resampled, distributions, strict=True))
        chosen, index = np.unique(patient[mask], return_inverse=True)
        for key, measure in measures.items():
            if isinstance(measure, WeightedMeasure):
                values = weighted_values(
                    measure,
                    rows[key][mask],
                    index,
                    names[chosen],
                    replicates=settings.replicates,
                    seed=settings.seed,
                )
            else:
                values = _values(measure, rows[key][mask], index, len(chosen), by_key.get(key))
            for value, found_value in zip(measure.values, values, strict=True):
                estimates.append(
                    _estimate(key, value, measure, label, found_value, settings, (len(index), len(chosen)))
                )
    return estimates


def _slices(
    groups: Mapping[str, Sequence[str]], studies: int
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    yield None, np.ones(studies, dtype=bool)
    for name, members in groups.items():
        column = np.asarray(members, dtype=str)
        for group in np.unique(column):
            yield f"{name}={group}", column == group


def _values(
    measure: Measure,
    table: Ints,
    index: NDArray[np.intp],
    patients: int,
    distribution: BootstrapDistribution | None,
) -> list[WeightedValue]:
    """Every value of a measure of column totals on some studies, with how its intervals are made."""
    point = measure.value(table.sum(axis=0).astype(np.float64))
    values = []
    for place, value in enumerate(measure.values):
        names = measure.proportions.get(value)
        if names is None:
            assert distribution is not None  # noqa: S101  # there for all but proportions
            values.append(WeightedValue(float(point[place]), partial(distribution.guarded_interval, place)))
            continue
        successes, trials = (
            np.bincount(index, table[:, measure.columns.index(name)], patients).astype(np.int32)
            for name in (names.successes, names.trials)
        )
        counted = trials > 0  # the others say nothing, and intervals are kept for as long as estimates
        successes, trials = successes[counted], trials[counted]
        interval = partial(clustered_proportion_interval, successes, trials)
        values.append(WeightedValue(float(point[place]), interval, successes, trials))
    return values


def _estimate(
    key: str,
    value: str,
    measure: Measure,
    label: str | None,
    found: WeightedValue,
    settings: Settings,
    sizes: tuple[int, int],
) -> Estimate:
    both = found.interval(confidence=settings.confidence)
    return Estimate(
        measure=key,
        value=value,
        slice=label,
        signature=measure.signature(),
        estimate=found.estimate,
        low=both.low,
        high=both.high,
        confidence=settings.confidence,
        method=both.method,
        numerator=found.numerator,
        denominator=found.denominator,
        n_studies=sizes[0],
        n_patients=sizes[1],
        reason=both.reason,
        bounds=bounds_of(found.interval, settings.bound_confidences),
        interval=found.interval,
        perfect=None if found.trials is None else partial(_perfect, found.trials),
    )


def bounds_of(interval: IntervalOf, confidences: Sequence[float]) -> dict[str, float]:
    """One-sided bounds to write down: `lower@0.95` and so on."""
    sides: tuple[OneSided, ...] = ("lower", "upper")
    return {
        f"{side}@{level:g}": end_of(interval(confidence=level, side=side), side)
        for level in confidences
        for side in sides
    }


def _perfect(trials: NDArray[Any], confidence: float, side: Literal["lower", "upper"]) -> Interval:
    successes = trials if side == "lower" else np.zeros_like(trials)
    return clustered_proportion_interval(successes, trials, confidence, side)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
