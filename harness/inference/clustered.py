"""Intervals for one proportion when trials come in clusters (several studies of one patient)."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from harness.inference.proportions import proportion_interval
from harness.inference.results import (
    Interval,
    Side,
    check_confidence,
    check_option,
    tail_of,
    undefined,
)

Method = Literal["guarded", "clopper-pearson", "wilson"]
Floats = NDArray[np.float64]

ASSUMED_CORRELATION: Final = 0.5
"""Of trials of one cluster, as long as too few clusters speak of it."""
ENOUGH_CLUSTERS: Final = 10
"""The assumption weighs as much as so many clusters in which the rarer outcome was seen."""


def clustered_proportion_interval(
    successes: ArrayLike,
    trials: ArrayLike,
    confidence: float = 0.95,
    side: Side = "two-sided",
    method: Method = "guarded",
) -> Interval:
    """A confidence interval for a proportion of clustered trials.

    The counts are divided by the design effect (Rao & Scott, Biometrics 1992;48:577-585), which is
    worked out from the ANOVA estimate of the intra-cluster correlation as in Saha, Miller & Wang,
    Int J Biostat 2016;12(2), and never taken below 1: clusters cannot make an interval narrower.

    "wilson" and "clopper-pearson" are just that. Near 0 and 1 they claim too much: where all
    succeed, or two misses happen to lie in two clusters, the estimated correlation is 0 whatever the
    true one. With 300 trials in clusters of 5 correlated by 0.5, a true rate of 0.98 is then "shown" to
    be above 0.98 in one case of eight at 95 %. "guarded", on which decisions rest, is Clopper-Pearson
    with three precautions, none of which changes anything where each cluster is a single trial:

    - the design effect is drawn up towards that of a correlation of 0.5 with a weight of 10, against
      the number of clusters that show the rarer outcome: with no miss 0.5 is assumed, with 90
      clusters that missed the estimate stands almost as it is;
    - it is multiplied by the square of Student's quantile with as many degrees of freedom as there
      are clusters, less one, over that with as many as there are trials, less one (Korn & Graubard,
      Surv Methodol 1998;24:193-201);
    - it is no more than if all trials of a cluster were one and the same.

    Args:
        successes: successes of each cluster, shape (clusters,).
        trials: trials of each cluster, shape (clusters,). Clusters without trials are left out; a
            single cluster counts as a single trial.
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: as in `proportion_interval`.
        method: which interval.

    Raises:
        ValueError: shapes differ, a count is negative, or successes exceed trials in a cluster.
    """
    check_confidence(confidence, side)
    check_option("method", method, get_args(Method))
    x, n = _clusters(successes, trials)
    kind: Literal["clopper-pearson", "wilson"] = "wilson" if method == "wilson" else "clopper-pearson"
    name = f"{kind}, {'guarded ' if method == 'guarded' else ''}design effect"
    if not len(n):
        return undefined(confidence, side, name, "no trials: 0/0")
    if method == "guarded":
        effect = guarded_design_effect(x, n, tail_of(confidence, side))
    else:
        effect = design_effect(x, n)
    plain = proportion_interval(x.sum() / effect, n.sum() / effect, confidence, kind, side)
    return Interval(plain.low, plain.high, float(x.sum() / n.sum()), confidence, side, f"{name} {effect:.3f}")


def design_effect(successes: ArrayLike, trials: ArrayLike) -> float:
    """How many clustered trials are worth one independent trial; 1 at least.

    Sum of n (1 + (n - 1) icc) over the sum of n, with the ANOVA estimate of icc, 0 where there is
    nothing to estimate it from, and 1 where there is one cluster only.

    Args:
        successes: successes of each cluster, shape (clusters,).
        trials: trials of each cluster, shape (clusters,). Clusters without trials are left out.

    Raises:
        ValueError: as `clustered_proportion_interval`.
    """
    x, n = _clusters(successes, trials)
    clusters, total = len(n), float(n.sum())
    if clusters <= 1:
        return max(1.0, total)
    if total <= clusters:
        return 1.0
    rate = x.sum() / total
    between = (n * (x / n - rate) ** 2).sum() / (clusters - 1)
    within = (x * (1 - x / n)).sum() / (total - clusters)
    size = (total - (n**2).sum() / total) / (clusters - 1)
    spread = between + (size - 1) * within
    if spread <= 0:
        return 1.0
    correlation = (between - within) / spread
    return max(1.0, float((n * (1 + (n - 1) * correlation)).sum() / total))


def guarded_design_effect(successes: Floats, trials: Floats, tail: float) -> float:
    """The design effect with the precautions that `clustered_proportion_interval` describes.

    Args:
        successes: successes of each cluster, shape (clusters,).
        trials: trials of each cluster, all above 0, shape (clusters,).
        tail: probability left outside the end that is sought.
    """
    seen = min(int((successes < trials).sum()), int((successes > 0).sum()))
    return guard(design_effect(successes, trials), trials, seen, tail)


def guard(effect: float, sizes: Floats, seen: int, tail: float) -> float:
    """An estimated design effect, made safe where few clusters speak of it.

    Args:
        effect: the estimate, 1 or more.
        sizes: trials of each cluster, all above 0, shape (clusters,).
        seen: clusters that show the rarer outcome.
        tail: probability left outside the end that is sought.
    """
    clusters, total = len(sizes), float(sizes.sum())
    largest = float((sizes**2).sum()) / total
    if clusters < 2:
        return largest
    assumed = 1 + ASSUMED_CORRELATION * (largest - 1)
    weight = ENOUGH_CLUSTERS / (ENOUGH_CLUSTERS + seen)
    effect += weight * max(assumed - effect, 0.0)
    student = float(stdtrit(clusters - 1, tail) / stdtrit(max(total, clusters) - 1, tail))
    return max(1.0, min(effect * student**2, largest))


def _clusters(successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    x, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    if x.ndim != 1 or x.shape != n.shape:
        raise ValueError(f"successes and trials must be of one length, not {x.shape} and {n.shape}")
    if not (np.isfinite(x).all() and np.isfinite(n).all() and (x >= 0).all() and (x <= n).all()):
        raise ValueError("each cluster needs 0 <= successes <= trials")
    return x[n > 0], n[n > 0]
