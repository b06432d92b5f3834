import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.inference import (
    clustered_paired_difference_interval,
    difference_interval,
    paired_difference_interval,
    proportion_interval,
    square_and_add,
)

cells = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)).filter(sum), min_size=2, max_size=30
)


def of(table, **options):
    b, c, rest = np.array(table).T
    return clustered_paired_difference_interval(b, c, b + c + rest, **options)


@given(st.lists(st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1)]), min_size=2, max_size=60))
def test_one_pair_a_cluster_is_tango(table):
    b, c, rest = np.array(table).sum(axis=0)
    plain = paired_difference_interval(0, int(b), int(c), int(rest))
    clustered = of(table)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=1e-9)
    assert clustered.estimate == plain.estimate


@given(cells)
def test_clusters_never_narrow_and_exchanging_the_arms_mirrors(table):
    b, c, rest = (int(total) for total in np.array(table).sum(axis=0))
    plain, clustered = paired_difference_interval(0, b, c, rest), of(table)
    assert clustered.high - clustered.low >= plain.high - plain.low - 1e-9
    assert clustered.low - 1e-12 <= clustered.estimate <= clustered.high + 1e-12
    mirrored = of([(second, first, other) for first, second, other in table])
    assert (mirrored.low, mirrored.high) == pytest.approx((-clustered.high, -clustered.low), abs=1e-9)


@given(cells, st.sampled_from(["lower", "upper"]))
def test_a_bound_is_the_end_of_the_interval_at_twice_the_tail(table, side):
    bound, both = of(table, confidence=0.95, side=side), of(table, confidence=0.9)
    end = "low" if side == "lower" else "high"
    assert getattr(bound, end) == pytest.approx(getattr(both, end), abs=1e-9)
    assert (bound.high if side == "lower" else bound.low) == (1.0 if side == "lower" else -1.0)


def test_without_a_discordant_pair_the_closed_form():
    # Tango with b = c = 0: z^2 / (n + z^2), here of 50 clusters of 2 correlated by one half.
    interval = clustered_paired_difference_interval([0] * 50, [0] * 50, [2] * 50, 0.95, "lower")
    assert -0.05 < interval.low < -2.7055 / (100 / 1.5 + 2.7055) + 2e-3
    assert interval.estimate == 0


def test_alike_within_clusters_counts_clusters():
    # 30 clusters of 4 that are wholly won, lost or tied are worth 30 pairs.
    b, c = np.repeat([4, 0, 0], 10), np.repeat([0, 4, 0], [10, 5, 15])
    clustered = clustered_paired_difference_interval(b, c, np.full(30, 4))
    plain = paired_difference_interval(0, 10, 5, 15)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=5e-3)


def test_undefined_and_refused():
    assert math.isnan(clustered_paired_difference_interval([], [], []).low)
    assert clustered_paired_difference_interval([0], [0], [0]).reason == "no pairs: 0/0"
    for table in ([[1], [1], [1]], [[-1], [0], [1]], [[math.nan], [0], [1]], [[1], [1, 2], [3]]):
        with pytest.raises(ValueError, match=r"one length|finite|b \+ c"):
            clustered_paired_difference_interval(*table)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_square_and_add_of_wilson_is_newcombe(n1, n2, data):
    x1, x2 = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n2))
    arms = [partial(proportion_interval, x, n, method="wilson") for x, n in ((x1, n1), (x2, n2))]
    ours, published = square_and_add(*arms), difference_interval(x1, n1, x2, n2)
    assert (ours.low, ours.high) == pytest.approx((published.low, published.high), abs=1e-12)


def test_square_and_add_is_undefined_where_one_of_them_is():
    arms = [partial(proportion_interval, x, n) for x, n in ((1, 2), (0, 0))]
    found = square_and_add(*arms)
    assert math.isnan(found.low)
    assert found.reason == "no trials: 0/0"
