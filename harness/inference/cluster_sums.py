"""Rows of studies to sums of clusters: what every resampling method works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Value = Callable[[NDArray[np.float64]], Any]
"""A pure, vectorised function of column totals: (..., columns) -> (...) or (..., values)."""


def whole_rows(rows: ArrayLike) -> NDArray[np.int64]:
    """Rows as integers, shape (n, columns). A column that is a real number goes in fixed point.

    Raises:
        ValueError: not two-dimensional, or not whole numbers.
    """
    table = np.asarray(rows)
    if table.ndim != 2:
        raise ValueError(f"rows must have shape (n, columns), not {table.shape}")
    if table.dtype.kind not in "biuf":
        raise ValueError(f"rows must be whole numbers, not {table.dtype}")
    if table.dtype.kind == "f" and not (np.isfinite(table).all() and (table == np.rint(table)).all()):
        raise ValueError("rows must be whole numbers; scale real ones to fixed point")
    return table.astype(np.int64)


def numeric_rows(rows: ArrayLike) -> NDArray[np.int64] | NDArray[np.float64]:
    """Rows as integers where they are whole numbers, else as floats, shape (n, columns).

    Raises:
        ValueError: not two-dimensional, or not finite numbers.
    """
    table = np.asarray(rows)
    if table.dtype.kind == "f" and table.ndim == 2 and np.isfinite(table).all():
        return table.astype(np.float64) if (table != np.rint(table)).any() else whole_rows(table)
    return whole_rows(table)


def cluster_index(clusters: ArrayLike) -> tuple[NDArray[np.str_], NDArray[np.intp]]:
    """Cluster names in sorted order, and for each row the place of its cluster among them.

    Args:
        clusters: the cluster of each row, length n; what is not a string counts by its `str`.

    Raises:
        ValueError: not one-dimensional, or NaN among them.
    """
    given = np.asarray(clusters)
    if given.ndim != 1:
        raise ValueError(f"clusters must be one name a row, not an array of shape {given.shape}")
    if given.dtype.kind in "fO" and (given != given).any():  # NaN alone differs from itself
        raise ValueError("a row without a cluster (NaN); each needs one")
    names = given.astype(str)
    unique, index = np.unique(names, return_inverse=True)
    return unique, index


def cluster_sums(rows: NDArray[Any], index: NDArray[np.intp], clusters: int) -> NDArray[np.float64]:
    """Sums of the rows of each cluster, shape (clusters, columns); exact where rows are integers.

    As float64, in which matrix products are fast; sums and products of integers are exact there
    below 2^53, in whatever order they are added.

    Raises:
        ValueError: an integer column so large that a resampled total might pass 2^53.
    """
    real = rows.dtype.kind == "f"
    sums = np.zeros((clusters, rows.shape[1]), dtype=np.float64 if real else np.int64)
    np.add.at(sums, index, rows)
    found = sums.astype(np.float64)
    if not real:
        check_exact(np.abs(found).sum(axis=0))
    return found


def check_exact(totals: NDArray[np.float64]) -> None:
    """Refuses absolute column totals of integers that a resample might take past 2^53.

    Raises:
        ValueError: one is too large.
    """
    # A resample holds a cluster 20 times at most (Poisson counts end there).
    if totals.size and 20.0 * totals.max() >= 2.0**53:
        raise ValueError("a column total is too large for exact sums; use a coarser fixed point")
