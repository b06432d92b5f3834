"""Tests of whether two methods succeed equally often on the same subjects."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, chi2

from harness.inference.results import TestResult, check_counts, check_option, undefined_test

McNemarMethod = Literal["exact", "mid-p", "asymptotic", "continuity-corrected"]
ClusteredMethod = Literal["obuchowski", "durkalski", "eliasziw-donner", "yang"]

Floats = NDArray[np.float64]


def mcnemar_test(b: int, c: int, method: McNemarMethod = "exact") -> TestResult:
    """McNemar's two-sided test.

    As set out by Fagerland, Lydersen & Laake, BMC Med Res Methodol 2013;13:91. The statistic is the
    smaller of b and c for "exact" and "mid-p", chi-squared with 1 degree of freedom for the others.

    Args:
        b: pairs in which the first alone succeeds.
        c: pairs in which the second alone succeeds. With b = c = 0 nothing speaks for a difference,
            and p is 1.
        method: which test.

    Raises:
        ValueError: counts that are negative or not whole, or an unknown option.
    """
    check_option("method", method, get_args(McNemarMethod))
    check_counts(b=b, c=c)
    name = f"McNemar, {method}"
    smaller, discordant = min(b, c), b + c
    if method in ("exact", "mid-p"):
        if discordant == 0:
            return TestResult(0.0, 1.0, name)
        p = min(1.0, 2 * float(binom.cdf(smaller, discordant, 0.5)))
        if method == "mid-p":
            # With b = c the exact p is cut off at 1, and so is what half the observed table takes off.
            p -= float(binom.pmf(smaller, discordant, 0.5)) * (0.5 if b == c else 1)
        return TestResult(float(smaller), p, name)
    if discordant == 0:
        return TestResult(0.0, 1.0, name)
    apart = abs(b - c)
    if method == "continuity-corrected":
        apart = max(apart - 1, 0)
    return _chi_squared(apart**2 / discordant, name)


def clustered_mcnemar_test(
    a: ArrayLike, b: ArrayLike, c: ArrayLike, d: ArrayLike, method: ClusteredMethod = "obuchowski"
) -> TestResult:
    """McNemar's test for pairs that come in clusters: chi-squared with 1 degree of freedom.

    Obuchowski, Stat Med 1998;17:1495-1507; Durkalski et al., Stat Med 2003;22:2417-2428; Eliasziw &
    Donner, Stat Med 1991;10:1981-1991; Yang et al., Stat Med 2010;29:3115-3126 (who also give
    Obuchowski's in the short form used here).

    Args:
        a: pairs in which both succeed, shape (clusters,).
        b: pairs in which the first alone succeeds, shape (clusters,).
        c: pairs in which the second alone succeeds, shape (clusters,).
        d: pairs in which neither succeeds, shape (clusters,).
        method: which test. Clusters without pairs are left out. Without any discordant pair p is 1;
            else with fewer than two clusters the test is undefined.

    Raises:
        ValueError: shapes differ, a count is negative or not whole, or an unknown option.
    """
    check_option("method", method, get_args(ClusteredMethod))
    counts = [np.asarray(cells, dtype=np.float64) for cells in (a, b, c, d)]
    if any(cells.ndim != 1 or len(cells) != len(counts[0]) for cells in counts):
        raise ValueError("a, b, c and d must be of one length, one entry a cluster")
    table = np.stack(counts)
    if not (np.isfinite(table).all() and (table >= 0).all() and (table == np.rint(table)).all()):
        raise ValueError("counts must be whole numbers, 0 or more")
    table = table[:, table.sum(axis=0) > 0]
    name = f"clustered McNemar, {method}"
    if table[1:3].sum() == 0:
        return TestResult(0.0, 1.0, name)
    if table.shape[1] < 2:
        return undefined_test(name, "fewer than two clusters")
    apart = table[1] - table[2]
    if not apart.any():
        return TestResult(0.0, 1.0, name)
    return _chi_squared(_STATISTICS[method](table, apart), name)


def _obuchowski(table: Floats, apart: Floats) -> float:
    clusters = table.shape[1]
    return float((clusters - 1) / clusters * apart.sum() ** 2 / (apart**2).sum())


def _durkalski(table: Floats, apart: Floats) -> float:
    mean = apart / table.sum(axis=0)
    return float(mean.sum() ** 2 / (mean**2).sum())


def _yang(table: Floats, apart: Floats) -> float:
    clusters, size = table.shape[1], table.sum(axis=0)
    centred = apart - size * apart.sum() / size.sum()
    spread = ((centred**2).sum() + (apart**2).sum()) / 2
    return float((clusters - 1) / clusters * apart.sum() ** 2 / spread)


def _eliasziw_donner(table: Floats, apart: Floats) -> float:
    clusters, size = table.shape[1], table.sum(axis=0)
    mean, share = size.mean(), table.sum(axis=1) / size.sum()
    discordant = table[1] + table[2]
    plain = apart.sum() ** 2 / discordant.sum()
    if mean == 1:  # one pair a cluster: nothing is correlated
        return float(plain)
    # The intraclass correlation of the four-way response, pooled over its categories, ...
    typical = mean - ((size - mean) ** 2).sum() / (clusters * (clusters - 1) * mean)
    between = ((table - share[:, None] * size) ** 2 / size).sum() / clusters
    within = (table * (size - table) / size).sum() / (clusters * (mean - 1))
    spread = between + (typical - 1) * within
    # Where every pair is alike nothing can be estimated; a cluster then counts as a single pair.
    pooled = (between - within) / spread if spread > 0 else 1.0
    if pooled <= 0:  # an estimate below 0 counts as 0: clusters cannot add to what is known
        return float(plain)
    # ... then that of the discordant pairs among themselves.
    correlation = 1 / (1 + (share[1] + share[2]) * (1 - pooled) / pooled)
    size_of_discordant = (discordant**2).sum() / discordant.sum()
    return float(plain / (1 + (size_of_discordant - 1) * correlation))


_STATISTICS = {
    "obuchowski": _obuchowski,
    "durkalski": _durkalski,
    "yang": _yang,
    "eliasziw-donner": _eliasziw_donner,
}


def _chi_squared(statistic: float, method: str) -> TestResult:
    if math.isnan(statistic):
        return undefined_test(method, "no variation between clusters")
    return TestResult(float(statistic), float(chi2.sf(statistic, 1)), method)
