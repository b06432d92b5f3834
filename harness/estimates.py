"""Rows to numbers: every measure, overall and by group, with its interval and counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.inference import (
    Interval,
    bca_interval,
    bootstrap_totals,
    clustered_proportion_interval,
)
from harness.measures.base import Measure, WeightedMeasure
from harness.weighted import WeightedValue, weighted_values

OneSided = Literal["lower", "upper"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


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
            weighted = None
            if isinstance(measure, WeightedMeasure):
                weighted = weighted_values(
                    measure, rows[key][mask], index, clusters, replicates=replicates, seed=seed
                )
            estimates += _of_measure(
                key,
                measure,
                sums[key],
                distributions.get(key),
                weighted,
                label,
                int(mask.sum()),
                confidence,
                bound_confidences,
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


def _of_measure(
    key: str,
    measure: Measure,
    sums: Ints,
    distribution: Floats | None,
    weighted: Sequence[WeightedValue] | None,
    label: str | None,
    studies: int,
    confidence: float,
    bound_confidences: Sequence[float],
) -> list[Estimate]:
    total = sums.sum(axis=0)
    point = measure.value(total.astype(np.float64)) if weighted is None else [v.estimate for v in weighted]
    no_values = np.empty((0, len(measure.values)))
    replicate_values = no_values if distribution is None else measure.value(distribution)
    left_out = no_values if distribution is None else measure.value((total - sums).astype(np.float64))
    estimates = []
    for place, value in enumerate(measure.values):
        numerator = denominator = None
        proportion = measure.proportions.get(value)
        interval: Callable[..., Interval]
        if weighted is not None:
            interval = weighted[place].interval
            numerator, denominator = weighted[place].numerator, weighted[place].denominator
        elif proportion is not None:
            successes, trials = (
                sums[:, measure.columns.index(name)] for name in (proportion.successes, proportion.trials)
            )
            numerator, denominator = int(successes.sum()), int(trials.sum())
            interval = partial(clustered_proportion_interval, successes, trials)
        else:
            interval = partial(
                bca_interval, float(point[place]), replicate_values[:, place], left_out[:, place]
            )
        both = interval(confidence=confidence)
        bounds = {}
        for level in bound_confidences:
            bounds[bound_key("lower", level)] = interval(confidence=level, side="lower").low
            bounds[bound_key("upper", level)] = interval(confidence=level, side="upper").high
        estimates.append(
            Estimate(
                measure=key,
                value=value,
                slice=label,
                signature=measure.signature(),
                estimate=float(point[place]),
                low=both.low,
                high=both.high,
                confidence=confidence,
                method=both.method,
                numerator=numerator,
                denominator=denominator,
                n_studies=studies,
                n_patients=len(sums),
                reason=both.reason,
                bounds=bounds,
            )
        )
    return estimates


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
