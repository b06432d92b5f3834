import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from harness.inference import adjust_p_values, holm_step_down

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)
methods = st.sampled_from(["bonferroni", "holm"])


@given(p_values, methods)
def test_agrees_with_statsmodels(p, method):
    assert adjust_p_values(p, method) == pytest.approx(multipletests(p, method=method)[1], abs=1e-12)


@given(p_values, methods, st.randoms())
def test_keeps_the_order_given(p, method, random):
    order = list(range(len(p)))
    random.shuffle(order)
    expected = adjust_p_values(p, method)[order]
    np.testing.assert_array_equal(adjust_p_values(np.array(p)[order], method), expected)


@given(p_values)
def test_holm_never_adjusts_by_more(p):
    assert (adjust_p_values(p, "holm") <= adjust_p_values(p)).all()
    assert (adjust_p_values(p, "holm") >= np.array(p)).all()


def test_r_p_adjust():
    # p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm"): 0.05 0.08 0.09 0.09 0.09
    assert adjust_p_values([0.05, 0.01, 0.03, 0.02, 0.04], "holm") == pytest.approx(
        [0.09, 0.05, 0.09, 0.08, 0.09]
    )


def test_nothing():
    assert adjust_p_values([]).shape == (0,)


@pytest.mark.parametrize("p", [[np.nan], [-0.1], [1.1], [[0.1]], 0.1])
def test_refuses(p):
    with pytest.raises(ValueError, match="p-values must lie between 0 and 1"):
        adjust_p_values(p)


def test_refuses_method():
    with pytest.raises(ValueError, match="method must be one of"):
        adjust_p_values([0.1], "fdr")


@given(st.lists(st.floats(0, 1), max_size=8), st.sampled_from([0.01, 0.05, 0.2]))
def test_stepping_down_on_bounds_shows_what_holms_p_values_show(p, alpha):
    def shown(value):
        return lambda confidence: value < 1 - confidence

    # p-values on the very edge are a matter of rounding.
    edges = [alpha / k for k in range(1, len(p) + 1)]
    assume(all(abs(value - edge) > 1e-9 for value in p for edge in edges))
    found = holm_step_down([shown(value) for value in p], alpha)
    adjusted = adjust_p_values(p, "holm") if p else []
    assert [holds for holds, _ in found] == [value < alpha for value in adjusted]
    assert all(1 - alpha - 1e-12 <= level <= 1 - alpha / len(p) + 1e-12 for _, level in found)


def test_stepping_down_refuses():
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        holm_step_down([], 0)
