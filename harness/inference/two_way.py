"""Differences of means whose rows share patients and readers: clusters that cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from harness.inference.cluster_sums import cluster_index
from harness.inference.resampling_weights import bootstrap_weights
from harness.inference.results import Interval, Side, TestResult, check_confidence, undefined, undefined_test

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EstimatedDifference:
    """A difference with its standard error and degrees of freedom; Student's t gives the rest."""

    estimate: float
    error: float
    """Standard error; 0 or NaN where there is no variation or too little data to tell."""
    freedom: float
    method: str
    reason: str = ""
    """Why interval and test are undefined; empty where they are not."""

    def interval(self, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
        """Student's interval, or a bound whose other end is infinite.

        Raises:
            ValueError: a confidence or side that is none.
        """
        check_confidence(confidence, side)
        if self.reason:
            return undefined(confidence, side, self.method, self.reason, self.estimate)
        reach = self.error * float(t.isf((1 - confidence) / (2 if side == "two-sided" else 1), self.freedom))
        return Interval(
            low=-math.inf if side == "upper" else self.estimate - reach,
            high=math.inf if side == "lower" else self.estimate + reach,
            estimate=self.estimate,
            confidence=confidence,
            side=side,
            method=self.method,
        )

    def test(self) -> TestResult:
        """Student's two-sided test against 0; p is 1 where the difference is exactly 0."""
        if self.estimate == 0:
            return TestResult(0.0, 1.0, self.method)
        if self.reason:
            return undefined_test(self.method, self.reason)
        statistic = self.estimate / self.error
        return TestResult(statistic, float(2 * t.sf(abs(statistic), self.freedom)), self.method)


def two_way_difference(
    values: ArrayLike,
    weights: ArrayLike,
    patients: ArrayLike,
    readers: ArrayLike | None = None,
    paired: bool = False,
) -> EstimatedDifference:
    """The difference of two weighted means, its error by patient and reader.

    The variance is that of patients plus what readers add to it, the inclusion and exclusion of
    Cameron, Gelbach & Miller, J Bus Econ Stat 2011;29:238-249 (by patient, plus by reader, minus by
    patient and reader), where readers are never taken to lessen it. Degrees of freedom are
    Satterthwaite's, in which what is known of the variance by reader counts with one degree less than
    there are readers, even if they are not seen to matter: with few readers there is no telling. (Left
    out where it is estimated as 0, it lets the test reject two to three times too often with 8 readers.)

    With one row a patient and no readers this is Welch's t test; for pairs it is the paired t test
    on the mean difference of each patient, as `paired_t_test` with clusters.

    Args:
        values: measurements, finite, shape (n,).
        weights: of each row, above 0 in the first arm, where they sum to 1, and below 0 in the second,
            where they sum to -1; shape (n,). `arm_weights` and `pair_weights` make them.
        patients: the patient of each row, length n.
        readers: the reader of each row, length n; None leaves readers out.
        paired: patients are in both arms; else each must be in one.

    Raises:
        ValueError: lengths differ, a value is not finite, or weights do not sum as they must.
    """
    y, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if y.ndim != 1 or y.shape != w.shape:
        raise ValueError(f"each value needs a weight: {y.shape} values, {w.shape} weights")
    if not np.isfinite(y).all():
        raise ValueError("values must be finite; leave out what is missing, and count it")
    if not (abs(w[w > 0].sum() - 1) < 1e-9 and abs(w[w < 0].sum() + 1) < 1e-9):
        raise ValueError("weights must sum to 1 over the first arm, and to -1 over the second")
    _, who = cluster_index(patients)
    # In an order that is the data's own, so that the order of rows cannot change a rounding.
    keys = (y, w, who) if readers is None else (y, w, cluster_index(readers)[1], who)
    order = np.lexsort(keys)
    y, w, who = y[order], w[order], who[order]
    estimate = _sum(w * y)
    means = np.where(w > 0, _sum((w * y)[w > 0]), -_sum((w * y)[w < 0]))
    parts = w * (y - means)
    method = ("paired t" if paired else "Welch t") + (
        " by patient" if readers is None else " by patient and reader"
    )
    strata = [np.ones(len(y), dtype=bool)] if paired else [w > 0, w < 0]
    reader = None if readers is None else cluster_index(np.asarray(readers)[order])[1]
    variance, freedom = two_way_variance(parts, who, reader, strata)
    if math.isnan(variance):
        reason = "fewer than two patients" + ("" if paired else " in an arm")
        return EstimatedDifference(estimate, math.nan, math.nan, method, reason)
    if variance <= (1e-12 * float(np.abs(y).max(initial=0.0))) ** 2:
        return EstimatedDifference(estimate, 0.0, math.nan, method, "no variation")
    return EstimatedDifference(estimate, math.sqrt(variance), freedom, method)


def two_way_variance(
    parts: Floats,
    patients: NDArray[np.intp],
    readers: NDArray[np.intp] | None = None,
    strata: Sequence[NDArray[np.bool_]] | None = None,
) -> tuple[float, float]:
    """The variance of an estimate from its rows' influences, and its degrees of freedom.

    As `two_way_difference` describes it.

    Args:
        parts: what each row adds to the estimate's error, shape (n,).
        patients: number of each row's patient, shape (n,).
        readers: number of each row's reader, shape (n,); None leaves readers out.
        strata: rows whose patients are drawn apart, each shape (n,); all together where left out.

    Returns:
        NaN for both with fewer than two patients in a stratum; NaN degrees of freedom without variation.
    """
    rows = [np.ones(len(parts), dtype=bool)] if strata is None else strata
    variances = [_between(parts[part], patients[part]) for part in rows]
    if min(freedom for _, freedom in variances) < 1:
        return math.nan, math.nan
    added = doubt = 0.0
    if readers is not None:
        by_reader, freedom = _between(parts, readers)
        both, _ = _between(parts, patients * (int(readers.max()) + 1) + readers)
        if freedom >= 1:
            added, doubt = max(0.0, by_reader - both), by_reader**2 / freedom
    variance = sum(part for part, _ in variances) + added
    known = sum(part**2 / count for part, count in variances) + doubt
    return variance, variance**2 / known if known > 0 else math.nan


def arm_weights(first: ArrayLike) -> Floats:
    """Weights with which each row of an arm counts alike: 1/n in the first arm, -1/n in the second.

    Args:
        first: whether a row is of the first arm, shape (n,).

    Raises:
        ValueError: an arm without a row.
    """
    one = np.asarray(first, dtype=bool)
    if one.all() or not one.any():
        raise ValueError("each arm needs a row")
    weights: Floats = np.where(one, 1 / one.sum(), -1 / (~one).sum())
    return weights


def pair_weights(first: ArrayLike, units: ArrayLike, patients: ArrayLike) -> Floats:
    """Weights with which the difference is the mean over patients of the mean over their pairs.

    Args:
        first: whether a row is of the first arm, shape (n,).
        units: the pair of each row, length n; each needs a row of either arm. Several rows of one arm
            share the weight of that side.
        patients: the patient of each row, length n; pairs do not reach over patients.

    Raises:
        ValueError: a pair without one of its sides.
    """
    one = np.asarray(first, dtype=bool)
    _, unit = cluster_index(units)
    _, who = cluster_index(patients)
    sides = np.stack([np.bincount(unit[one], minlength=unit.max() + 1),
                      np.bincount(unit[~one], minlength=unit.max() + 1)])  # fmt: skip
    if not sides.all():
        raise ValueError("each pair needs both of its sides")
    owner = np.zeros(sides.shape[1], dtype=np.intp)
    owner[unit] = who
    pairs = np.bincount(owner, minlength=who.max() + 1)
    share = 1.0 / (len(pairs) * pairs[who] * np.where(one, sides[0][unit], sides[1][unit]))
    weights: Floats = np.where(one, share, -share)
    return weights


def two_way_bootstrap(
    values: ArrayLike,
    weights: ArrayLike,
    patients: ArrayLike,
    readers: ArrayLike,
    confidence: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> Interval:
    """The percentile interval of a difference when patients and readers are both drawn anew.

    A row counts as often as its patient times as often as its reader (the pigeonhole bootstrap of
    Owen, Ann Appl Stat 2007;1:386-411), by independent Poisson draws. It is somewhat too wide, never
    much too narrow: the variation of single rows is counted up to three times. Arguments as
    `two_way_difference`. Undefined with fewer than three readers.

    Raises:
        ValueError: as `two_way_difference`.
    """
    y, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    check_confidence(confidence)
    method = "bootstrap by patient and reader"
    names, who = cluster_index(patients)
    panel, reader = cluster_index(readers)
    estimate = _sum(w * y)
    if len(panel) < 3 or len(names) < 3:
        return undefined(confidence, "two-sided", method, "fewer than three readers or patients", estimate)
    order = np.lexsort((y, w, reader, who))
    y, w, who, reader = y[order], w[order], who[order], reader[order]
    drawn = []
    for start in range(0, replicates, 250):
        count = min(250, replicates - start)
        often = bootstrap_weights(names, count, seed, start)[:, who].astype(np.float64)
        often *= bootstrap_weights(panel, count, seed + 1, start)[:, reader]
        with np.errstate(invalid="ignore", divide="ignore"):
            one, other = (
                (often[:, side] @ (w * y)[side]) / (often[:, side] @ w[side]) for side in (w > 0, w < 0)
            )
        drawn.append(one - other)
    found = np.concatenate(drawn)
    found = found[np.isfinite(found)]  # no reader of an arm was drawn
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(low), float(high), estimate, confidence, "two-sided", method)


def rank_difference(
    values: ArrayLike, first: ArrayLike, patients: ArrayLike, readers: ArrayLike | None = None
) -> EstimatedDifference:
    """How far a value of the first arm is more likely than not to be above one of the second.

    The Mann-Whitney probability less one half: P(first > second) + P(equal) / 2 - 1/2, in
    [-0.5, 0.5], for ordinal values in independent arms. Its error is that of the placements (Brunner &
    Munzel, Biometrical J 2000;42:17-25), clustered as in `two_way_difference`; with one row a patient
    it is the Brunner-Munzel test.

    Args:
        values: finite, shape (n,).
        first: whether a row is of the first arm, shape (n,).
        patients: the patient of each row, length n; each in one arm.
        readers: the reader of each row, length n, or None.

    Raises:
        ValueError: an arm without a row, lengths that differ, or a value that is not finite.
    """
    y, one = np.asarray(values, dtype=np.float64), np.asarray(first, dtype=bool)
    weights = arm_weights(one)
    placements = np.where(one, _placements(y, y[~one]), _placements(y, y[one]))
    found = two_way_difference(placements, weights, patients, readers)
    # Placements differ by P - (1 - P): twice what P lies above one half, with the error of P itself.
    return EstimatedDifference(
        found.estimate / 2, found.error, found.freedom,
        found.method.replace("Welch t", "Mann-Whitney probability"), found.reason,
    )  # fmt: skip


def _placements(values: Floats, others: Floats) -> Floats:
    """The share of the others below each value, ties counting half."""
    ordered = np.sort(others)
    below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + upto) / (2 * len(ordered))


def _between(parts: Floats, clusters: NDArray[np.intp]) -> tuple[float, float]:
    """The variance of a sum over clusters, and its degrees of freedom."""
    _, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, parts)
    count = len(sums)
    return (float((sums**2).sum()) * count / (count - 1) if count > 1 else 0.0), count - 1


def _sum(terms: Floats) -> float:
    """Exact to the last digit, whatever the order."""
    return math.fsum(terms)
