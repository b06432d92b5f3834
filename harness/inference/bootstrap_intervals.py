"""Intervals from the values of a statistic on resamples: percentile, basic, BCa."""

from __future__ import annotations

import math
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from harness.inference.results import (
    Interval,
    Side,
    check_confidence,
    check_option,
    tail_of,
    undefined,
)

BootstrapMethod = Literal["bca", "percentile", "basic"]

_NAMES: Final = {"bca": "BCa", "percentile": "percentile", "basic": "basic"}


class _NoInterval(Exception):  # noqa: N818  # a way out of the arithmetic, never seen outside
    pass


def bca_interval(
    estimate: float,
    replicates: NDArray[np.float64],
    left_out: NDArray[np.float64],
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """The bias-corrected and accelerated bootstrap interval (Efron, JASA 1987;82:171-185).

    Args:
        estimate: the value on all data.
        replicates: the value on each resample, shape (replicates,); NaN where undefined.
        left_out: the value with each cluster left out once, shape (clusters,).
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: for a one-sided bound the other end is infinite.
    """
    return interval_of_sorted(estimate, np.sort(replicates), left_out, confidence, "bca", side)


def interval_of_sorted(
    estimate: float,
    replicates: NDArray[np.float64],
    left_out: NDArray[np.float64],
    confidence: float,
    method: BootstrapMethod,
    side: Side,
) -> Interval:
    """An interval from replicates in rising order, NaN last; else as `bca_interval`.

    It is undefined, with the reason, where it would claim what the resamples do not show: no
    variation among them, an end beyond the most extreme of them, or among those whose value is
    undefined, which count as beyond either end.
    """
    check_confidence(confidence, side)
    check_option("method", method, get_args(BootstrapMethod))
    unknown = int(np.isnan(replicates).sum())
    known = replicates[: len(replicates) - unknown]
    name = f"{_NAMES[method]} bootstrap, {len(replicates)} replicates"
    if unknown:
        name += f", {unknown} of them undefined"
    try:
        low, high = _ends(estimate, known, unknown, left_out, tail_of(confidence, side), method, side)
    except _NoInterval as why:
        return undefined(confidence, side, name, str(why), estimate)
    return Interval(low, high, estimate, confidence, side, name)


def _ends(
    estimate: float,
    known: NDArray[np.float64],
    unknown: int,
    left_out: NDArray[np.float64],
    tail: float,
    method: BootstrapMethod,
    side: Side,
) -> tuple[float, float]:
    if math.isnan(estimate):
        raise _NoInterval("undefined: 0/0")
    if len(left_out) < 2:
        raise _NoInterval("fewer than two clusters")
    if not len(known):
        raise _NoInterval("undefined in every resample")
    if not np.isfinite(known[[0, -1]]).all():
        raise _NoInterval("infinite in some resamples")
    # Values that differ by rounding alone do not vary.
    if known[-1] - known[0] <= 1e-12 * max(abs(known[0]), abs(known[-1])):
        raise _NoInterval("no variation between resamples")
    bias, acceleration = _bca(estimate, known, left_out) if method == "bca" else (0.0, 0.0)

    def end(probability: float, before: int) -> float:
        shifted = bias + float(ndtri(probability))
        if acceleration * shifted >= 1:
            raise _NoInterval("the acceleration is too large for this confidence")
        level = float(ndtr(bias + shifted / (1 - acceleration * shifted)))
        return _order_statistic(known, before, unknown - before, level)

    # Undefined replicates count as beyond the end that is sought. The basic interval is the
    # percentile interval turned around the estimate, so its low end needs the high percentile.
    flipped: Final[dict[Side, Side]] = {"two-sided": "two-sided", "lower": "upper", "upper": "lower"}
    sought = flipped[side] if method == "basic" else side
    low = -math.inf if sought == "upper" else end(tail, unknown)
    high = math.inf if sought == "lower" else end(1 - tail, 0)
    if low >= known[-1] or high <= known[0] or low == high:
        raise _NoInterval("too little variation between resamples")
    return (2 * estimate - high, 2 * estimate - low) if method == "basic" else (low, high)


def _bca(estimate: float, known: NDArray[np.float64], left_out: NDArray[np.float64]) -> tuple[float, float]:
    """Bias correction and acceleration."""
    if np.isnan(left_out).any():
        raise _NoInterval("undefined when one cluster is left out")
    below = np.searchsorted(known, estimate, side="left")
    up_to = np.searchsorted(known, estimate, side="right")
    share = float(below + up_to) / (2 * len(known))
    if not 0 < share < 1:
        raise _NoInterval("every resample lies on one side of the estimate")
    deviation = left_out.mean() - left_out
    spread = float((deviation**2).sum()) ** 1.5
    if spread == 0:
        raise _NoInterval("no variation when one cluster is left out")
    return float(ndtri(share)), float((deviation**3).sum()) / (6 * spread)


def _order_statistic(known: NDArray[np.float64], before: int, after: int, level: float) -> float:
    """The quantile at (replicates + 1) * level, between order statistics (Davison & Hinkley, 1997).

    `before` and `after` replicates lie before and after the known ones, out of sight.
    """
    total = before + len(known) + after
    place = (total + 1) * level - before
    if not 1 <= place <= len(known):
        if before + after:
            raise _NoInterval(f"undefined in {before + after} of {total} resamples")
        raise _NoInterval(f"the bound lies beyond the most extreme of {total} resamples; more are needed")
    floor = min(int(place), len(known) - 1)
    share = place - floor
    return float((1 - share) * known[floor - 1] + share * known[floor])
