"""Is one method no worse than another by more than a margin, or equal within it?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, t

from harness.inference.differences import paired_score, unpaired_score
from harness.inference.paired import mean_differences
from harness.inference.results import TestResult, check_counts, undefined_test


@dataclass(frozen=True, slots=True)
class UnpairedProportions:
    """x1 of n1 and x2 of n2 independent trials succeed; tested by the Miettinen-Nurminen score."""

    x1: int
    n1: int
    x2: int
    n2: int

    def __post_init__(self) -> None:
        check_counts(x1=self.x1, n1=self.n1, x2=self.x2, n2=self.n2)
        if self.x1 > self.n1 or self.x2 > self.n2:
            raise ValueError(
                f"successes must not exceed trials: {self.x1} of {self.n1}, {self.x2} of {self.n2}"
            )


@dataclass(frozen=True, slots=True)
class PairedProportions:
    """Pairs in which both, the first alone, the second alone, neither succeeds; tested by Tango's score."""

    a: int
    b: int
    c: int
    d: int

    def __post_init__(self) -> None:
        check_counts(a=self.a, b=self.b, c=self.c, d=self.d)


@dataclass(frozen=True, slots=True, eq=False)
class PairedMeans:
    """Measurements of the same subjects, as in `paired_t_test`; tested by Student's t."""

    first: ArrayLike
    second: ArrayLike
    clusters: ArrayLike | None = None


@dataclass(frozen=True, slots=True, eq=False)
class UnpairedMeans:
    """Measurements of different subjects; tested by Welch's t."""

    first: ArrayLike
    second: ArrayLike


Comparison = UnpairedProportions | PairedProportions | PairedMeans | UnpairedMeans


def non_inferiority_test(comparison: Comparison, margin: float) -> TestResult:
    """A one-sided test against "the first is worse than the second by the margin or more".

    More is better; where less is better, exchange first and second. p < alpha just where the
    two-sided interval at confidence 1 - 2 alpha (`difference_interval` with "miettinen-nurminen",
    `paired_difference_interval` with "tango") lies above -margin.

    Args:
        comparison: the data of the two methods.
        margin: the largest loss that does not matter, above 0, in units of the measurement.

    Returns:
        The score z or t statistic, and the one-sided p. Undefined without data or variation.

    Raises:
        ValueError: a margin that is not above 0 (for proportions: and below 1), or data that are
            not finite.
    """
    _check(comparison, margin)
    statistic, freedom, name = _statistic(comparison, -margin)
    return _result(statistic, freedom, f"non-inferiority, {name}")


def equivalence_test(comparison: Comparison, margin: float) -> TestResult:
    """Two one-sided tests (TOST; Schuirmann, J Pharmacokinet Biopharm 1987;15:657-680).

    The statistic and p are those of the less significant of the two, against a difference of
    -margin or less and of +margin or more. Arguments, returns and raises as `non_inferiority_test`.
    """
    _check(comparison, margin)
    above, freedom, name = _statistic(comparison, -margin)
    below, _, _ = _statistic(comparison, margin)
    # NaN in one is NaN in the other: they share the data.
    return _result(min(above, -below), freedom, f"equivalence, {name}")


def _check(comparison: Comparison, margin: float) -> None:
    proportions = isinstance(comparison, UnpairedProportions | PairedProportions)
    if not (0 < margin < (1 if proportions else math.inf)):
        raise ValueError(f"the margin must be above 0{' and below 1' if proportions else ''}, not {margin!r}")


def _result(statistic: float, freedom: float, method: str) -> TestResult:
    if math.isnan(statistic):
        return undefined_test(method, "too few data, or no variation")
    return TestResult(statistic, float(t.sf(statistic, freedom) if freedom else norm.sf(statistic)), method)


def _statistic(comparison: Comparison, delta: float) -> tuple[float, float, str]:
    """The statistic against a difference of delta (NaN: undefined), degrees of freedom (0: z), its name."""
    if isinstance(comparison, UnpairedProportions):
        counts = comparison
        if not (counts.n1 and counts.n2):
            return math.nan, 0.0, "Miettinen-Nurminen"
        above, error = unpaired_score(counts.x1, counts.n1, counts.x2, counts.n2, delta)
        return _ratio(above, error), 0.0, "Miettinen-Nurminen"
    if isinstance(comparison, PairedProportions):
        pairs = comparison.a + comparison.b + comparison.c + comparison.d
        if not pairs:
            return math.nan, 0.0, "Tango"
        above_pairs, error_pairs = paired_score(comparison.b, comparison.c, pairs, delta)
        return _ratio(float(above_pairs), float(error_pairs)), 0.0, "Tango"
    if isinstance(comparison, PairedMeans):
        difference = mean_differences(comparison.first, comparison.second, comparison.clusters)
        if len(difference) < 2:
            return math.nan, 1.0, "paired t"
        error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
        return _ratio(float(difference.mean()) - delta, error), len(difference) - 1.0, "paired t"
    return _welch(comparison, delta)


def _welch(comparison: UnpairedMeans, delta: float) -> tuple[float, float, str]:
    arms = [np.asarray(arm, dtype=np.float64) for arm in (comparison.first, comparison.second)]
    if any(arm.ndim != 1 or not np.isfinite(arm).all() for arm in arms):
        raise ValueError("measurements must be finite and in one dimension")
    if min(len(arm) for arm in arms) < 2:
        return math.nan, 1.0, "Welch t"
    parts = [float(arm.var(ddof=1)) / len(arm) for arm in arms]
    error = math.sqrt(sum(parts))
    if error == 0:
        return math.nan, 1.0, "Welch t"
    freedom = sum(parts) ** 2 / sum(part**2 / (len(arm) - 1) for part, arm in zip(parts, arms, strict=True))
    return _ratio(float(arms[0].mean() - arms[1].mean()) - delta, error), freedom, "Welch t"


def _ratio(above: float, error: float) -> float:
    return above / error if error > 0 else math.nan
