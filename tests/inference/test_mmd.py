import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.inference.mmd import (
    block_mmd,
    kernel,
    median_bandwidth,
    mmd,
    mmd_test,
    null_mmd,
    witness,
)


def samples(seed, m, n, dimensions=3, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, dimensions)), rng.normal(size=(n, dimensions)) + shift


def k(a, b, bandwidth):
    return math.exp(-float(((a - b) ** 2).sum()) / (2 * bandwidth**2))


def brute_force(x, y, bandwidth):
    """Equation 3 of Gretton et al., 2012, term by term."""
    m, n = len(x), len(y)
    xx = sum(k(x[i], x[j], bandwidth) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    yy = sum(k(y[i], y[j], bandwidth) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    xy = sum(k(a, b, bandwidth) for a in x for b in y) / (m * n)
    return xx + yy - 2 * xy


@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12), st.floats(0.3, 4))
@settings(max_examples=40, deadline=None)
def test_estimate_is_the_u_statistic(seed, m, n, bandwidth):
    x, y = samples(seed, m, n, shift=0.4)
    assert mmd(x, y, bandwidth) == pytest.approx(brute_force(x, y, bandwidth), abs=1e-12)
    assert mmd(y, x, bandwidth) == pytest.approx(mmd(x, y, bandwidth), abs=1e-12)


def test_far_from_the_origin_no_digits_are_lost():
    x, y = samples(1, 20, 20, shift=1)
    assert mmd(x + 1e6, y + 1e6, 1.0) == pytest.approx(mmd(x, y, 1.0), abs=1e-7)


def test_blocks_of_two_are_the_linear_time_estimate():
    """Gretton et al., 2012, lemma 14: mean of h over disjoint pairs."""
    x, y = samples(2, 40, 40, shift=0.5)
    h = [
        k(x[i], x[i + 1], 1.5) + k(y[i], y[i + 1], 1.5) - k(x[i], y[i + 1], 1.5) - k(x[i + 1], y[i], 1.5)
        for i in range(0, 40, 2)
    ]
    # The U-statistic of a block of two also holds the terms k(x_i, y_i), as the B-test does.
    full = [
        k(x[i], x[i + 1], 1.5)
        + k(y[i], y[i + 1], 1.5)
        - 0.5 * sum(k(x[a], y[b], 1.5) for a in (i, i + 1) for b in (i, i + 1))
        for i in range(0, 40, 2)
    ]
    found = block_mmd(x, y, 1.5, 2).statistic
    assert found == pytest.approx(np.mean(full), abs=1e-12)
    assert found == pytest.approx(np.mean(h), abs=4 * np.std(np.array(h) - full) / math.sqrt(20))


def test_block_estimate_agrees_with_all_pairs_and_its_test_holds_its_level():
    rng = np.random.default_rng(3)
    x, y = samples(4, 3000, 3000, shift=0.3)
    assert block_mmd(x, y, 2.0, 60).statistic == pytest.approx(mmd(x[:1500], y[:1500], 2.0), rel=0.1)
    false = [
        block_mmd(rng.normal(size=(400, 3)), rng.normal(size=(400, 3)), 2.0, 10).p_value < 0.05
        for _ in range(400)
    ]
    assert np.mean(false) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert block_mmd(x, y, 2.0, 60).p_value < 1e-6


def test_permutation_p_values_are_uniform_under_the_null():
    p = [mmd_test(*samples(seed, 25, 15), 1.5, 99, seed).p_value for seed in range(300)]
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(np.array(p) <= level) - level) < 3.3 * math.sqrt(level * (1 - level) / 300)


def test_permutation_test_has_the_estimate_as_statistic_and_sees_a_shift():
    x, y = samples(5, 60, 40, shift=0.8)
    found = mmd_test(x, y, 1.5, 500, 1)
    assert found.statistic == pytest.approx(mmd(x, y, 1.5), abs=1e-12)
    assert found.p_value == pytest.approx(1 / 501)
    assert mmd_test(x, y, 1.5, 500, 1) == found


def test_two_halves_of_the_same_points_are_never_called_different():
    x, _ = samples(6, 30, 2)
    assert mmd_test(x, x, 1.0, 200, 0).p_value > 0.9


def test_threshold_from_null_windows_holds_for_this_very_reference():
    rng = np.random.default_rng(7)
    rates = []
    for seed in range(12):
        x, pool = rng.normal(size=(150, 4)), rng.normal(size=(300, 4))
        bandwidth = median_bandwidth(x)
        nulls = null_mmd(x, pool, 50, bandwidth, 800, seed)
        assert (np.diff(nulls) >= 0).all()
        threshold = np.quantile(nulls, 0.95)
        rates.append(np.mean([mmd(x, rng.normal(size=(50, 4)), bandwidth) > threshold for _ in range(120)]))
    # The pool is itself a sample: on average over references the level is near the nominal one.
    assert np.mean(rates) < 0.09
    assert np.mean(rates) > 0.015


def test_null_windows_are_the_estimate_on_points_of_the_pool():
    x, pool = samples(8, 20, 8)
    nulls = null_mmd(x, pool, 4, 1.0, 3000, 0)
    # With 70 windows of 4 in 8 points, all of them turn up; undo the widening to compare.
    from itertools import combinations

    every = np.array([mmd(x, pool[list(chosen)], 1.0) for chosen in combinations(range(8), 4)])
    narrowed = nulls.mean() + (nulls - nulls.mean()) * 0.5
    assert narrowed.min() == pytest.approx(every.min(), abs=1e-3)
    assert narrowed.max() == pytest.approx(every.max(), abs=1e-3)
    assert narrowed.mean() == pytest.approx(every.mean(), abs=4 * every.std() / 3000**0.5)


def test_witness_is_largest_where_the_second_sample_lies():
    x, y = samples(9, 50, 50, shift=3)
    assert witness(y, x, y, 1.0).mean() > 0 > witness(x, x, y, 1.0).mean()


def test_too_few_points_are_undefined():
    x, y = samples(10, 5, 1)
    assert math.isnan(mmd(x, y, 1.0))
    assert mmd_test(x, y, 1.0).reason
    assert block_mmd(x, x, 1.0, 5).reason


@pytest.mark.parametrize(
    "call",
    [
        lambda x: mmd(x * np.nan, x, 1.0),
        lambda x: mmd(x[:, :2], x, 1.0),
        lambda x: kernel(x, x, 0.0),
        lambda x: median_bandwidth(x * 0),
        lambda x: median_bandwidth(x[:1]),
        lambda x: block_mmd(x, x, 1.0, 1),
        lambda x: mmd_test(x, x, 1.0, 0),
        lambda x: null_mmd(x, x, 6, 1.0),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match=r"\w"):
        call(samples(11, 10, 2)[0])
