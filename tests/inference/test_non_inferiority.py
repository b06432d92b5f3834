import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from harness.inference import (
    PairedMeans,
    PairedProportions,
    UnpairedMeans,
    UnpairedProportions,
    difference_interval,
    equivalence_test,
    non_inferiority_test,
    paired_difference_interval,
    proportion_interval,
)

alphas = st.floats(0.01, 0.2)
margins = st.floats(0.01, 0.5)
sample = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
table = st.tuples(*[st.integers(0, 60)] * 4).filter(any)


def test_tango_1998_example():
    result = non_inferiority_test(PairedProportions(43, 0, 1, 0), 0.1)
    assert result.statistic == pytest.approx(1.709, abs=6e-4)
    assert result.p_value == pytest.approx(0.0438, abs=6e-5)


@given(table, margins, alphas)
def test_paired_rejects_just_where_the_interval_clears_the_margin(counts, margin, alpha):
    interval = paired_difference_interval(*counts, confidence=1 - 2 * alpha)
    comparison = PairedProportions(*counts)
    if abs(interval.low + margin) > 1e-6:
        assert (non_inferiority_test(comparison, margin).p_value < alpha) == (interval.low > -margin)
    if min(abs(interval.low + margin), abs(interval.high - margin)) > 1e-6:
        inside = -margin < interval.low and interval.high < margin
        assert (equivalence_test(comparison, margin).p_value < alpha) == inside


@given(sample, sample, margins, alphas)
def test_unpaired_rejects_just_where_the_interval_clears_the_margin(first, second, margin, alpha):
    interval = difference_interval(*first, *second, confidence=1 - 2 * alpha, method="miettinen-nurminen")
    comparison = UnpairedProportions(*first, *second)
    if abs(interval.low + margin) > 1e-5:
        assert (non_inferiority_test(comparison, margin).p_value < alpha) == (interval.low > -margin)
    if min(abs(interval.low + margin), abs(interval.high - margin)) > 1e-5:
        inside = -margin < interval.low and interval.high < margin
        assert (equivalence_test(comparison, margin).p_value < alpha) == inside


def test_means_agree_with_statsmodels():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.1, 1, 60), rng.normal(0, 1, 60)
    p, (_, above, _), (_, below, _) = ttost_paired(first, second, -0.5, 0.5)
    assert equivalence_test(PairedMeans(first, second), 0.5).p_value == pytest.approx(p)
    assert non_inferiority_test(PairedMeans(first, second), 0.5).p_value == pytest.approx(above)
    assert non_inferiority_test(PairedMeans(second, first), 0.5).p_value == pytest.approx(below)
    p, (_, above, _), _ = ttost_ind(first, second[:40], -0.5, 0.5, usevar="unequal")
    assert equivalence_test(UnpairedMeans(first, second[:40]), 0.5).p_value == pytest.approx(p)
    assert non_inferiority_test(UnpairedMeans(first, second[:40]), 0.5).p_value == pytest.approx(above)


def test_clusters_are_tested_by_their_means():
    clustered = PairedMeans([1, 3, 5, 9, 2], [0] * 5, ["a", "a", "b", "c", "c"])
    plain = PairedMeans([2, 5, 5.5], [0] * 3)
    assert non_inferiority_test(clustered, 1).p_value == non_inferiority_test(plain, 1).p_value


@given(table, st.floats(0.01, 0.3), st.floats(0.01, 0.3))
def test_a_wider_margin_is_easier(counts, one, other):
    comparison = PairedProportions(*counts)
    narrow = non_inferiority_test(comparison, min(one, other)).p_value
    assert non_inferiority_test(comparison, max(one, other)).p_value <= narrow + 1e-9


def test_one_failure_less_is_not_worse():
    # Far more data than the margin needs.
    assert non_inferiority_test(UnpairedProportions(950, 1000, 951, 1000), 0.05).p_value < 1e-4
    assert non_inferiority_test(UnpairedProportions(850, 1000, 951, 1000), 0.05).p_value > 0.99
    assert proportion_interval(950, 1000).low > 0.9


@pytest.mark.parametrize(
    "comparison",
    [
        UnpairedProportions(0, 0, 1, 2),
        PairedProportions(0, 0, 0, 0),
        PairedMeans([1.0], [1.0]),
        PairedMeans([1.0, 2.0], [1.0, 2.0]),
        UnpairedMeans([1.0], [1.0, 2.0]),
        UnpairedMeans([1.0, 1.0], [1.0, 1.0]),
    ],
)
@pytest.mark.parametrize("test", [non_inferiority_test, equivalence_test])
def test_undefined_with_a_reason(comparison, test):
    result = test(comparison, 0.1)
    assert math.isnan(result.p_value)
    assert result.reason


@pytest.mark.parametrize("margin", [0, -0.1, math.nan, 1.0, math.inf])
def test_refuses_margins(margin):
    with pytest.raises(ValueError, match="the margin must be above 0 and below 1"):
        non_inferiority_test(PairedProportions(1, 2, 3, 4), margin)


@pytest.mark.parametrize(
    "call",
    [
        lambda: UnpairedProportions(3, 2, 1, 2),
        lambda: PairedProportions(-1, 2, 3, 4),
        lambda: non_inferiority_test(PairedMeans([math.nan], [1.0]), 1),
        lambda: non_inferiority_test(UnpairedMeans([math.nan, 1.0], [1.0, 2.0]), 1),
    ],
)
def test_refuses_data(call):
    with pytest.raises(ValueError, match="must"):
        call()
