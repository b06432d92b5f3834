"""Tests of paired measurements, on cluster means where subjects come in clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import PermutationMethod, ttest_1samp, wilcoxon

from harness.inference.cluster_sums import cluster_index
from harness.inference.results import TestResult, undefined_test


def paired_t_test(first: ArrayLike, second: ArrayLike, clusters: ArrayLike | None = None) -> TestResult:
    """Student's two-sided t test of the mean difference, first minus second.

    Args:
        first: measurements by the first method, shape (n,).
        second: measurements of the same subjects by the second, shape (n,).
        clusters: the cluster of each subject, length n; the test is then on the mean difference of
            each cluster, and clusters count alike.

    Returns:
        p is 1 where nothing differs. Undefined with fewer than two clusters, or where all differ by
        the same amount.

    Raises:
        ValueError: lengths differ, or a measurement is not finite.
    """
    difference = mean_differences(first, second, clusters)
    method = "paired t" if clusters is None else "paired t on cluster means"
    if len(difference) < 2:
        return undefined_test(method, "fewer than two differences")
    if not difference.any():
        return TestResult(0.0, 1.0, method)
    if np.ptp(difference) <= 1e-12 * np.abs(difference).max():
        return undefined_test(method, "no variation between differences")
    found = ttest_1samp(difference, 0.0)
    return TestResult(float(found.statistic), float(found.pvalue), method)


def signed_rank_test(first: ArrayLike, second: ArrayLike, clusters: ArrayLike | None = None) -> TestResult:
    """Wilcoxon's two-sided signed-rank test; the statistic is the smaller rank sum.

    Exact for up to 50 differences without ties and up to 13 with ties, else by the normal
    approximation corrected for ties; differences of 0 are left out (Wilcoxon, Biometrics
    1945;1:80-83).

    Args:
        first: measurements by the first method, shape (n,).
        second: measurements of the same subjects by the second, shape (n,).
        clusters: as in `paired_t_test`.

    Returns:
        p is 1 where nothing differs. Undefined without any measurement.

    Raises:
        ValueError: lengths differ, or a measurement is not finite.
    """
    difference = mean_differences(first, second, clusters)
    method = "signed rank" if clusters is None else "signed rank on cluster means"
    if not len(difference):
        return undefined_test(method, "no differences")
    difference = difference[difference != 0]
    if not len(difference):
        return TestResult(0.0, 1.0, method)
    if len(np.unique(np.abs(difference))) == len(difference) and len(difference) <= 50:
        found, name = wilcoxon(difference, method="exact", axis=None), "exact"
    elif len(difference) <= 13:  # ties: by all 2^13 patterns of signs
        found, name = wilcoxon(difference, method=PermutationMethod(n_resamples=2**13), axis=None), "exact"
    else:
        found, name = wilcoxon(difference, method="asymptotic"), "normal"  # type: ignore[call-overload]  # stub
    return TestResult(float(found.statistic), float(found.pvalue), f"{method}, {name}")


def mean_differences(first: ArrayLike, second: ArrayLike, clusters: ArrayLike | None) -> NDArray[np.float64]:
    """First minus second, the mean of each cluster where there are clusters.

    Raises:
        ValueError: lengths differ, or a measurement is not finite.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError(f"first and second must be of one length, not {one.shape} and {other.shape}")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("measurements must be finite; an undefined one has no difference")
    difference: NDArray[np.float64] = one - other
    if clusters is None:
        return difference
    names, index = cluster_index(clusters)
    if len(index) != len(difference):
        raise ValueError(f"each subject needs a cluster: {len(difference)} subjects, {len(index)} clusters")
    # Sorted within clusters, so that the order of subjects cannot change a rounding.
    order = np.lexsort((difference, index))
    return np.bincount(index[order], difference[order], len(names)) / np.bincount(index, minlength=len(names))
