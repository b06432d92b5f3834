import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.disparities import VALUES, _points, disparities, estimate_disparities
from harness.estimates import Settings
from harness.measures.findings_detection import FindingsDetection

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "stats.json"
SETTINGS = Settings(0.95, (0.95,), 1000, 3)
MEASURE = FindingsDetection("critical")

group = st.tuples(st.integers(1, 30), st.integers(1, 30)).flatmap(
    lambda size: st.tuples(
        st.integers(0, size[0]), st.just(size[0]), st.integers(0, size[1]), st.just(size[1])
    )
)


def of(*groups):
    return dict(zip(VALUES, disparities(np.array(groups, dtype=float).ravel()), strict=True))


def rows_of(sensitivity, specificity, members, studies=600, seed=0):
    """Pooled cells of simulated studies, each group with its own rates."""
    rng = np.random.default_rng(seed)
    of_study = rng.choice(members, size=studies)
    rows = np.zeros((studies, len(MEASURE.columns)), dtype=np.int64)
    positive = rng.random(studies) < 0.5
    right = rng.random(studies) < np.where(
        positive, [sensitivity[m] for m in of_study], [specificity[m] for m in of_study]
    )
    cells = {"tp": positive & right, "pos": positive, "tn": ~positive & right, "neg": ~positive}
    for cell, column in cells.items():
        rows[:, MEASURE.columns.index(f"pooled:{cell}")] = column
    return rows, [f"p{k // 2}" for k in range(studies)], {"site": of_study.tolist()}


@settings(max_examples=25, deadline=None)
@given(st.lists(group, min_size=2, max_size=5))
def test_fairlearn_gives_the_same_values(groups):
    totals = np.array(groups)
    np.testing.assert_allclose(
        disparities(totals.astype(float).ravel()), _points(totals.ravel()), equal_nan=True, atol=1e-12
    )


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden file is not here")
def test_fairlearns_own_worked_example():
    entries = {entry["name"]: entry for entry in json.loads(GOLDEN.read_text())["entries"]}
    entry = entries["fairlearn_user_guide"]
    data = {name: np.array(values) for name, values in entry["inputs"].items()}
    groups = []
    for name in np.unique(data["sf"]):
        truth, claim = (data[key][data["sf"] == name] == 1 for key in ("y_true", "y_pred"))
        groups.append(((truth & claim).sum(), truth.sum(), (~truth & ~claim).sum(), (~truth).sum()))
    found, expected = of(*groups), entry["expected"]
    assert found["demographic-parity difference"] == pytest.approx(expected["dp_diff"])
    assert found["demographic-parity ratio"] == pytest.approx(expected["dp_ratio"])
    assert found["equalized-odds difference"] == pytest.approx(expected["eo_diff"])
    assert found["equalized-odds ratio"] == pytest.approx(expected["eo_ratio"])


def test_equal_rates_have_no_disparity():
    found = of((8, 10, 16, 20), (80, 100, 80, 100))
    assert found["equalized-odds difference"] == pytest.approx(0)
    assert found["equalized-odds ratio"] == pytest.approx(1)


def test_a_group_without_positives_is_undefined_not_perfect():
    assert all(math.isnan(value) for value in of((0, 0, 9, 10), (9, 10, 9, 10)).values())
    assert all(math.isnan(value) for value in of((9, 10, 9, 10)).values())


def test_a_rate_that_is_nowhere_has_no_ratio():
    found = of((9, 10, 10, 10), (10, 10, 10, 10))
    assert math.isnan(found["equalized-odds ratio"])
    assert found["equalized-odds difference"] == pytest.approx(0.1)


def test_a_planted_disparity_is_found_with_its_interval():
    rows, patients, groups = rows_of({"a": 0.95, "b": 0.6}, {"a": 0.9, "b": 0.9}, ["a", "b"])
    found = estimate_disparities("d", MEASURE, rows, patients, groups, 30, SETTINGS)
    by_value = {item.value: item for item in found}
    assert set(by_value) == set(VALUES)
    odds = by_value["equalized-odds difference"]
    assert odds.slice == "site"
    assert odds.low < 0.35 < odds.high
    assert odds.low > 0.2
    assert "between 2 groups" in odds.method


def test_a_small_group_is_left_out_and_named():
    rows, patients, groups = rows_of(dict.fromkeys("ab", 0.9), dict.fromkeys("ab", 0.9), ["a", "b"])
    groups["site"][:7] = ["rare"] * 7
    found = estimate_disparities("d", MEASURE, rows, patients, groups, 30, SETTINGS)
    assert all("below the minimum of 30, not evaluated: rare (" in item.method for item in found)
    assert all(item.n_studies == 593 for item in found)


def test_with_one_large_group_there_is_nothing_to_compare():
    rows, patients, _ = rows_of({"a": 0.9}, {"a": 0.9}, ["a"])
    for item in estimate_disparities("d", MEASURE, rows, patients, {"site": ["a"] * 600}, 30, SETTINGS):
        assert math.isnan(item.estimate)
        assert math.isnan(item.low)
        assert item.reason == "fewer than two groups are large enough"
