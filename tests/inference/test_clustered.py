import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.inference import clustered_proportion_interval, design_effect, proportion_interval

METHODS = ["clopper-pearson", "wilson"]

clusters = st.lists(
    st.integers(1, 8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2, max_size=40
)
methods = st.sampled_from(METHODS)
sides = st.sampled_from(["two-sided", "lower", "upper"])


def of(pairs, **options):
    x, n = np.array(pairs).T
    return clustered_proportion_interval(x, n, **options)


@given(clusters, methods, sides)
def test_never_narrower_than_without_clusters(pairs, method, side):
    plain = proportion_interval(*np.array(pairs).sum(axis=0), method=method, side=side)
    clustered = of(pairs, method=method, side=side)
    assert clustered.low <= plain.low + 1e-12
    assert clustered.high >= plain.high - 1e-12
    assert clustered.estimate == plain.estimate


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), methods, sides)
def test_one_trial_a_cluster_is_the_plain_interval(successes, method, side):
    plain = proportion_interval(sum(successes), len(successes), method=method, side=side)
    clustered = clustered_proportion_interval(successes, [1] * len(successes), method=method, side=side)
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


@given(clusters, methods, st.randoms())
def test_order_and_empty_clusters_do_not_matter(pairs, method, random):
    shuffled = [*pairs, (0, 0), (0, 0)]
    random.shuffle(shuffled)
    one, other = of(pairs, method=method), of(shuffled, method=method)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("success", [0, 1])
def test_all_or_none(method, success):
    trials = np.array([3, 1, 4, 2, 5])
    interval = clustered_proportion_interval(success * trials, trials, method=method)
    plain = proportion_interval(success * 15, 15, method=method)
    assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high), abs=1e-12)
    assert 0.1 < interval.high - interval.low < 0.5


def test_alike_within_clusters_counts_clusters():
    # Perfect correlation: 20 clusters of 5 are worth 20 trials.
    x = np.array([5] * 15 + [0] * 5)
    assert design_effect(x.astype(float), np.full(20, 5.0)) == pytest.approx(5)
    clustered = clustered_proportion_interval(x, np.full(20, 5), method="clopper-pearson")
    plain = proportion_interval(15, 20, method="clopper-pearson")
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


def test_a_single_cluster_counts_as_a_single_trial():
    assert clustered_proportion_interval([300], [300], side="lower").low == pytest.approx(0.05)


def test_covers_clustered_data():
    rng = np.random.default_rng(7)
    sizes, p, correlation = rng.integers(1, 7, 120), 0.85, 0.4
    shape = (1 - correlation) / correlation
    covered = plainly = 0
    for _ in range(400):
        x = rng.binomial(sizes, rng.beta(p * shape, (1 - p) * shape, len(sizes)))
        covered += clustered_proportion_interval(x, sizes, side="lower").low <= p
        plainly += proportion_interval(x.sum(), sizes.sum(), method="clopper-pearson", side="lower").low <= p
    assert covered / 400 >= 0.92
    assert plainly < covered


@pytest.mark.parametrize(("x", "n"), [([], []), ([0, 0], [0, 0])])
def test_no_trials_are_undefined_with_a_reason(x, n):
    interval = clustered_proportion_interval(x, n)
    assert math.isnan(interval.low)
    assert math.isnan(interval.estimate)
    assert interval.reason == "no trials: 0/0"


@pytest.mark.parametrize(
    ("x", "n"), [([1], [1, 2]), ([-1], [2]), ([3], [2]), ([math.nan], [2]), ([[1]], [[2]]), ([1], [math.inf])]
)
def test_refuses(x, n):
    with pytest.raises(ValueError, match=r"one length|0 <= successes <= trials"):
        clustered_proportion_interval(x, n)
    with pytest.raises(ValueError, match="method must be one of"):
        clustered_proportion_interval([1], [2], method="wald")


@given(clusters, sides)
def test_guarded_is_never_narrower_than_clopper_pearson(pairs, side):
    guarded, plain = of(pairs, side=side), of(pairs, side=side, method="clopper-pearson")
    assert guarded.low <= plain.low + 1e-12
    assert guarded.high >= plain.high - 1e-12


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), sides)
def test_guarded_of_one_trial_a_cluster_is_exact(successes, side):
    plain = proportion_interval(sum(successes), len(successes), method="clopper-pearson", side=side)
    guarded = clustered_proportion_interval(successes, [1] * len(successes), side=side)
    assert (guarded.low, guarded.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


@pytest.mark.parametrize("size", [1, 2, 4, 6])
@pytest.mark.parametrize("number", [20, 80, 300])
def test_a_further_error_never_improves_the_bound_of_a_good_result(size, number):
    trials = np.full(number, size)
    bounds = []
    for errors in range(8):
        missed = (np.arange(number) < errors).astype(int)
        bounds.append(clustered_proportion_interval(trials - missed, trials, side="lower").low)
    assert (np.diff(bounds) < 1e-9).all()


def test_without_a_miss_a_correlation_of_one_half_is_assumed():
    trials = np.full(100, 3)
    low = clustered_proportion_interval(trials, trials, side="lower").low
    assert low < proportion_interval(150, 150, method="clopper-pearson", side="lower").low
    assert low == pytest.approx(0.05 ** (1 / 150), abs=1e-3)


def test_the_true_threshold_is_not_passed_too_often():
    # 60 patients with 5 positives each, correlated by one half, at a true sensitivity of 0.98:
    # with the estimated design effect alone one candidate of eight would be taken to be better.
    rng = np.random.default_rng(11)
    trials, draws = np.full(60, 5), 600
    passed = dict.fromkeys(("guarded", "clopper-pearson"), 0)
    for _ in range(draws):
        x = rng.binomial(trials, rng.beta(0.98, 0.02, len(trials)))
        for method in passed:
            passed[method] += clustered_proportion_interval(x, trials, 0.95, "lower", method).low > 0.98
    assert passed["guarded"] / draws <= 0.05
    assert passed["clopper-pearson"] / draws > 0.08
