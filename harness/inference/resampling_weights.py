"""How often each cluster counts in each resample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.inference.keyed_random import cluster_keys, keyed_bits

Floats = NDArray[np.float64]

_CACHED: Final = 1 << 15
"""Random words made at a time, so that they stay in the processor's cache."""


def bootstrap_weights(
    clusters: Sequence[Any] | NDArray[Any], replicates: int, seed: int, start: int = 0
) -> NDArray[np.int64]:
    """How often each cluster counts in each replicate, shape (replicates, clusters).

    Independent Poisson(1) counts (the Poisson bootstrap; Hanley & MacGibbon, Comput Methods
    Programs Biomed 2006;83:57-62), each a function of seed, cluster name and replicate number
    alone. They depend neither on the order of clusters nor on which others there are, so shards,
    machines and compared candidates all see the same draw.

    Args:
        clusters: names, shape (clusters,).
        replicates: how many.
        seed: of the draw, 0 or more.
        start: number of the first replicate; blocks of one draw join seamlessly.

    Raises:
        ValueError: a negative number.
    """
    if replicates < 0 or start < 0:
        raise ValueError("replicates and start must not be negative")
    keys = cluster_keys(clusters, seed)
    weights = np.empty((replicates, len(keys)))
    fill_poisson(keys, start, weights)
    return weights.astype(np.int64)


def fill_poisson(keys: NDArray[np.uint64], start: int, out: Floats) -> None:
    """Fills `out`, shape (replicates, clusters), with Poisson(1) counts by inversion."""
    step = max(1, _CACHED // max(1, len(out)))
    for first in range(0, len(keys), step):
        bits = keyed_bits(keys[first : first + step], start, len(out))
        # The leading 16 bits settle the count in all but 8 of 65,536 cases.
        counts = _POISSON_TABLE[(bits >> np.uint64(48)).astype(np.intp)]
        unsettled = np.nonzero(counts < 0)
        counts[unsettled] = np.searchsorted(_POISSON, bits[unsettled], side="right")
        out[:, first : first + step] = counts


def fill_multinomial(key: NDArray[np.uint64], start: int, out: Floats) -> None:
    """Fills `out`, shape (replicates, clusters), with draws of as many clusters with replacement."""
    replicates, clusters = out.shape
    bits = keyed_bits(key, start * clusters, replicates * clusters).ravel()
    drawn = ((bits >> np.uint64(32)) * np.uint64(clusters)) >> np.uint64(32)
    rows = np.repeat(np.arange(replicates) * clusters, clusters)
    out[:] = np.bincount(rows + drawn.astype(np.intp), minlength=out.size).reshape(out.shape)


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


def _poisson_table() -> Floats:
    """Count by the leading 16 bits; -1 where a threshold lies among the words that begin so."""
    first = np.arange(1 << 16, dtype=np.uint64) << np.uint64(48)
    last = first | np.uint64((1 << 48) - 1)
    low, high = (np.searchsorted(_POISSON, words, side="right") for words in (first, last))
    return np.where(low == high, low, -1).astype(np.float64)


_POISSON_TABLE: Final = _poisson_table()
