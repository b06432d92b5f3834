"""Intervals for one proportion."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

from scipy.optimize import brentq
from scipy.special import betainccinv, betaincinv
from scipy.stats import binom, norm

from harness.inference.results import (
    Interval,
    Side,
    check_confidence,
    check_option,
    tail_of,
    undefined,
)

Method = Literal["wilson", "wilson-cc", "clopper-pearson", "mid-p", "jeffreys", "wald"]


def proportion_interval(
    successes: float,
    n: float,
    confidence: float = 0.95,
    method: Method = "wilson",
    side: Side = "two-sided",
) -> Interval:
    """A confidence interval for a binomial proportion.

    Wilson with and without continuity correction, Clopper-Pearson, mid-P and Wald as in Newcombe,
    Stat Med 1998;17:857-872; Jeffreys as in Brown, Cai & DasGupta, Stat Sci 2001;16:101-133, with
    its ends set to 0 and 1 where no or all trials succeed.

    Args:
        successes: number of successes, 0 to n. May be fractional (an effective count) for all
            methods but mid-p.
        n: number of trials. With 0 the interval is undefined.
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        method: which interval.
        side: "lower" and "upper" give a one-sided bound; the other end is 1 or 0.

    Raises:
        ValueError: negative or non-finite counts, successes > n, or an unknown option.
    """
    check_confidence(confidence, side)
    check_option("method", method, get_args(Method))
    if not (math.isfinite(successes) and math.isfinite(n)) or not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n, not {successes!r} of {n!r}")
    if n == 0:
        return undefined(confidence, side, method, "no trials: 0/0")
    low, high = _ENDS[method](successes, n, tail_of(confidence, side))
    return Interval(
        low=0.0 if side == "upper" else min(max(low, 0.0), 1.0),
        high=1.0 if side == "lower" else min(max(high, 0.0), 1.0),
        estimate=float(successes / n),
        confidence=confidence,
        side=side,
        method=method,
    )


def _wilson(x: float, n: float, tail: float) -> tuple[float, float]:
    p, z = x / n, float(norm.isf(tail))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the closed form misses 0 or 1 by rounding alone.
    return (0.0 if x == 0 else centre - half), (1.0 if x == n else centre + half)


def _wilson_corrected(x: float, n: float, tail: float) -> tuple[float, float]:
    p, z = x / n, float(norm.isf(tail))

    def end(sign: int) -> float:
        root = z * z - sign * 2 - 1 / n + 4 * p * (n * (1 - p) + sign)
        return float((2 * n * p + z * z - sign * (1 + z * math.sqrt(max(root, 0)))) / (2 * (n + z * z)))

    return (0.0 if x == 0 else end(1)), (1.0 if x == n else end(-1))


def _clopper_pearson(x: float, n: float, tail: float) -> tuple[float, float]:
    low = 0.0 if x == 0 else float(betaincinv(x, n - x + 1, tail))
    high = 1.0 if x == n else float(betainccinv(x + 1, n - x, tail))
    return low, high


def _mid_p(x: float, n: float, tail: float) -> tuple[float, float]:
    if x != round(x) or n != round(n):
        raise ValueError("mid-p needs whole counts")

    def above(p: float) -> float:  # P(X > x) + P(X = x) / 2
        return float(binom.sf(x, n, p) + binom.pmf(x, n, p) / 2)

    def where(
        probability: float,
    ) -> float:  # `above` rises with p, from 1/2 at 0 if x = 0, to 1/2 at 1 if x = n
        if probability <= above(0):
            return 0.0
        if probability >= above(1):
            return 1.0
        return float(brentq(lambda p: above(p) - probability, 0, 1, xtol=1e-14, rtol=1e-14))

    return where(tail), where(1 - tail)


def _jeffreys(x: float, n: float, tail: float) -> tuple[float, float]:
    low = 0.0 if x == 0 else float(betaincinv(x + 0.5, n - x + 0.5, tail))
    high = 1.0 if x == n else float(betainccinv(x + 0.5, n - x + 0.5, tail))
    return low, high


def _wald(x: float, n: float, tail: float) -> tuple[float, float]:
    p = x / n
    half = float(norm.isf(tail)) * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


_ENDS: dict[str, Callable[[float, float, float], tuple[float, float]]] = {
    "wilson": _wilson,
    "wilson-cc": _wilson_corrected,
    "clopper-pearson": _clopper_pearson,
    "mid-p": _mid_p,
    "jeffreys": _jeffreys,
    "wald": _wald,
}
