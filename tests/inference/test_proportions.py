import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from harness.inference import proportion_interval

METHODS = ["wilson", "wilson-cc", "clopper-pearson", "mid-p", "jeffreys", "wald"]

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
methods = st.sampled_from(METHODS)
confidences = st.floats(0.5, 0.999)


@pytest.mark.parametrize(("ours", "theirs"), [("wilson", "wilson"), ("clopper-pearson", "beta")])
@pytest.mark.parametrize("n", [1, 2, 7, 50, 313, 20_000])
def test_agrees_with_statsmodels(ours, theirs, n):
    for x in {0, 1, n // 3, n - 1, n}:
        for confidence in (0.8, 0.95, 0.99):
            interval = proportion_interval(x, n, confidence, ours)
            expected = proportion_confint(x, n, alpha=1 - confidence, method=theirs)
            assert [interval.low, interval.high] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("ours", "theirs"), [("wilson-cc", "wilsoncc"), ("clopper-pearson", "exact")])
@pytest.mark.parametrize(("side", "alternative"), [("lower", "greater"), ("upper", "less")])
def test_agrees_with_scipy_one_sided(ours, theirs, side, alternative):
    for x, n in [(0, 9), (3, 10), (9, 9), (147, 149), (313, 313)]:
        bound = proportion_interval(x, n, 0.95, ours, side)
        expected = binomtest(x, n, alternative=alternative).proportion_ci(0.95, theirs)
        assert [bound.low, bound.high] == pytest.approx(list(expected), abs=1e-9)


@pytest.mark.parametrize(
    ("x", "n", "method", "expected"),
    [  # Newcombe, Stat Med 1998;17:857-872, table I
        (15, 148, "wilson", (0.0624, 0.1605)),
        (15, 148, "clopper-pearson", (0.0578, 0.1617)),
        (15, 148, "mid-p", (0.0601, 0.1581)),
        (0, 20, "wilson", (0.0, 0.1611)),
        (0, 20, "clopper-pearson", (0.0, 0.1684)),
        (0, 20, "mid-p", (0.0, 0.1391)),
        (0, 20, "wilson-cc", (0.0, 0.2005)),
    ],
)
def test_newcombe_1998(x, n, method, expected):
    interval = proportion_interval(x, n, method=method)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=5.1e-5)


def test_jeffreys_is_the_beta_posterior_between_the_ends():
    interval = proportion_interval(7, 20, method="jeffreys")
    assert [interval.low, interval.high] == pytest.approx(proportion_confint(7, 20, method="jeffreys"))
    assert proportion_interval(0, 7, method="jeffreys").low == 0
    assert proportion_interval(7, 7, method="jeffreys").high == 1


@given(counts, methods, confidences)
def test_mirrors(count, method, confidence):
    x, n = count
    one = proportion_interval(x, n, confidence, method)
    other = proportion_interval(n - x, n, confidence, method)
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-9)


@given(counts, methods, confidences, confidences)
def test_nests_in_confidence(count, method, first, second):
    wide, narrow = (
        proportion_interval(*count, level, method) for level in (max(first, second), min(first, second))
    )
    assert wide.low <= narrow.low + 1e-12
    assert narrow.high <= wide.high + 1e-12


@given(counts, methods, confidences)
def test_two_bounds_are_an_interval(count, method, confidence):
    both = proportion_interval(*count, confidence, method)
    lower = proportion_interval(*count, (1 + confidence) / 2, method, "lower")
    upper = proportion_interval(*count, (1 + confidence) / 2, method, "upper")
    assert (lower.low, lower.high) == pytest.approx((both.low, 1.0), abs=1e-9)
    assert (upper.low, upper.high) == pytest.approx((0.0, both.high), abs=1e-9)


@given(counts, methods, st.floats(0.05, 0.999), st.sampled_from(["two-sided", "lower", "upper"]))
def test_is_always_an_interval_within_0_and_1(count, method, confidence, side):
    interval = proportion_interval(*count, confidence, method, side)
    assert 0 <= interval.low <= 1
    assert 0 <= interval.high <= 1
    assert side != "two-sided" or interval.low <= interval.estimate <= interval.high
    assert interval.reason == ""


def test_clopper_pearson_bound_covers():
    n, p = 149, 0.98
    lows = np.array([proportion_interval(x, n, 0.95, "clopper-pearson", "lower").low for x in range(n + 1)])
    chance = np.array([math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(n + 1)])
    assert chance[lows > p].sum() <= 0.05


@pytest.mark.parametrize("method", METHODS)
def test_no_trials_are_undefined_with_a_reason(method):
    interval = proportion_interval(0, 0, method=method)
    assert all(math.isnan(part) for part in (interval.low, interval.high, interval.estimate))
    assert interval.reason == "no trials: 0/0"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((-1, 5), "between 0 and n"),
        ((6, 5), "between 0 and n"),
        ((math.nan, 5), "between 0 and n"),
        ((1, math.inf), "between 0 and n"),
        ((1, 5, 0.0), "confidence"),
        ((1, 5, 1.0), "confidence"),
        ((1, 5, math.nan), "confidence"),
        ((1, 5, 0.95, "exact"), "method must be one of wilson"),
        ((1, 5, 0.95, "wilson", "left"), "side must be one of"),
        ((1.5, 5, 0.95, "mid-p"), "whole counts"),
    ],
)
def test_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        proportion_interval(*arguments)
