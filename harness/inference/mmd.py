"""Maximum mean discrepancy: whether two samples of vectors come from one distribution.

Gretton, Borgwardt, Rasch, Schölkopf & Smola, J Mach Learn Res 2012;13:723-773. The kernel is
exp(-|x - y|^2 / (2 bandwidth^2)).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from harness.inference.keyed_random import cluster_keys, keyed_bits
from harness.inference.results import TestResult, undefined_test

Floats = NDArray[np.float64]

_BLOCK: Final = 1 << 21
"""Weights held at a time."""


def median_bandwidth(points: ArrayLike, most: int = 1000) -> float:
    """The median distance between points, the usual bandwidth (Gretton et al., 2012, section 8).

    Args:
        points: shape (n, dimensions); the first `most` are used.
        most: how many.

    Raises:
        ValueError: not finite vectors, fewer than two, or half of all pairs coincide.
    """
    chosen = _vectors(points)[:most]
    if len(chosen) < 2:
        raise ValueError("a bandwidth needs two points")
    distances = _squared_distances(chosen, chosen)[np.triu_indices(len(chosen), 1)]
    middle = float(np.median(distances))
    if middle <= 0:
        raise ValueError("half of all pairs of points coincide: no bandwidth")
    return math.sqrt(middle)


def kernel(a: ArrayLike, b: ArrayLike, bandwidth: float) -> Floats:
    """The Gaussian kernel of every pair, shape (len(a), len(b))."""
    if not 0 < bandwidth < math.inf:
        raise ValueError(f"bandwidth must be above 0, not {bandwidth!r}")
    return np.exp(_squared_distances(_vectors(a), _vectors(b)) / (-2 * bandwidth**2))


def mmd(x: ArrayLike, y: ArrayLike, bandwidth: float) -> float:
    """The unbiased estimate of MMD^2, a U-statistic (Gretton et al., 2012, eq. 3).

    Args:
        x: shape (m, dimensions), m >= 2.
        y: shape (n, dimensions), n >= 2.
        bandwidth: of the kernel.

    Returns:
        About 0 where the distributions are equal, and then negative in about half of all samples;
        NaN where a sample has fewer than two points.
    """
    first, second = _vectors(x), _vectors(y)
    if min(len(first), len(second)) < 2:
        return math.nan
    within = [
        (sums.sum() - len(sums)) / (len(sums) * (len(sums) - 1))
        for sums in (kernel(first, first, bandwidth), kernel(second, second, bandwidth))
    ]
    return float(sum(within) - 2 * kernel(first, second, bandwidth).mean())


def block_mmd(x: ArrayLike, y: ArrayLike, bandwidth: float, block: int = 2) -> TestResult:
    """MMD^2 as the mean over blocks, for samples too large for all pairs; one-sided normal test.

    The B-test of Zaremba, Gretton & Blaschko, NIPS 2013; with blocks of 2 it is the linear-time
    estimate of Gretton et al., 2012, section 6. Time and memory grow with n * block. What is left
    over after the last whole block, and what the longer sample has more, is not used.

    Args:
        x: shape (m, dimensions).
        y: shape (n, dimensions).
        bandwidth: of the kernel.
        block: points of each sample in a block, 2 or more.

    Returns:
        The estimate, and the p-value of its mean over its standard error; undefined with fewer
        than two blocks, or where all blocks agree.
    """
    if block < 2:
        raise ValueError(f"a block needs 2 points or more, not {block!r}")
    first, second = _vectors(x), _vectors(y)
    blocks = min(len(first), len(second)) // block
    method = f"MMD, {blocks} blocks of {block}"
    if blocks < 2:
        return undefined_test(method, "fewer than two blocks")
    values = np.array(
        [
            mmd(first[at : at + block], second[at : at + block], bandwidth)
            for at in range(0, blocks * block, block)
        ]
    )
    error = float(values.std(ddof=1)) / math.sqrt(blocks)
    if error == 0:
        return undefined_test(method, "all blocks agree")
    return TestResult(float(values.mean()), float(ndtr(-values.mean() / error)), method)


def mmd_test(
    x: ArrayLike, y: ArrayLike, bandwidth: float, permutations: int = 1000, seed: int = 0
) -> TestResult:
    """The permutation test of MMD^2 = 0: how often a random split of all points differs as much.

    One-sided; p = (1 + permutations at least as large) / (1 + permutations), exact where the points
    are exchangeable. Splits are drawn by random numbers keyed by (seed, point, permutation).

    Args:
        x: shape (m, dimensions).
        y: shape (n, dimensions).
        bandwidth: of the kernel; choose it without regard to which point is of which sample.
        permutations: how many, 1 or more.
        seed: of the splits.

    Returns:
        `statistic` is the unbiased MMD^2; undefined with fewer than two points in a sample.
    """
    if permutations < 1:
        raise ValueError(f"permutations must be 1 or more, not {permutations!r}")
    first, second = _vectors(x), _vectors(y)
    m, n = len(first), len(second)
    method = f"MMD, {permutations} permutations"
    if min(m, n) < 2:
        return undefined_test(method, "fewer than two points in a sample")
    both = np.concatenate([first, second])
    pairs = kernel(both, both, bandwidth)
    np.fill_diagonal(pairs, 0)
    total, of_point = float(pairs.sum()), pairs.sum(axis=1)

    def statistic(own: Floats) -> Floats:
        """MMD^2 of each split, from the weights of the second sample, shape (splits, points)."""
        inside = np.einsum("ij,ij->i", own @ pairs, own)
        touching = own @ of_point
        across = touching - inside
        return np.asarray(
            (total - 2 * touching + inside) / (m * (m - 1)) + inside / (n * (n - 1)) - 2 * across / (m * n)
        )

    observed = float(statistic(np.r_[np.zeros(m), np.ones(n)][None])[0])
    slack = 1e-12 * max(1.0, abs(observed))
    keys, far = cluster_keys(range(m + n), seed, "mmd"), 0
    size = max(1, _BLOCK // (m + n))
    for start in range(0, permutations, size):
        bits = keyed_bits(keys, start, min(size, permutations - start))
        far += int((statistic(_smallest(bits, n)) >= observed - slack).sum())
    return TestResult(observed, (1 + far) / (1 + permutations), method)


def null_mmd(
    x: ArrayLike, pool: ArrayLike, n: int, bandwidth: float, windows: int = 1000, seed: int = 0
) -> Floats:
    """MMD^2 between `x` and windows of `n` points from `pool`, as it is when nothing has changed.

    What a monitor with a fixed reference `x` will see: x's own distance from its population is in
    every value. Windows come without replacement from a finite pool and so vary too little, by
    about 1 - n / len(pool); deviations from their mean are widened by that.

    Args:
        x: the fixed reference, shape (m, dimensions).
        pool: other points of the same population, at least 2 n, shape (pool, dimensions).
        n: points of a window, 2 or more.
        bandwidth: of the kernel.
        windows: how many.
        seed: of the draw.

    Returns:
        Rising, shape (windows,).

    Raises:
        ValueError: the pool is smaller than 2 n, or n smaller than 2.
    """
    reference, points = _vectors(x), _vectors(pool)
    if n < 2 or len(points) < 2 * n:
        raise ValueError(f"{len(points)} points are too few for null windows of {n}; {2 * n} are needed")
    m = len(reference)
    own = kernel(reference, reference, bandwidth)
    fixed = (own.sum() - m) / (m * (m - 1))
    pairs = kernel(points, points, bandwidth)
    np.fill_diagonal(pairs, 0)
    towards = kernel(points, reference, bandwidth).mean(axis=1)
    keys, values = cluster_keys(range(len(points)), seed, "mmd null"), []
    size = max(1, _BLOCK // len(points))
    for start in range(0, windows, size):
        drawn = _smallest(keyed_bits(keys, start, min(size, windows - start)), n)
        inside = np.einsum("ij,ij->i", drawn @ pairs, drawn) / (n * (n - 1))
        values.append(fixed + inside - 2 * (drawn @ towards) / n)
    found = np.sort(np.concatenate(values))
    widened: Floats = found.mean() + (found - found.mean()) / (1 - n / len(points))
    return widened


def witness(points: ArrayLike, x: ArrayLike, y: ArrayLike, bandwidth: float) -> Floats:
    """The witness function at `points`: mean kernel to y less mean kernel to x, shape (points,).

    Large where y has points and x has none: the points that moved (Gretton et al., 2012, section 2.3).
    """
    return np.asarray(kernel(points, y, bandwidth).mean(axis=1) - kernel(points, x, bandwidth).mean(axis=1))


def _smallest(bits: NDArray[np.uint64], n: int) -> Floats:
    """1 at the n smallest of each row, else 0."""
    chosen = np.zeros(bits.shape)
    np.put_along_axis(chosen, np.argpartition(bits, n - 1, axis=1)[:, :n], 1.0, axis=1)
    return chosen


def _vectors(points: ArrayLike) -> Floats:
    given = np.asarray(points, dtype=np.float64)
    if given.ndim != 2 or not np.isfinite(given).all():
        raise ValueError(f"points must be finite, of shape (n, dimensions), not {given.shape}")
    return given


def _squared_distances(a: Floats, b: Floats) -> Floats:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"points of {a.shape[1]} and {b.shape[1]} dimensions cannot be compared")
    centre = a.mean(axis=0) if len(a) else 0.0  # far from the origin the products lose all digits
    a, b = a - centre, b - centre
    distances = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * (a @ b.T)
    return np.asarray(np.maximum(distances, 0))
