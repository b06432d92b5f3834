"""Intervals for one proportion when trials come in clusters (several studies of one patient)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.inference.proportions import proportion_interval
from harness.inference.results import Interval, Side, check_confidence, check_option, undefined


def clustered_proportion_interval(
    successes: ArrayLike,
    trials: ArrayLike,
    confidence: float = 0.95,
    side: Side = "two-sided",
    method: Literal["clopper-pearson", "wilson"] = "clopper-pearson",
) -> Interval:
    """A confidence interval for a proportion of clustered trials.

    The counts are divided by the design effect (Rao & Scott, Biometrics 1992;48:577-585), which is
    worked out from the ANOVA estimate of the intra-cluster correlation as in Saha, Miller & Wang,
    Int J Biostat 2016;12(2), and never taken below 1: clusters cannot make an interval narrower.
    Where all or no trials succeed, the correlation cannot be estimated and the counts are used as
    they are: any other choice would let a further error improve the bound. A single cluster counts
    as a single trial.

    Args:
        successes: successes of each cluster, shape (clusters,).
        trials: trials of each cluster, shape (clusters,). Clusters without trials are left out.
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: as in `proportion_interval`.
        method: of the interval on the effective counts.

    Raises:
        ValueError: shapes differ, a count is negative, or successes exceed trials in a cluster.
    """
    check_confidence(confidence, side)
    check_option("method", method, ("clopper-pearson", "wilson"))
    x, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if x.ndim != 1 or x.shape != n.shape:
        raise ValueError(f"successes and trials must be of one length, not {x.shape} and {n.shape}")
    if not (np.isfinite(x).all() and np.isfinite(n).all() and (x >= 0).all() and (x <= n).all()):
        raise ValueError("each cluster needs 0 <= successes <= trials")
    x, n = x[n > 0], n[n > 0]
    name = f"{method}, design effect"
    if not len(n):
        return undefined(confidence, side, name, "no trials: 0/0")
    effect = design_effect(x, n)
    plain = proportion_interval(
        x.sum() / effect, n.sum() / effect, confidence=confidence, method=method, side=side
    )
    return Interval(plain.low, plain.high, float(x.sum() / n.sum()), confidence, side, f"{name} {effect:.3f}")


def design_effect(successes: NDArray[np.float64], trials: NDArray[np.float64]) -> float:
    """How many clustered trials are worth one independent trial; 1 at least.

    Sum of n (1 + (n - 1) icc) over the sum of n, with the ANOVA estimate of icc, 0 where there is
    nothing to estimate it from, and 1 where there is one cluster only.

    Args:
        successes: successes of each cluster, shape (clusters,).
        trials: trials of each cluster, all above 0, shape (clusters,).
    """
    clusters, total = len(trials), float(trials.sum())
    if clusters == 1:
        return max(1.0, total)
    if total <= clusters:
        return 1.0
    rate = successes.sum() / total
    between = (trials * (successes / trials - rate) ** 2).sum() / (clusters - 1)
    within = (successes * (1 - successes / trials)).sum() / (total - clusters)
    size = (total - (trials**2).sum() / total) / (clusters - 1)
    spread = between + (size - 1) * within
    if spread <= 0:
        return 1.0
    correlation = (between - within) / spread
    return max(1.0, float((trials * (1 + (trials - 1) * correlation)).sum() / total))
