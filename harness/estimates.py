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
from harness.measures.base import Measure
from harness.study import UNKNOWN_GROUP

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
    resampled = [key for key in measures if set(measures[key].values) - set(measures[key].proportions)]
    found = Bootstrap(names[patient], settings.replicates, settings.seed).distributions(
        [(rows[key], measures[key].value) for key in resampled], [mask for _, mask in slices]
    )
    estimates: list[Estimate] = []
    for (label, mask), distributions in zip(slices, found, strict=True):
        by_key = dict(zip(resampled, distributions, strict=True))
        group = _Group(label, patient[mask])
        for key, measure in measures.items():
            estimates += group.estimates(key, measure, rows[key][mask], by_key.get(key), settings)
    return estimates


def _slices(
    groups: Mapping[str, Sequence[str]], studies: int
) -> Iterator[tuple[str | None, NDArray[np.bool_]]]:
    yield None, np.ones(studies, dtype=bool)
    for name, members in groups.items():
        column = np.asarray(members, dtype=str)
        for group in np.unique(column):
            yield f"{name}={group}", column == group


class _Group:
    """The studies of one group of a slice, or all."""

    def __init__(self, label: str | None, patient: NDArray[np.intp]) -> None:
        self.label, self.studies = label, len(patient)
        members, self.index = np.unique(patient, return_inverse=True)
        self.patients = len(members)

    def estimates(
        self,
        key: str,
        measure: Measure,
        table: Ints,
        distribution: BootstrapDistribution | None,
        settings: Settings,
    ) -> Iterator[Estimate]:
        """One estimate a value of the measure."""
        point = measure.value(table.sum(axis=0).astype(np.float64))
        for place, value in enumerate(measure.values):
            numerator = denominator = None
            interval: IntervalOf
            perfect: IntervalOf | None = None
            if value in measure.proportions:
                names = measure.proportions[value]
                successes, trials = (
                    np.bincount(self.index, table[:, measure.columns.index(name)], self.patients).astype(
                        np.float64
                    )
                    for name in (names.successes, names.trials)
                )
                numerator, denominator = int(successes.sum()), int(trials.sum())
                interval = partial(clustered_proportion_interval, successes, trials)
                perfect = partial(_perfect, trials)
            else:
                assert distribution is not None  # noqa: S101  # there for all but proportions
                interval = partial(distribution.guarded_interval, place)
            both = interval(confidence=settings.confidence)
            yield Estimate(
                measure=key,
                value=value,
                slice=self.label,
                signature=measure.signature(),
                estimate=float(point[place]),
                low=both.low,
                high=both.high,
                confidence=settings.confidence,
                method=both.method,
                numerator=numerator,
                denominator=denominator,
                n_studies=self.studies,
                n_patients=self.patients,
                reason=both.reason,
                bounds=bounds_of(interval, settings.bound_confidences),
                interval=interval,
                perfect=perfect,
            )


def bounds_of(interval: IntervalOf, confidences: Sequence[float]) -> dict[str, float]:
    """One-sided bounds to write down: `lower@0.95` and so on."""
    sides: tuple[OneSided, ...] = ("lower", "upper")
    return {
        f"{side}@{level:g}": end_of(interval(confidence=level, side=side), side)
        for level in confidences
        for side in sides
    }


def _perfect(trials: Floats, confidence: float, side: Literal["lower", "upper"]) -> Interval:
    successes = trials if side == "lower" else np.zeros_like(trials)
    return clustered_proportion_interval(successes, trials, confidence, side)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
