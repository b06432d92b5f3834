"""Random bits that are a function of (seed, cluster name, replicate number) and of nothing else.

A generator with a state gives draws that depend on the order in which it is asked. These bits do
not: shards, machines and compared candidates all see the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def cluster_keys(clusters: Iterable[Any], seed: int, purpose: str = "") -> NDArray[np.uint64]:
    """A 64-bit key for each cluster: keyed BLAKE2b of its name, shape (clusters,).

    Args:
        clusters: names; what is not a string counts by its `str`.
        seed: 0 or more, below 2^128.
        purpose: draws for different purposes are unrelated; 16 ASCII letters at most.

    Raises:
        ValueError: a seed out of range.
    """
    if not 0 <= seed < 1 << 128:
        raise ValueError(f"the seed must lie between 0 and 2^128, not {seed!r}")
    key, person = int(seed).to_bytes(16, "little"), purpose.encode("ascii")
    digests = b"".join(
        hashlib.blake2b(str(name).encode(), digest_size=8, key=key, person=person).digest()
        for name in clusters
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def keyed_bits(keys: NDArray[np.uint64], start: int, count: int) -> NDArray[np.uint64]:
    """64 random bits for each number from `start` and each key, shape (count, keys).

    Element [i, j] is output number `start + i` of a SplitMix64 generator started at key j
    (Steele, Lea & Flood, OOPSLA 2014).
    """
    with np.errstate(over="ignore"):  # 64-bit arithmetic that wraps is the point
        steps = np.arange(start + 1, start + count + 1, dtype=np.uint64) * _GOLDEN
        state = steps[:, None] + keys[None, :]
        spare = state >> np.uint64(30)
        state ^= spare
        state *= np.uint64(0xBF58476D1CE4E5B9)
        np.right_shift(state, np.uint64(27), out=spare)
        state ^= spare
        state *= np.uint64(0x94D049BB133111EB)
        np.right_shift(state, np.uint64(31), out=spare)
        state ^= spare
    return state
