"""Distribution-free intervals for quantiles, such as the P99 of latency."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from harness.inference.results import Interval, Side, check_confidence, tail_of, undefined


def quantile_interval(
    times: ArrayLike, q: float, confidence: float = 0.95, side: Side = "two-sided"
) -> Interval:
    """A confidence interval for a quantile from order statistics (Wilks, 1941; Hahn & Meeker).

    The bound is the order statistic that is far enough out with at least the stated confidence
    whatever the distribution. Where n is too small for that the bound is infinite, and `reason`
    says how many are needed: 299 times for an upper 95 % bound of P99.

    Args:
        times: observations, shape (n,); infinite ones (timeouts) are allowed.
        q: which quantile, in (0, 1).
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: for a one-sided bound the other end is infinite.

    Raises:
        ValueError: NaN among the times, more than one dimension, or q outside (0, 1).
    """
    check_confidence(confidence, side)
    if not 0 < q < 1:
        raise ValueError(f"q must lie between 0 and 1, not {q!r}")
    ordered = np.asarray(times, dtype=np.float64)
    if ordered.ndim != 1:
        raise ValueError(f"times must be in one dimension, not of shape {ordered.shape}")
    ordered = np.sort(ordered)
    if np.isnan(ordered).any():
        raise ValueError("times must not hold NaN; a study without an answer is infinitely late")
    n, tail = len(ordered), tail_of(confidence, side)
    if n == 0:
        return undefined(confidence, side, "order statistics", "no times")
    low, high, reasons = -math.inf, math.inf, []
    # Order statistic r (from 1) lies at or below the quantile with probability P(Bin(n, q) >= r).
    rank = int(binom.ppf(tail, n, q))
    rank -= binom.cdf(rank - 1, n, q) > tail  # ppf may sit one off by rounding
    if side != "upper":
        if rank >= 1:
            low = float(ordered[rank - 1])
        else:
            reasons.append(f"{n} times bound no quantile {q:g} from below at {confidence:.0%}")
    rank = int(binom.ppf(1 - tail, n, q)) + 1
    if side != "lower":
        if rank <= n:
            high = float(ordered[rank - 1])
        else:
            needed = math.ceil(math.log(tail) / math.log(q))
            reasons.append(f"{n} times bound no quantile {q:g} from above; {needed} are needed")
    estimate = float(ordered[min(n - 1, math.ceil(q * n) - 1)])
    return Interval(low, high, estimate, confidence, side, "order statistics", "; ".join(reasons))
