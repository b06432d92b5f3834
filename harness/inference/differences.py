"""Intervals for the difference of two proportions, of independent samples or of pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from harness.inference.proportions import proportion_interval
from harness.inference.results import (
    Interval,
    check_confidence,
    check_counts,
    check_option,
    undefined,
)


def difference_interval(
    x1: int,
    n1: int,
    x2: int,
    n2: int,
    confidence: float = 0.95,
    method: Literal["newcombe", "miettinen-nurminen"] = "newcombe",
) -> Interval:
    """A two-sided interval for x1/n1 - x2/n2 of two independent samples.

    Newcombe's hybrid score interval (method 10 of Stat Med 1998;17:873-890) or the score interval
    of Miettinen & Nurminen, Stat Med 1985;4:213-226.

    Args:
        x1: successes of the first sample.
        n1: trials of the first sample. With no trials in either sample the interval is undefined.
        x2: successes of the second sample.
        n2: trials of the second sample.
        confidence: of the interval.
        method: which interval.

    Raises:
        ValueError: counts that are negative or not whole, x > n, or an unknown option.
    """
    check_confidence(confidence)
    check_option("method", method, ("newcombe", "miettinen-nurminen"))
    check_counts(x1=x1, n1=n1, x2=x2, n2=n2)
    if x1 > n1 or x2 > n2:
        raise ValueError(f"successes must not exceed trials: {x1} of {n1}, {x2} of {n2}")
    x1, n1, x2, n2 = int(x1), int(n1), int(x2), int(n2)
    if n1 == 0 or n2 == 0:
        return undefined(confidence, "two-sided", method, "no trials: 0/0")
    difference = x1 / n1 - x2 / n2
    if method == "newcombe":
        low, high = _square_and_add(x1, n1, x2, n2, 0.0, confidence)
    else:

        def score(delta: float) -> tuple[float, float]:
            return unpaired_score(x1, n1, x2, n2, delta)

        low, high = score_limits(difference, score, float(norm.isf((1 - confidence) / 2)))
    return Interval(low, high, difference, confidence, "two-sided", method)


def paired_difference_interval(
    a: int,
    b: int,
    c: int,
    d: int,
    confidence: float = 0.95,
    method: Literal["tango", "newcombe"] = "tango",
) -> Interval:
    """A two-sided interval for the difference of two proportions of the same subjects, first minus second.

    The score interval of Tango, Stat Med 1998;17:891-908, or Newcombe's square-and-add interval
    with its continuity-corrected correlation (method 10 of Stat Med 1998;17:2635-2650).

    Args:
        a: pairs in which both succeed.
        b: pairs in which the first alone succeeds.
        c: pairs in which the second alone succeeds.
        d: pairs in which neither succeeds. With no pairs the interval is undefined.
        confidence: of the interval.
        method: which interval.

    Raises:
        ValueError: counts that are negative or not whole, or an unknown option.
    """
    check_confidence(confidence)
    check_option("method", method, ("tango", "newcombe"))
    check_counts(a=a, b=b, c=c, d=d)
    a, b, c, d = int(a), int(b), int(c), int(d)  # NumPy's integers overflow in the products below
    n = a + b + c + d
    if n == 0:
        return undefined(confidence, "two-sided", method, "no pairs: 0/0")
    difference = (b - c) / n
    if method == "newcombe":
        low, high = _square_and_add(a + b, n, a + c, n, _correlation(a, b, c, d), confidence)
    else:

        def score(delta: float) -> tuple[float, float]:
            above, error = paired_score(b, c, n, delta)
            return float(above), float(error)

        low, high = score_limits(difference, score, float(norm.isf((1 - confidence) / 2)))
    return Interval(low, high, difference, confidence, "two-sided", method)


def unpaired_score(x1: int, n1: int, x2: int, n2: int, delta: float) -> tuple[float, float]:
    """What the observed difference exceeds `delta` by, and the standard error of that if delta is true.

    The standard error is that of Miettinen & Nurminen (1985): binomial variances at the maximum
    likelihood estimates whose difference is delta, times N / (N - 1). Their ratio is the score z.
    The estimates are a root of a cubic; the closed form is that of Farrington & Manning, Stat Med
    1990;9:1447-1454.
    """
    p1, p2, ratio, total = x1 / n1, x2 / n2, n2 / n1, n1 + n2
    a = 1 + ratio
    b = -(1 + ratio + p1 + ratio * p2 + delta * (ratio + 2))
    c = delta**2 + delta * (2 * p1 + ratio + 1) + p1 + ratio * p2
    d = -p1 * delta * (1 + delta)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a * a) + d / (2 * a)
    u = math.copysign(math.sqrt(max((b / (3 * a)) ** 2 - c / (3 * a), 0.0)), v)
    turn = math.acos(min(max(v / u**3, -1.0), 1.0)) if u**3 != 0 else 0.0
    first = 2 * u * math.cos((math.pi + turn) / 3) - b / (3 * a)
    first = min(max(first, 0.0, delta), 1.0, 1 + delta)
    second = min(max(first - delta, 0.0), 1.0)
    variance = first * (1 - first) / n1 + second * (1 - second) / n2
    return p1 - p2 - delta, math.sqrt(max(variance, 0.0) * total / (total - 1))


def paired_score(
    b: ArrayLike, c: ArrayLike, n: float, delta: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `unpaired_score` for n pairs, b and c of them discordant; arrays broadcast.

    Tango (1998): the variance of (b - c) / n at the maximum likelihood estimate under delta.
    """
    b, c = np.asarray(b, dtype=np.float64), np.asarray(c, dtype=np.float64)
    linear = -b - c + (2 * n - b + c) * delta
    constant = -c * delta * (1 - delta)
    root = np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0))
    # Of the two forms of a quadratic's root, the one that subtracts nothing.
    with np.errstate(invalid="ignore", divide="ignore"):
        second = np.where(linear > 0, -2 * constant / (root + linear), (root - linear) / (4 * n))
    variance = (2 * second + delta * (1 - delta)) / n
    return (b - c) / n - delta, np.sqrt(np.maximum(variance, 0))


def score_limits(
    difference: float, score: Callable[[float], tuple[float, float]], z: float
) -> tuple[float, float]:
    """The differences at which the score, as `unpaired_score` gives it, is z standard errors off."""

    def excess(delta: float, sign: int) -> float:  # free of 0/0, unlike z itself
        above, error = score(delta)
        return sign * above - z * error

    # The excess may be 0 at the observed difference itself (0/0: no variance), which is not the root.
    step = 1e-10
    low = high = difference
    if difference - step > -1:
        low = float(brentq(excess, -1, difference - step, args=(1,), xtol=1e-13, rtol=1e-13))
    if difference + step < 1:
        high = float(brentq(excess, difference + step, 1, args=(-1,), xtol=1e-13, rtol=1e-13))
    return low, high


def _square_and_add(
    x1: int, n1: int, x2: int, n2: int, correlation: float, confidence: float
) -> tuple[float, float]:
    first = proportion_interval(x1, n1, confidence, "wilson")
    second = proportion_interval(x2, n2, confidence, "wilson")
    difference = first.estimate - second.estimate

    def distance(one: float, other: float) -> float:
        return math.sqrt(max(one * one + other * other - 2 * correlation * one * other, 0.0))

    low = difference - distance(first.estimate - first.low, second.high - second.estimate)
    high = difference + distance(first.high - first.estimate, second.estimate - second.low)
    return max(low, -1.0), min(high, 1.0)


def _correlation(a: int, b: int, c: int, d: int) -> float:
    """Phi of the 2x2 table, drawn towards 0 where it is positive."""
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    product = float(a * d - b * c)
    if product > 0:
        product = max(product - (a + b + c + d) / 2, 0.0)
    return product / math.sqrt(margins)
