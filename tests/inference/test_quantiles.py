import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, quantile_test

from harness.inference import quantile_interval

times = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)
quantiles = st.floats(0.01, 0.99)
confidences = st.floats(0.5, 0.99)


def test_299_times_bound_p99():
    enough = quantile_interval(np.arange(299), 0.99, 0.95, "upper")
    assert (enough.low, enough.high, enough.reason) == (-math.inf, 298, "")
    short = quantile_interval(np.arange(298), 0.99, 0.95, "upper")
    assert short.high == math.inf
    assert short.reason == "298 times bound no quantile 0.99 from above; 299 are needed"


@pytest.mark.parametrize("n", [5, 30, 59, 300, 1000])
@pytest.mark.parametrize("q", [0.1, 0.5, 0.95])
def test_agrees_with_scipy(n, q):
    values = np.arange(1.0, n + 1)
    for ours, theirs in [("two-sided", "two-sided"), ("lower", "greater"), ("upper", "less")]:
        found = quantile_interval(values, q, 0.9, ours)
        expected = quantile_test(values, q=0, p=q, alternative=theirs).confidence_interval(0.9)
        for mine, other in zip((found.low, found.high), expected, strict=True):
            assert mine == other or (math.isinf(mine) and math.isnan(other))


@given(st.integers(1, 400), quantiles, confidences)
def test_bounds_cover_and_the_next_would_not(n, q, confidence):
    order = np.arange(1, n + 1)  # time k is order statistic k
    upper = quantile_interval(order, q, confidence, "upper").high
    if upper <= n:
        assert binom.cdf(upper - 1, n, q) >= confidence - 1e-9
        assert upper == 1 or binom.cdf(upper - 2, n, q) < confidence
    lower = quantile_interval(order, q, confidence, "lower").low
    if lower >= 1:
        assert binom.sf(lower - 1, n, q) >= confidence - 1e-9
        assert binom.sf(lower, n, q) < confidence + 1e-9


@given(times, quantiles, confidences, st.randoms())
def test_order_does_not_matter_and_one_sided_bounds_are_an_interval(values, q, confidence, random):
    both = quantile_interval(values, q, confidence)
    shuffled = list(values)
    random.shuffle(shuffled)
    assert quantile_interval(shuffled, q, confidence) == both
    assert both.low <= both.estimate <= both.high
    half = 1 - (1 - confidence) / 2
    assert quantile_interval(values, q, half, "lower").low == both.low
    assert quantile_interval(values, q, half, "upper").high == both.high


@given(st.integers(5, 200), quantiles)
def test_mirrors(n, q):
    values = np.arange(1, n + 1)
    one, other = quantile_interval(values, q), quantile_interval(-values, 1 - q)
    assert (one.low, one.high) == (-other.high, -other.low)


def test_timeouts_are_infinitely_late():
    values = np.r_[np.arange(290), [math.inf] * 10]
    assert quantile_interval(values, 0.99, side="upper").high == math.inf
    assert quantile_interval(values, 0.5, side="upper").high < 290


def test_no_times_are_undefined_with_a_reason():
    interval = quantile_interval([], 0.99)
    assert math.isnan(interval.high)
    assert interval.reason == "no times"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([math.nan], 0.5), "must not hold NaN"),
        (([1.0], 0.0), "q must lie"),
        (([1.0], 1.0), "q must lie"),
        (([1.0], 0.5, 1.5), "confidence"),
        (([[1.0]], 0.5), "one dimension"),
    ],
)
def test_refuses(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        quantile_interval(*arguments)
