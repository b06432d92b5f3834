"""Intervals for the difference of two proportions when trials come in clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from harness.inference.clustered import guard
from harness.inference.differences import paired_score, score_limits
from harness.inference.results import Interval, Side, check_confidence, tail_of, undefined

OneBound = Callable[..., Interval]
"""`confidence=` and `side=` to the interval of one value."""

_NAME: Final = "Tango, guarded design effect"


def clustered_paired_difference_interval(
    b: ArrayLike, c: ArrayLike, pairs: ArrayLike, confidence: float = 0.95, side: Side = "two-sided"
) -> Interval:
    """An interval for the difference of two proportions of the same clustered subjects, first minus second.

    Tango's score interval (Stat Med 1998;17:891-908) on counts divided by the design effect of the
    difference: its variance between clusters over its variance between pairs, with the precautions
    of `clustered_proportion_interval` against taking it too small. Without any discordant pair it is
    as wide as so many effective pairs make it.

    Args:
        b: pairs in which the first alone succeeds, shape (clusters,).
        c: pairs in which the second alone succeeds, shape (clusters,).
        pairs: all pairs, shape (clusters,). Clusters without pairs are left out.
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: for a one-sided bound the other end is 1 or -1.

    Raises:
        ValueError: shapes differ, a count is negative, or discordant pairs exceed pairs.
    """
    check_confidence(confidence, side)
    table = [np.asarray(counts, dtype=np.float64) for counts in (b, c, pairs)]
    if any(counts.ndim != 1 or counts.shape != table[0].shape for counts in table):
        raise ValueError("b, c and pairs must be of one length, one entry a cluster")
    first, second, size = table
    if not (np.isfinite(table).all() and (first >= 0).all() and (second >= 0).all()):
        raise ValueError("counts must be finite, 0 or more")
    if not (first + second <= size).all():
        raise ValueError("each cluster needs b + c <= pairs")
    first, second, size = (counts[size > 0] for counts in table)
    if not len(size):
        return undefined(confidence, side, _NAME, "no pairs: 0/0")
    tail, total = tail_of(confidence, side), float(size.sum())
    difference = float((first - second).sum()) / total
    effect = 1.0
    if len(size) > 1:
        spread = ((first - second - size * difference) ** 2).sum() * len(size) / (len(size) - 1)
        plain = (first + second).sum() - total * difference**2
        effect = max(1.0, float(spread / plain)) if plain > 0 else 1.0
    effect = guard(effect, size, int((first + second > 0).sum()), tail)
    counts = float(first.sum()) / effect, float(second.sum()) / effect, total / effect

    def score(delta: float) -> tuple[float, float]:
        above, error = paired_score(*counts, delta)
        return float(above), float(error)

    low, high = score_limits(difference, score, float(norm.isf(tail)))
    return Interval(
        low=-1.0 if side == "upper" else low,
        high=1.0 if side == "lower" else high,
        estimate=difference,
        confidence=confidence,
        side=side,
        method=f"{_NAME} {effect:.3f}",
    )


def square_and_add(
    first: OneBound, second: OneBound, confidence: float = 0.95, side: Side = "two-sided"
) -> Interval:
    """An interval for the difference of two independent values, first minus second, from theirs.

    Newcombe's square-and-add (method 10 of Stat Med 1998;17:873-890; the method of variance
    estimates recovery of Zou & Donner, Stat Med 2008;27:1693-1702). With Wilson's intervals it is
    `difference_interval`; with clustered ones it holds for clustered data.

    Args:
        first: the interval of the first value, for a confidence and a side.
        second: the interval of the second value.
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: for a one-sided bound the other end is infinite.
    """
    check_confidence(confidence, side)
    level = 1 - tail_of(confidence, side)
    lows = [one(confidence=level, side="lower") for one in (first, second)]
    highs = [one(confidence=level, side="upper") for one in (first, second)]
    name = f"square-and-add, {lows[0].method.partition(',')[0]}"
    reasons = [end.reason for end in (*lows, *highs) if math.isnan(end.low) or math.isnan(end.high)]
    difference = lows[0].estimate - lows[1].estimate
    if reasons:
        return undefined(confidence, side, name, reasons[0], difference)
    below = math.hypot(lows[0].estimate - lows[0].low, highs[1].high - highs[1].estimate)
    above = math.hypot(highs[0].high - highs[0].estimate, lows[1].estimate - lows[1].low)
    return Interval(
        low=-math.inf if side == "upper" else difference - below,
        high=math.inf if side == "lower" else difference + above,
        estimate=difference,
        confidence=confidence,
        side=side,
        method=name,
    )
