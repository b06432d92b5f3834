"""Equalized odds and demographic parity between the groups of a slice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.estimates import Estimate, Settings, bounds_of
from harness.inference import Bootstrap
from harness.measures.base import Measure, ratio
from harness.measures.findings_detection import CELLS, POOLED

Floats = NDArray[np.float64]

VALUES: Final = (
    "equalized-odds difference",
    "equalized-odds ratio",
    "demographic-parity difference",
    "demographic-parity ratio",
)


def estimate_disparities(
    key: str,
    measure: Measure,
    rows: NDArray[np.int64],
    patients: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    minimum_trials: int,
    settings: Settings,
) -> list[Estimate]:
    """Four disparities for each slice, as estimates whose `slice` is the slice's name.

    Over the pooled decisions of a `findings_detection`. Equalized-odds difference: the larger of the
    largest differences of true and of false positive rates between groups; ratio: the smaller of the
    smallest ratios. Demographic parity: the same of the share of decisions that are positive claims
    (Hardt, Price & Srebro, NeurIPS 2016; as fairlearn defines them, which gives the values).
    Intervals: BCa over patients on the suite's draw.

    A group with fewer than the minimum of positives or negatives has no rate to compare: taken along
    it would hide behind 0/0, or rule by chance. It is left out and named in `method`.

    Args:
        key: what the suite calls the measure.
        measure: the `findings_detection`.
        rows: its rows, shape (n, columns).
        patients: the patient of each study, length n.
        groups: slice name -> the group of each study, length n.
        minimum_trials: positives and negatives that a group needs.
        settings: of the intervals.
    """
    cells = rows[:, [measure.columns.index(f"{POOLED}:{cell}") for cell in CELLS]]
    estimates = []
    for name, members in groups.items():
        column = np.asarray(members, dtype=str)
        sizes = {group: cells[column == group].sum(axis=0) for group in np.unique(column)}
        large = [g for g, (_, pos, _, neg) in sizes.items() if min(pos, neg) >= minimum_trials]
        small = [
            f"{g} ({pos} positives, {neg} negatives)"
            for g, (_, pos, _, neg) in sizes.items()
            if g not in large
        ]
        table = np.concatenate(
            [np.where((column == group)[:, None], cells, 0) for group in large] or [cells[:, :0]], axis=1
        )
        [[distribution]] = Bootstrap(patients, settings.replicates, settings.seed).distributions(
            [(table, disparities)]
        )
        points = _points(table.sum(axis=0)) if len(large) > 1 else np.full(len(VALUES), np.nan)
        chosen = np.isin(column, large)
        note = f"between {len(large)} groups"
        if small:
            note += f"; below the minimum of {minimum_trials}, not evaluated: {', '.join(small)}"
        for place, value in enumerate(VALUES):
            interval = partial(distribution.guarded_interval, place)
            both = interval(confidence=settings.confidence)
            few = "fewer than two groups are large enough" if len(large) < 2 else ""
            estimates.append(
                Estimate(
                    measure=key,
                    value=value,
                    slice=name,
                    signature=f"{measure.signature()}|{value}",
                    estimate=float(points[place]),
                    low=both.low,
                    high=both.high,
                    confidence=settings.confidence,
                    method=f"{both.method}, {note}",
                    numerator=None,
                    denominator=None,
                    n_studies=int(chosen.sum()),
                    n_patients=len(set(np.asarray(patients, dtype=str)[chosen])),
                    reason=few or both.reason,
                    bounds=bounds_of(interval, settings.bound_confidences),
                    interval=interval,
                )
            )
    return estimates


def disparities(totals: Floats) -> Floats:
    """Totals of TP, positives, TN, negatives of each group, (..., 4 x groups), to (..., 4) values.

    NaN where there are fewer than two groups, where a group has no positives or no negatives, and
    for a ratio whose rates are all 0: 0/0.
    """
    if totals.shape[-1] < 2 * len(CELLS):
        return np.full((*totals.shape[:-1], len(VALUES)), np.nan)
    table = totals.reshape(*totals.shape[:-1], -1, len(CELLS))
    hit, positives, rejected, negatives = np.moveaxis(table, -1, 0)
    sensitivity = ratio(hit, positives)
    false_positive = ratio(negatives - rejected, negatives)
    claimed = ratio(hit + negatives - rejected, positives + negatives)
    # A group without positives or without negatives has no odds to be equal.
    gone = np.isnan(sensitivity).any(axis=-1) | np.isnan(false_positive).any(axis=-1)
    rates = np.stack([sensitivity, false_positive, claimed])
    most, least = rates.max(axis=-1), rates.min(axis=-1)
    difference, quotient = most - least, ratio(least, most)
    values = np.stack(
        [
            np.maximum(difference[0], difference[1]),
            np.minimum(quotient[0], quotient[1]),
            difference[2],
            quotient[2],
        ],
        axis=-1,
    )
    values[gone] = np.nan
    return values


def _points(totals: NDArray[np.int64]) -> Floats:
    """The four values by fairlearn, of groups that all have positives and negatives."""
    from fairlearn import metrics

    table = totals.reshape(-1, len(CELLS))
    truth, claim, group, weight = [], [], [], []
    for number, (hit, positives, rejected, negatives) in enumerate(table):
        truth += [1, 1, 0, 0]
        claim += [1, 0, 1, 0]
        group += [number] * 4
        weight += [hit, positives - hit, negatives - rejected, rejected]
    decisions: dict[str, Any] = {
        "y_true": truth,
        "y_pred": claim,
        "sensitive_features": group,
        "sample_weight": weight,
    }
    found = [
        float(metrics.equalized_odds_difference(**decisions)),
        float(metrics.equalized_odds_ratio(**decisions)),
        float(metrics.demographic_parity_difference(**decisions)),
        float(metrics.demographic_parity_ratio(**decisions)),
    ]
    # Where a rate is 0 in every group its ratio is 0/0, whatever the library makes of it.
    undefined = np.isnan(disparities(totals.astype(np.float64)))
    return np.array([math.nan if gone else value for value, gone in zip(found, undefined, strict=True)])
