"""Does a proportion rise or fall along a score, when trials come in clusters?"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from harness.inference.cluster_sums import cluster_index
from harness.inference.results import TestResult, undefined_test

METHOD: Final = "Cochran-Armitage score test, variance by cluster"


def trend_test(outcomes: ArrayLike, scores: ArrayLike, clusters: ArrayLike | None = None) -> TestResult:
    """A two-sided test that the chance of an outcome does not change along a score.

    The statistic is Cochran's (Biometrics 1954;10:417-451) and Armitage's (Biometrics 1955;11:375-386),
    U = sum of (outcome - mean outcome)(score - mean score), over its standard error. That is worked out
    from the sums of each cluster, U_c, as sqrt(sum of U_c squared): the generalised score test with
    independence as working correlation (Boos, Am Stat 1992;46:327-333), valid whatever the correlation
    within clusters, and on the safe side where clusters are few. Where each cluster is one trial it
    tends to the ordinary Cochran-Armitage test.

    Args:
        outcomes: 0 or 1 (or boolean), one a trial, shape (n,).
        scores: finite numbers, one a trial, shape (n,).
        clusters: the cluster of each trial, length n; None makes each trial its own.

    Returns:
        z, positive where the outcome becomes more frequent as the score rises, and p. Undefined where
        all outcomes, or all scores, are the same, or fewer than two clusters speak of it.

    Raises:
        ValueError: shapes differ, outcomes other than 0 and 1, or a score that is not finite.
    """
    y, x = np.asarray(outcomes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if y.ndim != 1 or y.shape != x.shape:
        raise ValueError(f"each outcome needs a score: shapes {y.shape} and {x.shape}")
    if not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("outcomes must be 0 or 1")
    if not np.isfinite(x).all():
        raise ValueError("scores must be finite")
    names, index = cluster_index(np.arange(len(y)) if clusters is None else clusters)
    if len(index) != len(y):
        raise ValueError(f"each trial needs a cluster: {len(y)} trials, {len(index)} clusters")
    if not len(y):
        return undefined_test(METHOD, "no trials")
    if (y == y[0]).all():
        return undefined_test(METHOD, f"the outcome is {'always' if y[0] else 'never'} there")
    if (x == x[0]).all():
        return undefined_test(METHOD, "all scores are the same")
    own = np.zeros(len(names))
    np.add.at(own, index, (y - y.mean()) * (x - x.mean()))
    spread = math.sqrt(float((own**2).sum()))
    if np.count_nonzero(own) < 2:
        return undefined_test(METHOD, "fewer than two clusters speak of it")
    z = float(own.sum()) / spread
    return TestResult(z, float(2 * norm.sf(abs(z))), f"{METHOD}, {len(y)} trials in {len(names)} clusters")
