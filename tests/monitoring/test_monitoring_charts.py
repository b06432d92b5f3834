import re

from hypothesis import given
from hypothesis import strategies as st

from harness.monitoring.charts import Series, _axis, shares, timeline


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_an_axis_holds_its_values_in_a_few_round_steps(low, size):
    bottom, top, step = _axis(low, low + size)
    slack = 1e-6 * step
    assert bottom <= low + slack
    assert top >= low + size - slack
    assert 2 <= round((top - bottom) / step) <= 7
    assert f"{step:e}"[0] in "125"


def test_a_gap_breaks_the_line_and_a_lone_point_is_a_dot():
    chart = timeline("t", [Series("a", [(0, 1.0), (10, 2.0), (20, None), (30, 3.0), (40, None)])])
    assert chart.count("<polyline") == 1
    assert chart.count("<circle") == 1


def test_nothing_measured_says_so():
    assert "NOT EVALUATED" in timeline("t", [Series("a", [(0, None)])])


def test_names_are_escaped_and_the_numbers_stand_in_the_description():
    chart = timeline("<t>", [Series("<a>", [(0, 1.0), (10, 4.0)])], limit=3.0, raised=[(5, 10)])
    assert "<a>" not in chart
    assert "last 4, from 1 to 4" in re.sub("&[lg]t;", "", chart)
    assert 'opacity="0.10"' in chart


def test_shares_add_up_to_the_whole_width():
    chart = shares("t", [("one", [1, 3]), ("none", [0, 0])], ["a", "b"])
    assert "75 %" in chart
    assert "one: a 1, b 3" in chart
