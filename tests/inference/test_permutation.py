import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.inference import permutation_test, randomisation_test


def rate(totals):
    with np.errstate(invalid="ignore", divide="ignore"):
        return totals[..., 0] / totals[..., 1]


def arms(seed, n=60):
    rng = np.random.default_rng(seed)
    trials = rng.integers(0, 4, n)
    first, second = rng.binomial(trials, 0.8), rng.binomial(trials, 0.6)
    clusters = np.array([f"p{k}" for k in rng.integers(0, n // 2, n)])
    return np.stack([first, trials], axis=1), np.stack([second, trials], axis=1), clusters


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=20)


@given(rows, st.integers(1, 300))
def test_a_against_a_gives_1(table, replicates):
    result = permutation_test(table, table, rate, replicates=replicates)
    assert (result.statistic, result.p_value) == (0, 1)


def test_undefined_arms_that_are_one_and_the_same_give_1():
    assert permutation_test([[0, 0]], [[0, 0]], rate).p_value == 1


def test_exchange_of_arms_mirrors():
    first, second, clusters = arms(1)
    one = permutation_test(first, second, rate, clusters, 999)
    other = permutation_test(second, first, rate, clusters, 999)
    assert other.statistic == -one.statistic
    assert other.p_value == one.p_value


def test_order_and_merging_do_not_matter():
    first, second, clusters = arms(2)
    expected = permutation_test(first, second, rate, clusters, 999, seed=5)
    order = np.random.default_rng(0).permutation(len(first))
    assert permutation_test(first[order], second[order], rate, clusters[order], 999, seed=5) == expected
    names, index = np.unique(clusters, return_inverse=True)
    sums = [np.zeros((len(names), 2), dtype=int) for _ in range(2)]
    for into, table in zip(sums, (first, second), strict=True):
        np.add.at(into, index, table)
    assert permutation_test(*sums, rate, names, 999, seed=5) == expected


def test_few_clusters_are_enumerated():
    first, second, clusters = arms(3, n=12)
    found = permutation_test(first, second, rate, clusters)
    names = np.unique(clusters)
    observed = abs(rate(first.sum(axis=0)) - rate(second.sum(axis=0)))
    far = 0
    for swaps in product([False, True], repeat=len(names)):
        swap = np.array(swaps)[np.searchsorted(names, clusters)][:, None]
        one, other = np.where(swap, second, first), np.where(swap, first, second)
        far += abs(rate(one.sum(axis=0)) - rate(other.sum(axis=0))) >= observed - 1e-12
    assert found.p_value == far / 2 ** len(names)


def test_agrees_with_scipy():
    rng = np.random.default_rng(4)
    first, second = rng.integers(0, 20, 40), rng.integers(3, 20, 40)
    expected = stats.permutation_test(
        (first, second),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=0,
    )
    found = permutation_test(first[:, None], second[:, None], lambda t: t[..., 0] / 40, replicates=20_000)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)


def test_random_swaps_carry_the_correction():
    first = np.ones((80, 1), dtype=int)
    found = permutation_test(first, 0 * first, lambda t: t[..., 0], replicates=99)
    assert found.p_value == 1 / 100


def test_holds_its_level():
    rng = np.random.default_rng(9)
    values = [
        permutation_test(
            rng.integers(0, 2, (40, 1)),
            rng.integers(0, 2, (40, 1)),
            lambda t: t[..., 0],
            replicates=199,
            seed=k,
        ).p_value
        for k in range(300)
    ]
    assert np.mean(np.array(values) <= 0.05) <= 0.08


def test_several_values_share_the_swaps():
    first, second, clusters = arms(5)
    both = permutation_test(
        first, second, lambda t: np.stack([rate(t), t[..., 0]], axis=-1), clusters, replicates=499
    )
    assert len(both) == 2
    assert both[0].p_value == permutation_test(first, second, rate, clusters, 499).p_value
    assert both[1].p_value == permutation_test(first, second, lambda t: t[..., 0], clusters, 499).p_value


def test_an_undefined_arm_is_undefined_with_a_reason():
    result = permutation_test([[1, 2]], [[0, 0]], rate)
    assert math.isnan(result.p_value)
    assert result.reason == "undefined: 0/0"


def test_an_undefined_replicate_counts_as_far():
    # One swap of the two leaves the second arm without trials.
    result = permutation_test([[2, 2], [0, 0]], [[0, 0], [1, 2]], rate)
    assert result.p_value == 1


@pytest.mark.parametrize(
    ("first", "second", "options"),
    [
        ([[1]], [[1], [2]], {}),
        ([1], [1], {}),
        ([[math.nan]], [[1.0]], {}),
        ([[1]], [[2]], {"replicates": 0}),
        ([[1]], [[2]], {"clusters": ["a", "b"]}),
    ],
)
def test_refuses(first, second, options):
    with pytest.raises(ValueError, match=r"rows|replicates"):
        permutation_test(first, second, lambda t: t[..., 0], **options)


def share(totals):
    with np.errstate(invalid="ignore"):
        return totals[..., 0] / totals[..., 1]


def two_arms(seed, studies=60, effect=0.0):
    rng = np.random.default_rng(seed)
    first = np.arange(studies) < studies // 3
    hits = rng.random(studies) < np.where(first, 0.5 + effect, 0.5)
    return np.stack([hits, np.ones(studies)], axis=1).astype(int), first


def test_randomisation_agrees_with_scipy():
    rows, first = two_arms(1, effect=0.3)
    found = randomisation_test(rows, first, share, replicates=20_000)
    expected = stats.permutation_test(
        (rows[first, 0], rows[~first, 0]), lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True,
        n_resamples=20_000, rng=0,
    )  # fmt: skip
    assert found.statistic == pytest.approx(expected.statistic)
    # SciPy doubles the smaller tail; the tails are alike up to the discreteness of the data.
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)


def test_randomisation_deals_clusters_out_whole_and_in_any_order():
    rows, first = two_arms(2, effect=0.2)
    clusters = np.array([f"p{k // 2}" for k in range(60)])
    found = randomisation_test(rows, first, share, clusters, 500, 3)
    order = np.random.default_rng(0).permutation(60)
    assert randomisation_test(rows[order], first[order], share, clusters[order], 500, 3) == found
    assert "500 deals of 10 in 30 clusters" in found.method
    with pytest.raises(ValueError, match="a cluster lies in both arms"):
        randomisation_test(rows, first, share, np.roll(clusters, 1))


def test_randomisation_is_undefined_without_an_arm():
    rows, first = two_arms(3)
    for empty in (np.zeros_like(first), np.ones_like(first)):
        found = randomisation_test(rows, empty, share, replicates=50)
        assert math.isnan(found.p_value)
        assert found.reason == "undefined: 0/0"


def test_randomised_arms_that_are_alike_give_1():
    rows, first = two_arms(4)
    assert randomisation_test(np.ones_like(rows), first, share, replicates=50).p_value == 1


@pytest.mark.parametrize("options", [{"replicates": 0}, {"clusters": ["a"]}])
def test_randomisation_refuses(options):
    rows, first = two_arms(5)
    with pytest.raises(ValueError, match=r"replicates|cluster"):
        randomisation_test(rows, first, share, **options)
    with pytest.raises(ValueError, match="first must be boolean"):
        randomisation_test(rows, first.astype(int), share)


def test_real_valued_rows_are_taken():
    # Fisher's Darwin data in inches: the exact p is that of eighths of an inch.
    eighths = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])[:, None]
    whole = permutation_test(eighths, 0 * eighths, lambda t: t[..., 0], replicates=40_000)
    real = permutation_test(eighths / 8, 0.0 * eighths, lambda t: t[..., 0], replicates=40_000)
    assert whole.p_value == real.p_value == 1726 / 32768
