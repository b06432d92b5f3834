"""Bounds for the mean of a quantity with a known ceiling, such as the time of a study under a time limit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from harness.inference.results import Interval, Side, check_confidence, tail_of, undefined


def bounded_mean_interval(
    values: ArrayLike,
    most: float,
    confidence: float = 0.95,
    side: Side = "two-sided",
    worth: float | None = None,
) -> Interval:
    """A confidence interval for the mean of values in [0, most], whatever their distribution.

    Anderson's (Stanford Dept. of Statistics, Tech. Rep. 1, 1969): the mean of the distribution function
    moved by the one-sided Kolmogorov-Smirnov band, sqrt(ln(1/a) / 2n) (Massart, Ann Probab 1990;
    18:1269-1283), which is a sum over order statistics. It never claims more than it has: a thousand
    equal values still leave room for rare large ones.

    Args:
        values: shape (n,), in [0, most].
        most: no value can be larger.
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: for a one-sided bound the other end is 0 or `most`.
        worth: how many independent values these are worth; None: n.

    Raises:
        ValueError: a value outside [0, most], NaN, more than one dimension, or a confidence below 0.5.
    """
    check_confidence(confidence, side)
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if ordered.ndim != 1:
        raise ValueError(f"values must be in one dimension, not of shape {ordered.shape}")
    if len(ordered) and not (ordered[0] >= 0 and ordered[-1] <= most):
        raise ValueError(f"values must lie between 0 and {most:g}")
    tail = tail_of(confidence, side)
    if tail > 0.5:
        raise ValueError("Massart's inequality needs a confidence of at least 0.5")
    if not len(ordered):
        return undefined(confidence, side, "Anderson", "no values")
    n = len(ordered) if worth is None else worth
    band = math.sqrt(math.log(1 / tail) / (2 * n))

    def upper(x: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        steps = np.diff(np.append(x, most))
        heights = np.maximum(np.arange(1, len(x) + 1) / len(x) - band, 0.0)
        return float(most - (steps * heights).sum())

    low = most - upper(most - ordered[::-1]) if side != "upper" else 0.0
    high = upper(ordered) if side != "lower" else most
    return Interval(low, high, float(ordered.mean()), confidence, side, "Anderson")
