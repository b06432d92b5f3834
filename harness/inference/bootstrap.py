"""The bootstrap over clusters, as a product of resampling weights and column totals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.inference.bootstrap_intervals import BootstrapMethod, interval_of_sorted
from harness.inference.cluster_sums import Value, check_exact, cluster_index, cluster_sums, numeric_rows
from harness.inference.keyed_random import cluster_keys
from harness.inference.resampling_weights import fill_multinomial, fill_poisson
from harness.inference.results import Interval, Intervals, Side, check_option, undefined

Floats = NDArray[np.float64]
Scheme = Literal["poisson", "multinomial"]

FEWEST_CLUSTERS: Final = 5
"""That must bear on a value for a decision to rest on its bootstrap."""

_BLOCK: Final = 1 << 21
"""Weights held at a time: 2 million, 16 MB."""

_CLUSTERS: Final = 256
"""Fewest clusters taken at a time, however many the replicates."""


@dataclass(frozen=True, eq=False)
class BootstrapDistribution:
    """What a resampling says of the values of one statistic; intervals of any kind follow."""

    estimate: Floats
    """The values on all data, shape (values,)."""
    replicates: Floats
    """The values on each resample, shape (replicates, values); NaN where undefined (0/0)."""
    jackknife: Floats
    """The values with each cluster left out once, shape (clusters, values)."""

    @cached_property
    def _sorted(self) -> Floats:
        return np.sort(self.replicates, axis=0)  # NaN last

    def interval(
        self,
        place: int,
        confidence: float = 0.95,
        method: BootstrapMethod = "bca",
        side: Side = "two-sided",
    ) -> Interval:
        """The interval of value number `place`; as in `bootstrap_interval`.

        Raises:
            ValueError: confidence outside (0, 1) or an unknown option.
        """
        return interval_of_sorted(
            float(self.estimate[place]),
            self._sorted[:, place],
            self.jackknife[:, place],
            confidence,
            method,
            side,
        )

    def guarded_interval(self, place: int, confidence: float = 0.95, side: Side = "two-sided") -> Interval:
        """The BCa interval of value number `place`, if enough clusters bear on it; on this decisions rest.

        Where nearly all variation comes from a few clusters, others like them may not have been seen at
        all: with 300 patients of whom two or three err, and err much, a nominal 95 % interval holds in
        78 % of cases. So it is undefined where the effective number of clusters that bear on the value,
        (sum of d^2)^2 / sum of d^4 over the jackknife's deviations d, is below 5.

        Raises:
            ValueError: confidence outside (0, 1) or an unknown option.
        """
        found = self.interval(place, confidence, "bca", side)
        left_out = self.jackknife[:, place]
        squares = (left_out - left_out.mean()) ** 2
        if math.isnan(found.estimate) or not np.isfinite(squares).all() or not squares.any():
            return found
        squares /= squares.max()
        bearing = float(squares.sum() ** 2 / (squares**2).sum())
        if bearing >= FEWEST_CLUSTERS:
            return found
        reason = f"nearly all variation comes from {bearing:.1f} clusters; {FEWEST_CLUSTERS} are needed"
        return undefined(confidence, side, found.method, reason, found.estimate)

    def intervals(
        self, confidence: float = 0.95, method: BootstrapMethod = "bca", side: Side = "two-sided"
    ) -> Intervals:
        """Intervals of every value; as in `bootstrap_interval`.

        Raises:
            ValueError: confidence outside (0, 1) or an unknown option.
        """
        each = [self.interval(place, confidence, method, side) for place in range(len(self.estimate))]
        return Intervals(
            low=np.array([interval.low for interval in each]),
            high=np.array([interval.high for interval in each]),
            estimate=self.estimate,
            confidence=confidence,
            side=side,
            method=each[0].method if each else f"{method} bootstrap",
            reason=tuple(interval.reason for interval in each),
        )


class Bootstrap:
    """One draw of resampling weights that serves any number of statistics and slices."""

    def __init__(self, clusters: ArrayLike, replicates: int, seed: int, scheme: Scheme = "poisson") -> None:
        """Says what is resampled.

        Args:
            clusters: the cluster of each study, length n.
            replicates: how many resamples, 1 or more.
            seed: of the draw, 0 or more.
            scheme: "poisson" draws `bootstrap_weights`, which do not depend on what other clusters
                there are. "multinomial" draws as many clusters as there are, with replacement: the
                classical bootstrap, whose draw is a function of seed and of the set of clusters.
                They differ in that the number of clusters in a Poisson resample varies, which
                makes intervals wider by half a percent at 100 clusters, and 3 % at 16.

        Raises:
            ValueError: no replicates, a negative seed, or clusters of the wrong shape.
        """
        if replicates < 1:
            raise ValueError(f"replicates must be 1 or more, not {replicates!r}")
        check_option("scheme", scheme, get_args(Scheme))
        self.replicates = replicates
        self._names, self._index = cluster_index(clusters)
        self._scheme = scheme
        keyed = self._names if scheme == "poisson" else ["multinomial"]
        self._keys = cluster_keys(keyed, seed)

    def distributions(
        self,
        statistics: Sequence[tuple[ArrayLike, Value]],
        masks: Sequence[NDArray[np.bool_] | None] = (None,),
    ) -> list[list[BootstrapDistribution]]:
        """The distribution of every statistic on every slice, in one pass over the weights.

        Clusters come some at a time, with their weights, and add to the totals of every replicate and
        slice: what is held besides the rows does not grow with the studies, but for the jackknife
        (8 bytes x clusters of the slice x values). Totals of integers are the same to the bit however
        the clusters are divided.

        Args:
            statistics: (rows, value) each; rows of shape (n, columns of that statistic), integers
                where results are to be the same to the bit in any order of rows; value maps column
                totals (..., columns) to (...) or (..., values).
            masks: the studies of each slice, boolean, shape (n,); None means all.

        Returns:
            For each mask, for each statistic.

        Raises:
            ValueError: rows, masks or values of the wrong shape, or rows that are not finite.
        """
        tables = [_table(rows) for rows, _ in statistics]
        studies = len(self._index)
        if any(len(table) != studies for table in tables):
            raise ValueError(f"each statistic needs a row for each of the {studies} studies")
        if not statistics:
            return [[] for _ in masks]
        ends = np.cumsum([0, *(table.shape[1] for table in tables)])
        spans = [slice(ends[k], ends[k + 1]) for k in range(len(tables))]
        values = [value for _, value in statistics]
        chosen = [self._mask(mask) for mask in masks]
        totals = [_totals(tables, mask) for mask in chosen]
        resampled = [np.zeros((self.replicates, int(ends[-1]))) for _ in masks]
        left_out: list[list[list[Floats]]] = [[[] for _ in statistics] for _ in masks]
        largest = np.zeros((len(masks), int(ends[-1])))
        real = any(table.dtype.kind == "f" for table in tables)
        for clusters, sums in self._sums(tables, chosen):
            for place, (_, table) in enumerate(sums):
                largest[place] += np.abs(table).sum(axis=0)
                if not real:
                    check_exact(largest[place])
                for into, span, value in zip(left_out[place], spans, values, strict=True):
                    into.append(_values(value, totals[place][span] - table[:, span]))
            for rows, weights in self._weights(clusters):
                for into_totals, (members, table) in zip(resampled, sums, strict=True):
                    if len(members):
                        whole = len(members) == weights.shape[1]
                        into_totals[rows] += (weights if whole else weights[:, members]) @ table
        return [
            [
                BootstrapDistribution(
                    estimate=_values(value, totals[place][span]),
                    replicates=_values(value, resampled[place][:, span]),
                    jackknife=np.concatenate(left_out[place][number]),
                )
                for number, (span, value) in enumerate(zip(spans, values, strict=True))
            ]
            for place in range(len(masks))
        ]

    def _mask(self, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        if mask is not None and (np.asarray(mask).dtype != bool or np.shape(mask) != self._index.shape):
            raise ValueError(f"a mask must be boolean, of shape {self._index.shape}")
        return mask

    def _sums(
        self, tables: Sequence[NDArray[Any]], masks: Sequence[NDArray[np.bool_] | None]
    ) -> Iterator[tuple[slice, list[tuple[NDArray[np.intp], Floats]]]]:
        """Some clusters at a time; of them, for each slice, which it holds and their sums."""
        order = np.argsort(self._index, kind="stable")
        sorted_index = self._index[order]
        clusters = len(self._names)
        step = clusters if self._scheme == "multinomial" else max(_CLUSTERS, _BLOCK // self.replicates)
        for start in range(0, max(1, clusters), max(1, step)):
            stop = min(start + step, clusters)
            first, last = np.searchsorted(sorted_index, (start, stop))
            studies = order[first:last]
            joined = np.concatenate([table[studies] for table in tables], axis=1)
            place = self._index[studies] - start
            found = []
            for mask in masks:
                kept = slice(None) if mask is None else mask[studies]
                members, index = np.unique(place[kept], return_inverse=True)
                found.append((members, cluster_sums(joined[kept], index, len(members))))
            yield slice(start, stop), found

    def _weights(self, clusters: slice) -> Iterator[tuple[slice, Floats]]:
        """Weights of some clusters, (replicates, clusters), for some replicates at a time."""
        many = clusters.stop - clusters.start
        size = min(self.replicates, max(1, _BLOCK // max(1, many)))
        weights = np.empty((size, many))
        for start in range(0, self.replicates, size):
            block = weights[: min(size, self.replicates - start)]
            if self._scheme == "poisson":
                fill_poisson(self._keys[clusters], start, block)
            else:
                fill_multinomial(self._keys, start, block)
            yield slice(start, start + len(block)), block


def bootstrap_interval(
    rows: ArrayLike,
    value: Value,
    clusters: ArrayLike | None = None,
    replicates: int = 10_000,
    confidence: float = 0.95,
    method: BootstrapMethod = "bca",
    seed: int = 0,
    side: Side = "two-sided",
) -> Interval | Intervals:
    """A bootstrap confidence interval for any function of column totals.

    As many clusters as there are, drawn with replacement (Efron & Tibshirani, An Introduction to
    the Bootstrap, 1993). The draw depends on the seed and the set of clusters, not on their order.

    Undefined, with the reason, where no honest interval exists: all resamples alike; an end beyond
    the most extreme resample, or among resamples whose value is undefined (0/0 counts as beyond
    either end); an infinite bias correction or acceleration.

    Args:
        rows: shape (n, columns).
        value: pure and vectorised, column totals (..., columns) to (...) or (..., values).
        clusters: the cluster of each row, length n; None makes each row its own.
        replicates: how many resamples.
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        method: "percentile", "basic" or "bca" (Efron, JASA 1987;82:171-185).
        seed: of the draw.
        side: for a one-sided bound the other end is infinite.

    Returns:
        An `Interval` where value gives one number, `Intervals` where it gives several.

    Raises:
        ValueError: rows that are not finite, wrong shapes, or an unknown option.
    """
    table = numeric_rows(rows)
    own = np.arange(len(table)) if clusters is None else clusters
    [[distribution]] = Bootstrap(own, replicates, seed, "multinomial").distributions([(table, value)])
    found = distribution.intervals(confidence, method, side)
    scalar = np.ndim(value(table.sum(axis=0).astype(np.float64))) == 0
    return found[0] if scalar else found


def _table(rows: ArrayLike) -> NDArray[Any]:
    """Rows as numbers; integers are left as narrow as they came, for their sums are made wide."""
    given = np.asarray(rows)
    return given if given.ndim == 2 and given.dtype.kind == "i" else numeric_rows(rows)


def _totals(tables: Sequence[NDArray[Any]], mask: NDArray[np.bool_] | None) -> Floats:
    """Column totals of a slice, of all tables side by side."""
    kept = slice(None) if mask is None else mask
    return np.concatenate([table[kept].sum(axis=0).astype(np.float64) for table in tables])


def _values(value: Value, totals: Floats) -> Floats:
    """Values as (..., values), checked."""
    found = np.asarray(value(totals), dtype=np.float64)
    lead = totals.shape[:-1]
    if found.shape == lead:
        found = found[..., None]
    if found.shape[:-1] != lead:
        raise ValueError(
            f"value must map totals of shape {totals.shape} to {lead} or {(*lead, 'values')}, "
            f"not {found.shape}"
        )
    return found
