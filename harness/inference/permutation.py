"""The paired permutation test for any measure: swaps whole clusters between the two arms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.inference.cluster_sums import Value, cluster_index, cluster_sums, numeric_rows
from harness.inference.keyed_random import cluster_keys, keyed_bits
from harness.inference.results import TestResult, TestResults

_BLOCK: Final = 1 << 20
"""Signs made at a time."""


def permutation_test(
    rows_first: ArrayLike,
    rows_second: ArrayLike,
    value: Value,
    clusters: ArrayLike | None = None,
    replicates: int = 10_000,
    seed: int = 0,
) -> TestResult | TestResults:
    """A two-sided test that two methods have the same value, by swapping them cluster by cluster.

    The statistic is value(first) - value(second). A replicate swaps the two arms of each cluster
    with probability 1/2, by random bits keyed by (seed, cluster, replicate), so that neither order
    nor sharding matters. Where there are no more than `replicates` ways to swap, each is taken once
    and p is exact; else p = (1 + replicates at least as far from 0) / (1 + replicates), after
    Phipson & Smyth, Stat Appl Genet Mol Biol 2010;9:39. A replicate whose value is undefined counts
    as at least as far.

    Args:
        rows_first: shape (n, columns).
        rows_second: of the same studies, shape (n, columns).
        value: pure and vectorised, column totals (..., columns) to (...) or (..., values).
        clusters: the cluster of each row, length n; None makes each row its own.
        replicates: how many random swaps.
        seed: of the swaps.

    Returns:
        A `TestResult` where value gives one number, `TestResults` where it gives several. p is 1
        where no cluster differs. Undefined where the value of either arm is (0/0).

    Raises:
        ValueError: shapes differ, rows that are not finite, or no replicates.
    """
    first, second = numeric_rows(rows_first), numeric_rows(rows_second)
    if first.shape != second.shape:
        raise ValueError(f"both arms need the same rows: {first.shape} and {second.shape}")
    if replicates < 1:
        raise ValueError(f"replicates must be 1 or more, not {replicates!r}")
    names, index = cluster_index(np.arange(len(first)) if clusters is None else clusters)
    if len(index) != len(first):
        raise ValueError(f"each row needs a cluster: {len(first)} rows, {len(index)} clusters")
    total = cluster_sums(first + second, index, len(names)).sum(axis=0)
    apart = cluster_sums(first - second, index, len(names))
    differing = apart.any(axis=1)
    names, apart = names[differing], apart[differing]

    def statistic(signed: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # With integer rows both are exact: totals and signed differences are of the same parity.
        one, other = np.asarray(value((total + signed) / 2)), np.asarray(value((total - signed) / 2))
        # Differences that are equal but for rounding count as equal.
        return one - other, 1e-12 * (np.abs(one) + np.abs(other))

    observed, slack = statistic(apart.sum(axis=0))
    exact = len(names) < 60 and 2 ** len(names) <= replicates
    swaps = 2 ** len(names) if exact else replicates
    far = np.zeros(observed.shape, dtype=np.int64)
    for signs in _all_signs(len(names)) if exact else _random_signs(names, replicates, seed):
        swapped, _ = statistic(signs @ apart)
        far += (~(np.abs(swapped) < np.abs(observed) - slack)).sum(axis=0)
    p = far / swaps if exact else (far + 1) / (swaps + 1)
    method = f"paired permutation, {'all ' if exact else ''}{swaps} swaps of {len(names)} differing clusters"
    known = ~np.isnan(observed)
    if not len(names):  # one and the same arm twice, undefined or not
        observed, p, known = np.zeros_like(observed), np.ones_like(p), np.ones_like(known)
    p = np.where(known, p, np.nan)
    reason = tuple("" if one else "undefined: 0/0" for one in np.atleast_1d(known))
    if observed.ndim == 0:
        return TestResult(float(observed), float(p), method, reason[0])
    return TestResults(observed, p, method, reason)


def _all_signs(clusters: int) -> Iterator[NDArray[np.float64]]:
    size = max(1, _BLOCK // max(1, clusters))
    for start in range(0, 2**clusters, size):
        numbers = np.arange(start, min(start + size, 2**clusters))
        yield np.where(numbers[:, None] >> np.arange(clusters) & 1, -1.0, 1.0)


def _random_signs(names: NDArray[np.str_], replicates: int, seed: int) -> Iterator[NDArray[np.float64]]:
    keys = cluster_keys(names, seed, "permutation")
    size = max(1, _BLOCK // max(1, len(keys)))
    for start in range(0, replicates, size):
        bits = keyed_bits(keys, start, min(size, replicates - start))
        yield np.where(bits >> np.uint64(63), -1.0, 1.0)


def randomisation_test(
    rows: ArrayLike,
    first: ArrayLike,
    value: Value,
    clusters: ArrayLike | None = None,
    replicates: int = 10_000,
    seed: int = 0,
) -> TestResult | TestResults:
    """A two-sided test that two randomised arms have the same value, by dealing clusters out anew.

    The statistic is value(first arm) - value(other arm). A replicate deals as many clusters to the
    first arm as it has, by random numbers keyed by (seed, cluster, replicate).
    p = (1 + replicates at least as far from 0) / (1 + replicates), as in `permutation_test`.

    Args:
        rows: of all studies, shape (n, columns).
        first: which studies are of the first arm, boolean, shape (n,).
        value: pure and vectorised, column totals (..., columns) to (...) or (..., values).
        clusters: the cluster of each row, length n; None makes each row its own.
        replicates: how many deals.
        seed: of the deals.

    Returns:
        A `TestResult` where value gives one number, `TestResults` where it gives several. Undefined
        where an arm is empty or its value is (0/0).

    Raises:
        ValueError: wrong shapes, rows that are not finite, a cluster in both arms, or no replicates.
    """
    table, arm = numeric_rows(rows), np.asarray(first)
    if arm.dtype != bool or arm.shape != (len(table),):
        raise ValueError(f"first must be boolean, one entry a row: {len(table)} rows, shape {arm.shape}")
    if replicates < 1:
        raise ValueError(f"replicates must be 1 or more, not {replicates!r}")
    names, index = cluster_index(np.arange(len(table)) if clusters is None else clusters)
    if len(index) != len(table):
        raise ValueError(f"each row needs a cluster: {len(table)} rows, {len(index)} clusters")
    dealt = np.zeros(len(names), dtype=bool)
    dealt[index[arm]] = True
    if dealt[index[~arm]].any():
        raise ValueError("a cluster lies in both arms")
    sums, size = cluster_sums(table, index, len(names)), int(dealt.sum())
    total = sums.sum(axis=0)

    def statistic(own: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        one, other = np.asarray(value(own)), np.asarray(value(total - own))
        return one - other, 1e-12 * (np.abs(one) + np.abs(other))

    observed, slack = statistic(sums[dealt].sum(axis=0))
    far = np.zeros(observed.shape, dtype=np.int64)
    keys = cluster_keys(names, seed, "randomisation")
    block = max(1, _BLOCK // max(1, len(keys)))
    for start in range(0, replicates, block):
        bits = keyed_bits(keys, start, min(block, replicates - start))
        chosen = np.zeros(bits.shape)
        if 0 < size < len(keys):
            drawn = np.argpartition(bits, size - 1, axis=1)[:, :size]
            np.put_along_axis(chosen, drawn, 1.0, axis=1)
        redealt, _ = statistic(chosen @ sums)
        far += (~(np.abs(redealt) < np.abs(observed) - slack)).sum(axis=0)
    known = ~np.isnan(observed) & (0 < size < len(names))
    p = np.where(known, (far + 1) / (replicates + 1), np.nan)
    method = f"randomisation, {replicates} deals of {size} in {len(names)} clusters"
    reason = tuple("" if one else "undefined: 0/0" for one in np.atleast_1d(known))
    if observed.ndim == 0:
        return TestResult(float(observed), float(p), method, reason[0])
    return TestResults(observed, p, method, reason)
