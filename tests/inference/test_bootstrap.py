import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.inference import Bootstrap, bootstrap_interval, bootstrap_weights

METHODS = ["percentile", "basic", "bca"]


def rate(totals):
    with np.errstate(invalid="ignore", divide="ignore"):
        return totals[..., 0] / totals[..., 1]


def f1(totals):
    """Macro F1 of three classes, from (true positives, false positives, false negatives) each."""
    tp, fp, fn = np.moveaxis(totals.reshape(*totals.shape[:-1], 3, 3), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (2 * tp / (2 * tp + fp + fn)).mean(axis=-1)


def both(totals):
    return np.stack([rate(totals), totals[..., 0] / (1 + totals[..., 1])], axis=-1)


def study_rows(seed, n=120, columns=9):
    rng = np.random.default_rng(seed)
    clusters = np.array([f"p{k}" for k in rng.integers(0, n // 2, n)])
    return rng.integers(0, 6, (n, columns)), clusters


def same(one, other):
    assert one.method == other.method
    for name in ("low", "high", "estimate"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [rate, f1, both])
def test_order_of_studies_changes_nothing(method, value):
    rows, clusters = study_rows(0)
    expected = bootstrap_interval(rows, value, clusters, 500, method=method)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(rows))
        same(bootstrap_interval(rows[order], value, clusters[order], 500, method=method), expected)


def test_merging_shards_changes_nothing():
    rows, clusters = study_rows(1)
    expected = bootstrap_interval(rows, f1, clusters, 500)
    names = np.unique(clusters)
    merged = np.zeros((len(names), rows.shape[1]), dtype=int)
    for shard in np.array_split(np.arange(len(rows)), 7):
        np.add.at(merged, np.searchsorted(names, clusters[shard]), rows[shard])
    same(bootstrap_interval(merged, f1, names, 500), expected)


@pytest.mark.parametrize("scheme", ["poisson", "multinomial"])
def test_block_size_changes_nothing(monkeypatch, scheme):
    rows, clusters = study_rows(2)
    [[whole]] = Bootstrap(clusters, 301, 4, scheme).distributions([(rows, both)])
    monkeypatch.setattr("harness.inference.bootstrap._BLOCK", 500)
    [[blocks]] = Bootstrap(clusters, 301, 4, scheme).distributions([(rows, both)])
    np.testing.assert_array_equal(whole.replicates, blocks.replicates)


def test_replicates_are_the_value_of_weights_times_sums():
    rows, clusters = study_rows(3)
    names, index = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]), dtype=int)
    np.add.at(sums, index, rows)
    weights = bootstrap_weights(names, 200, 9)
    [[found]] = Bootstrap(clusters, 200, 9).distributions([(rows, both)])
    np.testing.assert_array_equal(found.replicates, both((weights @ sums).astype(float)))
    np.testing.assert_array_equal(found.estimate, both(rows.sum(axis=0).astype(float)))
    left_out = [both(rows[clusters != name].sum(axis=0).astype(float)) for name in names]
    np.testing.assert_array_equal(found.jackknife, left_out)


def test_many_statistics_and_slices_in_one_pass_are_those_of_each_alone():
    rows, clusters = study_rows(4)
    other = rows[:, :2] + 1
    mask = np.random.default_rng(0).random(len(rows)) < 0.4
    draw = Bootstrap(clusters, 150, 6)
    found = draw.distributions([(rows, f1), (other, both)], [None, mask, ~mask])
    assert [len(each) for each in found] == [2, 2, 2]
    for chosen, distributions in zip((np.ones_like(mask), mask, ~mask), found, strict=True):
        for (table, value), distribution in zip([(rows, f1), (other, both)], distributions, strict=True):
            [[alone]] = Bootstrap(clusters[chosen], 150, 6).distributions([(table[chosen], value)])
            for name in ("estimate", "replicates", "jackknife"):
                np.testing.assert_array_equal(getattr(distribution, name), getattr(alone, name))


def test_candidates_are_compared_on_the_same_draw():
    rows, clusters = study_rows(5)
    joined = np.concatenate([rows, rows], axis=1)

    def difference(totals):
        return f1(totals[..., :9]) - f1(totals[..., 9:])

    [[found]] = Bootstrap(clusters, 100, 0).distributions([(joined, difference)])
    assert (found.replicates == 0).all()
    interval = bootstrap_interval(joined, difference, clusters, 100)
    assert math.isnan(interval.low)
    assert interval.reason == "no variation between resamples"


@pytest.mark.parametrize("method", METHODS)
def test_agrees_with_scipy(method):
    rng = np.random.default_rng(8)
    sample = rng.gamma(2, 20, 60).astype(int)
    rows = np.stack([sample, np.ones_like(sample)], axis=1)
    ours = bootstrap_interval(rows, rate, replicates=40_000, confidence=0.9, method=method)
    theirs = stats.bootstrap(
        (sample,), np.mean, n_resamples=40_000, confidence_level=0.9, method=method, rng=1
    ).confidence_interval
    assert [ours.low, ours.high] == pytest.approx(list(theirs), abs=0.012 * sample.mean())


def test_poisson_is_wider_by_what_the_docs_say():
    sample = np.random.default_rng(2).normal(0, 1000, 100).astype(int)
    rows = np.stack([sample, np.ones_like(sample)], axis=1)
    widths = []
    for scheme in ("poisson", "multinomial"):
        [[found]] = Bootstrap(np.arange(100), 100_000, 0, scheme).distributions([(rows, rate)])
        widths.append(found.replicates.std())
    assert widths[0] / widths[1] == pytest.approx(1.005, abs=0.006)


@pytest.mark.parametrize("method", METHODS)
def test_two_bounds_are_an_interval_and_confidence_nests(method):
    rows, clusters = study_rows(6)
    [[found]] = Bootstrap(clusters, 2000, 0).distributions([(rows, both)])
    wide, narrow = found.intervals(0.95, method), found.intervals(0.8, method)
    assert (wide.low <= narrow.low).all()
    assert (narrow.high <= wide.high).all()
    lower, upper = (found.intervals(0.975, method, side) for side in ("lower", "upper"))
    np.testing.assert_array_equal(lower.low, wide.low)
    np.testing.assert_array_equal(upper.high, wide.high)
    assert (lower.high == math.inf).all()
    assert (upper.low == -math.inf).all()


def test_covers_clustered_data_where_ignoring_clusters_does_not():
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 6, 100)
    clusters = np.repeat(np.arange(100), sizes)
    covered = np.zeros(2)
    for run in range(150):
        hit = rng.random(len(clusters)) < rng.beta(3, 1, 100)[clusters]
        rows = np.stack([hit, np.ones_like(hit)], axis=1)
        for k, names in enumerate((clusters, None)):
            interval = bootstrap_interval(rows, rate, names, 400, 0.9, seed=run)
            covered[k] += interval.low <= 0.75 <= interval.high
    assert covered[0] / 150 > 0.82
    assert covered[1] < covered[0]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=0, max_size=12),
    st.sampled_from(METHODS),
    st.sampled_from(["two-sided", "lower", "upper"]),
)
def test_never_nan_in_silence_and_never_certain(table, method, side):
    rows = np.array(table, dtype=int).reshape(-1, 2)
    interval = bootstrap_interval(rows, rate, replicates=200, method=method, side=side)
    undefined = math.isnan(interval.low) or math.isnan(interval.high)
    assert undefined == bool(interval.reason)
    assert undefined or interval.low < interval.high


def test_scalar_and_array_values():
    rows, clusters = study_rows(7)
    several = bootstrap_interval(rows, both, clusters, 300)
    single = bootstrap_interval(rows, rate, clusters, 300)
    assert several[0] == single
    assert len(several) == 2
    assert several.low.shape == (2,)


@pytest.mark.parametrize(
    ("rows", "options", "complaint"),
    [
        ([1, 2], {}, "shape"),
        ([[math.nan, 2]], {}, "whole numbers"),
        ([[1, 2], [1, 2]], {"clusters": [1.0, math.nan]}, "without a cluster"),
        ([["a", "b"]], {}, "whole numbers"),
        ([[1, 2]], {"clusters": ["a", "b"]}, "a row for each of the 2 studies"),
        ([[1, 2]], {"clusters": [["a"]]}, "one name a row"),
        ([[1, 2]], {"replicates": 0}, "replicates must be 1 or more"),
        ([[1, 2]], {"seed": -1}, "seed"),
        ([[1, 2]], {"confidence": 1.0}, "confidence"),
        ([[1, 2]], {"method": "studentized"}, "method must be one of"),
        ([[1, 2]], {"side": "left"}, "side must be one of"),
        ([[2**52, 2]], {}, "too large for exact sums"),
    ],
)
def test_refuses(rows, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        bootstrap_interval(rows, rate, **options)


def test_refuses_other_misuse():
    rows, clusters = study_rows(8)
    with pytest.raises(ValueError, match="value must map totals"):
        bootstrap_interval(rows, lambda totals: totals.sum(), clusters)
    with pytest.raises(ValueError, match="mask must be boolean"):
        Bootstrap(clusters, 10, 0).distributions([(rows, rate)], [np.ones(len(rows))])
    with pytest.raises(ValueError, match="scheme must be one of"):
        Bootstrap(clusters, 10, 0, "bayesian")


def test_guarded_is_bca_where_enough_clusters_bear_on_the_value():
    rows, clusters = study_rows(9)
    [[distribution]] = Bootstrap(clusters, 800, 1).distributions([(rows, both)])
    for place in (0, 1):
        assert distribution.guarded_interval(place) == distribution.interval(place)
        assert distribution.guarded_interval(place, 0.9, "lower") == distribution.interval(
            place, 0.9, "bca", "lower"
        )


@pytest.mark.parametrize(("erring", "defined"), [(1, False), (3, False), (6, True), (40, True)])
def test_guarded_is_undefined_where_few_clusters_bear_on_the_value(erring, defined):
    # So many of 200 clusters err, all by as much: as many bear on the rate.
    rows = np.array([[int(k >= erring), 1] for k in range(200)])
    [[distribution]] = Bootstrap(np.arange(200), 800, 1).distributions([(rows, rate)])
    found = distribution.guarded_interval(0)
    assert math.isnan(found.low) != defined
    assert ("nearly all variation comes from" in found.reason) != defined
    assert not math.isnan(distribution.interval(0).low) or erring == 1


def test_no_statistics_give_no_distributions():
    assert Bootstrap(["a", "b"], 10, 0).distributions([], [None]) == [[]]
