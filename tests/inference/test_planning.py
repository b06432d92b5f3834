import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.power import TTestPower

from harness.inference import (
    PairedProportions,
    mcnemar_test,
    non_inferiority_test,
    positives_needed,
    power,
    power_mcnemar,
    power_non_inferiority,
    power_paired_t,
    power_sensitivity,
    proportion_interval,
)


@given(st.floats(0.5, 0.995), st.integers(0, 6), st.floats(0.5, 0.999))
def test_positives_needed_is_the_fewest(threshold, misses, confidence):
    n = positives_needed(threshold, misses, confidence)

    def bound(positives):
        return proportion_interval(positives - misses, positives, confidence, "clopper-pearson", "lower").low

    assert bound(n) > threshold
    assert n == misses + 1 or bound(n - 1) <= threshold


@pytest.mark.parametrize("positives", [1, 148, 149, 236, 313, 2000])
@pytest.mark.parametrize("sensitivity", [0.9, 0.98, 0.995, 1.0])
def test_power_sensitivity_counts_the_passes(positives, sensitivity):
    found = np.arange(positives + 1)
    lows = [proportion_interval(x, positives, 0.95, "clopper-pearson", "lower").low for x in found]
    expected = binom.pmf(found, positives, sensitivity)[np.array(lows) > 0.98].sum()
    assert power_sensitivity(sensitivity, positives, 0.98) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 3000), st.floats(0.5, 0.999), st.floats(0.5, 0.999))
def test_a_model_at_the_threshold_passes_no_more_often_than_allowed(positives, threshold, confidence):
    assert power_sensitivity(threshold, positives, threshold, confidence) <= 1 - confidence + 1e-12


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_power_t_agrees_with_statsmodels(alpha):
    for effect in (0.0, 0.1, 0.5, -0.4):
        for pairs in (2, 10, 80):
            for ours, theirs in [("two-sided", "two-sided"), ("greater", "larger")]:
                expected = TTestPower().power(effect, pairs, alpha, alternative=theirs)
                assert power_paired_t(effect, pairs, alpha, ours) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", ["exact", "mid-p", "asymptotic", "continuity-corrected"])
def test_power_mcnemar_is_a_sum_over_tables(method):
    pairs, first, second = 18, 0.25, 0.1
    expected = sum(
        math.comb(pairs, b)
        * math.comb(pairs - b, c)
        * first**b
        * second**c
        * (1 - first - second) ** (pairs - b - c)
        for b in range(pairs + 1)
        for c in range(pairs + 1 - b)
        if mcnemar_test(b, c, method).p_value <= 0.05
    )
    assert power_mcnemar(first, second, pairs, method=method) == pytest.approx(expected, abs=1e-9)


def test_power_non_inferiority_is_a_sum_over_tables():
    pairs, first, second, margin = 15, 0.1, 0.05, 0.2
    expected = sum(
        math.comb(pairs, b)
        * math.comb(pairs - b, c)
        * first**b
        * second**c
        * (1 - first - second) ** (pairs - b - c)
        for b in range(pairs + 1)
        for c in range(pairs + 1 - b)
        if non_inferiority_test(PairedProportions(pairs - b - c, b, c, 0), margin).p_value <= 0.025
    )
    assert power_non_inferiority(first, second, pairs, margin) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.0, 0.3), st.floats(0.0, 0.3), st.integers(2, 60))
def test_powers_are_probabilities(first, second, pairs):
    assert 0 <= power_mcnemar(first, second, pairs) <= 1
    assert power_mcnemar(first, second, pairs) == pytest.approx(power_mcnemar(second, first, pairs), abs=1e-9)
    assert 0 <= power_non_inferiority(first, second, pairs, 0.1) <= 1


def test_the_rarest_of_shares_is_never():
    assert power_mcnemar(5e-324, 0.2, 20) == power_mcnemar(0.0, 0.2, 20)
    assert power_non_inferiority(1e-310, 0.0, 2, 0.1) == power_non_inferiority(0.0, 0.0, 2, 0.1)


def test_exact_mcnemar_holds_its_level():
    assert power_mcnemar(0.15, 0.15, 100) <= 0.05


@pytest.mark.parametrize(
    "call",
    [
        lambda: positives_needed(1.0, 0),
        lambda: positives_needed(0.98, -1),
        lambda: positives_needed(0.98, 0, 1.0),
        lambda: power_sensitivity(1.1, 10, 0.98),
        lambda: power_sensitivity(0.99, -1, 0.98),
        lambda: power_mcnemar(0.6, 0.6, 10),
        lambda: power_mcnemar(-0.1, 0.6, 10),
        lambda: power_mcnemar(0.1, 0.1, 10, alpha=0),
        lambda: power_paired_t(0.5, 1),
        lambda: power_paired_t(math.nan, 10),
        lambda: power_paired_t(0.5, 10, alternative="less"),
        lambda: power_non_inferiority(0.1, 0.1, 10, 0),
    ],
)
def test_refuses(call):
    with pytest.raises(ValueError, match=r"must|needs"):
        call()


def test_power_is_that_of_each_design():
    assert power("sensitivity", sensitivity=0.99, positives=300, threshold=0.98) == power_sensitivity(
        0.99, 300, 0.98
    )
    assert power("mcnemar", first_only=0.2, second_only=0.05, pairs=50) == power_mcnemar(0.2, 0.05, 50)
    assert power("paired-t", effect_size=0.2, pairs=20) == power_paired_t(0.2, 20)
    assert power(
        "non-inferiority", first_only=0.05, second_only=0.05, pairs=40, margin=0.1
    ) == power_non_inferiority(0.05, 0.05, 40, 0.1)
    with pytest.raises(ValueError, match="design must be one of sensitivity, mcnemar"):
        power("anova")
