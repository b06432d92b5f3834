import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.inference import rogan_gladen


def test_published_examples_of_the_estimate():
    # epiR's manual (epi.prev): brucellosis, 23 of 150 cows, sensitivity 96 %, specificity 89 %: 5.1 %.
    assert rogan_gladen(23, 150, 96, 100, 89, 100).estimate == pytest.approx(0.051, abs=5e-4)
    # Moujaber et al., BMC Infect Dis 2008;8:151: 6 of 151, 96.4 % and 92.7 %: none.
    assert rogan_gladen(6, 151, 964, 1000, 927, 1000).estimate == 0.0


def test_the_interval_by_the_papers_equations_step_by_step():
    # 60 of 200 positive; 45 of 50 diseased and 90 of 100 healthy called rightly; z = 1.96.
    z2 = 1.959963984540054**2
    n, se, sp = 200 + z2, 46 / 52, 91 / 102
    p = (60 + z2 / 2) / n
    prevalence = (p + sp - 1) / (se + sp - 1)
    a, b = se * (1 - se) / 52, sp * (1 - sp) / 102
    shift = 2 * z2 * (prevalence * a - (1 - prevalence) * b)
    half = math.sqrt(z2 * (p * (1 - p) / n + prevalence**2 * a + (1 - prevalence) ** 2 * b)) / (se + sp - 1)
    found = rogan_gladen(60, 200, 45, 50, 90, 100)
    assert found.estimate == pytest.approx((0.3 + 0.9 - 1) / 0.8)
    assert (found.low, found.high) == pytest.approx((prevalence + shift - half, prevalence + shift + half))


@pytest.mark.parametrize("prevalence", [0.02, 0.2, 0.6])
def test_the_interval_covers_the_true_prevalence(prevalence):
    rng = np.random.default_rng(3)
    se, sp, hits, runs = 0.9, 0.97, 0, 1500
    apparent = prevalence * se + (1 - prevalence) * (1 - sp)
    for _ in range(runs):
        found = rogan_gladen(
            int(rng.binomial(400, apparent)),
            400,
            int(rng.binomial(60, se)),
            60,
            int(rng.binomial(300, sp)),
            300,
        )
        hits += found.low <= prevalence <= found.high
    assert hits / runs >= 0.93


@given(st.integers(0, 300), st.integers(1, 300), st.integers(0, 50), st.integers(0, 50))
def test_shares_stay_shares_and_more_positives_never_lower_them(positives, n, wrong, missed):
    positives = min(positives, n)
    found = rogan_gladen(positives, n, 100 - missed, 100, 100 - wrong, 100)
    if math.isnan(found.estimate):
        assert found.reason
        return
    assert 0 <= found.estimate <= 1
    assert 0 <= found.low <= found.high <= 1
    if positives < n:
        assert rogan_gladen(positives + 1, n, 100 - missed, 100, 100 - wrong, 100).estimate >= found.estimate


def test_a_perfect_test_on_many_changes_little():
    found = rogan_gladen(300, 1000, 10**6, 10**6, 10**6, 10**6)
    assert found.estimate == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((0.2724, 0.3291), abs=1e-3)  # Agresti-Coull


def test_one_sided_bounds_leave_the_other_end_open():
    lower = rogan_gladen(60, 200, 45, 50, 90, 100, 0.975, "lower")
    both = rogan_gladen(60, 200, 45, 50, 90, 100)
    assert (lower.low, lower.high) == (pytest.approx(both.low), 1.0)
    assert rogan_gladen(60, 200, 45, 50, 90, 100, side="upper").low == 0.0


def test_what_nobody_can_know_is_undefined():
    for counts in ((0, 0, 5, 5, 5, 5), (1, 5, 0, 0, 5, 5), (1, 5, 5, 5, 0, 0), (5, 10, 5, 10, 5, 10)):
        found = rogan_gladen(*counts)
        assert math.isnan(found.estimate)
        assert found.reason
    with pytest.raises(ValueError, match="no share"):
        rogan_gladen(6, 5, 1, 1, 1, 1)
