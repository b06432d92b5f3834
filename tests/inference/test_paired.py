import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel, wilcoxon

from harness.inference import paired_t_test, signed_rank_test

TESTS = [paired_t_test, signed_rank_test]
measured = st.lists(st.integers(-50, 50), min_size=3, max_size=60)


def test_t_agrees_with_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 40), rng.normal(0, 1, 40)
    expected = ttest_rel(first, second)
    found = paired_t_test(first, second)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("n", [1, 5, 13, 30, 50, 51, 400])
def test_signed_rank_agrees_with_scipy_without_ties(n):
    rng = np.random.default_rng(n)
    difference = rng.normal(0.2, 1, n)
    expected = wilcoxon(difference, method="exact" if n <= 50 else "asymptotic")
    found = signed_rank_test(difference, np.zeros(n))
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_signed_rank_with_few_ties_is_exact():
    # 1, 1, 2, -1, 3: midranks 2, 2, 4, 2, 5; of the 32 patterns of signs 4 give a negative rank sum
    # of 2 or less (none, or any one of the three ranks 2), and 4 a positive one.
    assert signed_rank_test([1, 1, 2, -1, 3], [0] * 5).p_value == 8 / 32


def test_signed_rank_with_many_ties_is_normal():
    difference = np.repeat([1, 2, -1, 0], [12, 9, 7, 5])
    expected = wilcoxon(difference[difference != 0], method="asymptotic")
    found = signed_rank_test(difference, 0 * difference)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.method == "signed rank, normal"


@pytest.mark.parametrize("test", TESTS)
@given(values=measured)
def test_nothing_differs(test, values):
    result = test(values, values, clusters=None)
    assert result.p_value == 1
    assert result.statistic == 0


@pytest.mark.parametrize("test", TESTS)
@given(values=measured, data=st.data())
def test_laws(test, values, data):
    zero = [0] * len(values)
    clusters = data.draw(st.lists(st.sampled_from("abcdef"), min_size=len(values), max_size=len(values)))
    found = test(values, zero, clusters)
    assert math.isnan(found.p_value) == bool(found.reason)
    assert found.reason or 0 <= found.p_value <= 1
    order = data.draw(st.permutations(range(len(values))))
    shuffled = test([values[k] for k in order], zero, [clusters[k] for k in order])
    assert shuffled == found or math.isnan(found.p_value)
    mirrored = test(zero, values, clusters)
    assert math.isnan(found.p_value) or mirrored.p_value == pytest.approx(found.p_value)


@pytest.mark.parametrize("test", TESTS)
def test_clusters_are_tested_by_their_means(test):
    first, clusters = [1, 3, 5, 9, 2], ["a", "a", "b", "c", "c"]
    assert test(first, [0] * 5, clusters).p_value == test([2, 5, 5.5], [0] * 3).p_value


def test_undefined_with_a_reason():
    assert paired_t_test([1.0], [2.0]).reason == "fewer than two differences"
    assert paired_t_test([1.1, 2.1, 3.1], [1, 2, 3]).reason == "no variation between differences"
    assert signed_rank_test([], []).reason == "no differences"
    assert math.isnan(paired_t_test([1.0], [2.0]).p_value)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(
    ("first", "second", "clusters"),
    [([1], [1, 2], None), ([math.nan], [1], None), ([1], [math.inf], None), ([1, 2], [1, 2], ["a"])],
)
def test_refuses(test, first, second, clusters):
    with pytest.raises(ValueError, match=r"one length|finite|each subject needs a cluster"):
        test(first, second, clusters)
