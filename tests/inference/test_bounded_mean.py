import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.inference.bounded_mean import bounded_mean_interval


def test_equal_values_leave_room_for_rare_large_ones():
    found = bounded_mean_interval(np.full(200, 2.0), 30.0, 0.95, "upper")
    band = math.sqrt(math.log(20) / 400)
    assert found.high == pytest.approx(2.0 + band * 28.0)
    assert (found.estimate, found.low) == (2.0, 0.0)


def test_it_is_the_mean_of_the_shifted_distribution():
    """Against the integral of one minus the band's lower edge, by a fine sum."""
    values = np.random.default_rng(1).gamma(2.0, 2.0, 60).clip(0, 30)
    band = math.sqrt(math.log(20) / 120)
    grid = np.linspace(0, 30, 300_001)
    lower = np.maximum(np.searchsorted(np.sort(values), grid, side="right") / 60 - band, 0)
    wanted = float((1 - lower)[:-1].sum() * (grid[1] - grid[0]))
    assert bounded_mean_interval(values, 30.0, 0.95, "upper").high == pytest.approx(wanted, abs=1e-3)


def test_it_holds_as_often_as_it_says_where_it_is_hardest():
    """Rare large values: one in fifty at the ceiling."""
    rng, most, truth = np.random.default_rng(2), 30.0, 1.0 + 0.02 * 29.0
    values = np.where(rng.random((4000, 100)) < 0.02, most, 1.0)
    missed = sum(bounded_mean_interval(row, most, 0.95, "upper").high < truth for row in values)
    assert missed / 4000 <= 0.05
    lower = sum(bounded_mean_interval(row, most, 0.95, "lower").low > truth for row in values)
    assert lower / 4000 <= 0.05


@given(st.lists(st.floats(0, 30), min_size=1, max_size=40), st.floats(0.6, 0.99))
def test_bounds_mirror_each_other_and_hold_the_mean(values, confidence):
    upper = bounded_mean_interval(values, 30.0, confidence, "upper")
    mirrored = bounded_mean_interval([30.0 - value for value in values], 30.0, confidence, "lower")
    assert upper.high == pytest.approx(30.0 - mirrored.low)
    assert upper.high >= np.mean(values) - 1e-9
    assert upper.high <= 30.0 + 1e-9
    worth_less = bounded_mean_interval(values, 30.0, confidence, "upper", worth=len(values) / 2)
    assert worth_less.high >= upper.high - 1e-9


def test_nothing_is_undefined_and_nonsense_is_refused():
    assert math.isnan(bounded_mean_interval([], 30.0).estimate)
    for bad in ([-1.0], [31.0], [math.nan], [[1.0]]):
        with pytest.raises(ValueError, match=r"between 0 and 30|one dimension"):
            bounded_mean_interval(bad, 30.0)
