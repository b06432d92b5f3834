"""The bootstrap over clusters, as a product of resampling weights and column totals."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from harness.inference.results import Interval, Side, check_confidence, tail_of, undefined

_BLOCK: Final = 1 << 22
"""Weights made at a time: 4 million, 32 MB as float64."""

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def bootstrap_weights(
    clusters: Sequence[str] | NDArray[np.str_], replicates: int, seed: int, start: int = 0
) -> NDArray[np.float64]:
    """How often each cluster counts in each replicate, shape (replicates, clusters).

    Independent Poisson(1) counts (the Poisson bootstrap; Hanley & MacGibbon, 2006), each a
    function of seed, cluster name and replicate number alone (SplitMix64 over a keyed BLAKE2b
    hash of the name). They depend neither on the order of clusters nor on which others there are,
    so shards, machines and compared candidates all see the same draw.

    Args:
        clusters: names, shape (clusters,).
        replicates: how many.
        seed: of the draw.
        start: number of the first replicate.

    Raises:
        ValueError: a negative seed or number of replicates.
    """
    if seed < 0 or replicates < 0 or start < 0:
        raise ValueError("seed, replicates and start must not be negative")
    key = seed.to_bytes(16, "little")
    names = np.array(
        [
            int.from_bytes(hashlib.blake2b(str(name).encode(), digest_size=8, key=key).digest(), "little")
            for name in clusters
        ],
        dtype=np.uint64,
    )
    with np.errstate(over="ignore"):  # 64-bit arithmetic that wraps is the point
        steps = np.arange(start + 1, start + replicates + 1, dtype=np.uint64) * _GOLDEN
        state = _mix(names[None, :] + steps[:, None])
    return np.searchsorted(_POISSON, state, side="right").astype(np.float64)


def bootstrap_totals(
    rows: Sequence[NDArray[np.int64]],
    clusters: Sequence[str] | NDArray[np.str_],
    *,
    replicates: int,
    seed: int,
) -> list[NDArray[np.float64]]:
    """Column totals of every replicate, for several tables of cluster sums on one draw.

    Args:
        rows: cluster sums, each of shape (clusters, columns of that table).
        clusters: names, shape (clusters,).
        replicates: how many.
        seed: of the draw.

    Returns:
        For each table, shape (replicates, columns). Sums of integers below 2^53 are exact.
    """
    if not rows:
        return []
    joined = np.concatenate(rows, axis=1).astype(np.float64)
    totals = np.empty((replicates, joined.shape[1]))
    for start, size in _blocks(replicates, len(clusters)):
        weights = bootstrap_weights(clusters, size, seed, start)
        totals[start : start + size] = weights @ joined
    ends = np.cumsum([table.shape[1] for table in rows])
    return np.split(totals, ends[:-1], axis=1)


def bca_interval(
    estimate: float,
    replicates: NDArray[np.float64],
    left_out: NDArray[np.float64],
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """The bias-corrected and accelerated bootstrap interval (Efron, JASA 1987;82:171-185).

    A replicate in which the value is undefined (0/0) is left out; with more than 5 % of them, or
    fewer than two clusters, or no variation at all, the interval is undefined: an interval of no
    width would claim a certainty that is not there.

    Args:
        estimate: the value on all data.
        replicates: the value on each resample, shape (replicates,).
        left_out: the value with each cluster left out once, shape (clusters,).
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: for a one-sided bound the other end is infinite.
    """
    check_confidence(confidence, side)
    method = f"BCa bootstrap, {len(replicates)} replicates"
    if math.isnan(estimate):
        return undefined(confidence, side, method, "undefined: 0/0")
    known = np.sort(replicates[~np.isnan(replicates)])
    jackknife = left_out[~np.isnan(left_out)]
    reason = ""
    if len(left_out) < 2:
        reason = "fewer than two patients"
    elif len(known) < 0.95 * len(replicates):
        reason = f"undefined in {1 - len(known) / len(replicates):.0%} of the resamples"
    elif known[0] == known[-1]:
        reason = "no variation between resamples"
    if reason:
        return Interval(math.nan, math.nan, estimate, confidence, side, method, reason)
    below = ((known < estimate).sum() + (known == estimate).sum() / 2) / len(known)
    # All resamples on one side: half a resample keeps the correction finite.
    bias = float(ndtri(np.clip(below, 0.5 / len(known), 1 - 0.5 / len(known))))
    deviation = jackknife.mean() - jackknife
    spread = float((deviation**2).sum()) ** 1.5
    acceleration = float((deviation**3).sum()) / (6 * spread) if spread > 0 else 0.0

    def end(probability: float) -> float:
        shifted = bias + float(ndtri(probability))
        level = float(ndtr(bias + shifted / (1 - acceleration * shifted)))
        return float(np.quantile(known, min(max(level, 0.0), 1.0)))

    tail = tail_of(confidence, side)
    return Interval(
        low=-math.inf if side == "upper" else end(tail),
        high=math.inf if side == "lower" else end(1 - tail),
        estimate=estimate,
        confidence=confidence,
        side=side,
        method=method,
    )


def _blocks(replicates: int, clusters: int) -> Iterator[tuple[int, int]]:
    size = max(1, _BLOCK // max(1, clusters))
    for start in range(0, replicates, size):
        yield start, min(size, replicates - start)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _poisson_thresholds() -> NDArray[np.uint64]:
    """P(count <= k) as 64-bit integers: a uniform 64-bit number falls in the interval of its count."""
    cumulative, term, thresholds = 0.0, math.exp(-1), []
    for count in range(1, 20):
        cumulative += term
        term /= count
        threshold = int(cumulative * 2**64)
        if threshold >= 2**64 - 2**11:  # past the precision of float64
            break
        thresholds.append(threshold)
    return np.array(thresholds, dtype=np.uint64)


_POISSON: Final = _poisson_thresholds()
