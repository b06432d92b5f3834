import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.estimates import Settings, estimate_all, slice_columns
from harness.inference import Bootstrap, clustered_proportion_interval
from simulated import Detection, detections

SETTINGS = Settings(confidence=0.95, bound_confidences=(0.95, 0.99), replicates=300, seed=5)
MEASURES = {"d": Detection()}


def numbers(rows, patients, groups, chosen=SETTINGS):
    return estimate_all(MEASURES, {"d": rows}, patients, groups, chosen)


def by_name(estimates):
    return {(item.value, item.slice): item for item in estimates}


def plain(estimates):
    return [item.as_json() for item in estimates]


def test_every_value_on_all_and_on_each_group():
    rows, patients, groups = detections(400, 0.9)
    found = by_name(numbers(rows, patients, groups))
    assert set(found) == {(value, s) for value in ("sensitivity", "f1") for s in (None, "sex=F", "sex=M")}
    whole = found["sensitivity", None]
    assert (whole.numerator, whole.denominator) == tuple(rows[:, :2].sum(axis=0))
    assert whole.estimate == whole.numerator / whole.denominator
    assert (whole.n_studies, whole.n_patients) == (400, 200)
    assert found["f1", None].numerator is None
    assert sum(found["sensitivity", f"sex={sex}"].denominator for sex in "FM") == whole.denominator


def test_proportions_are_exact_and_the_rest_is_bca_by_patient_on_one_draw():
    rows, patients, groups = detections(300, 0.85, seed=1)
    found = by_name(numbers(rows, patients, groups))
    names, index = np.unique(patients, return_inverse=True)
    tp, positives, _ = (np.bincount(index, column, len(names)) for column in rows.T)
    exact = clustered_proportion_interval(tp, positives)
    assert (found["sensitivity", None].low, found["sensitivity", None].high) == (exact.low, exact.high)
    female = np.array(groups["sex"]) == "F"
    distributions = Bootstrap(patients, 300, 5).distributions([(rows, Detection().value)], [None, female])
    for slice_, [distribution] in zip((None, "sex=F"), distributions, strict=True):
        expected = distribution.interval(1)
        assert (found["f1", slice_].low, found["f1", slice_].high) == (expected.low, expected.high)


def test_bounds_are_written_for_each_confidence_and_side():
    rows, patients, groups = detections(300, 0.9)
    for item in numbers(rows, patients, groups, replace(SETTINGS, replicates=2000)):
        assert set(item.bounds) == {"lower@0.95", "upper@0.95", "lower@0.99", "upper@0.99"}
        assert item.bounds["lower@0.95"] == item.bound("lower", 0.95)
        assert (
            item.bound("lower", 0.99) < item.bound("lower", 0.95) < item.estimate < item.bound("upper", 0.95)
        )


@settings(max_examples=15, deadline=None)
@given(st.randoms(), st.integers(0, 10))
def test_the_order_of_studies_changes_nothing(random, seed):
    rows, patients, groups = detections(60, 0.8, seed)
    order = list(range(60))
    random.shuffle(order)
    shuffled = {"sex": [groups["sex"][k] for k in order]}
    assert plain(numbers(rows[order], [patients[k] for k in order], shuffled)) == plain(
        numbers(rows, patients, groups)
    )


def test_a_measure_beside_it_changes_nothing():
    rows, patients, groups = detections(80, 0.8)
    alone = plain(numbers(rows, patients, groups))
    both = estimate_all(
        {"a": Detection(), "d": Detection()}, {"a": rows + 1, "d": rows}, patients, groups, SETTINGS
    )
    assert plain(item for item in both if item.measure == "d") == alone


def test_a_group_alone_has_the_numbers_it_has_beside_others():
    rows, patients, groups = detections(200, 0.8)
    female = np.array(groups["sex"]) == "F"
    own = numbers(rows[female], [p for p, f in zip(patients, female, strict=True) if f], {})
    beside = [item for item in numbers(rows, patients, groups) if item.slice == "sex=F"]
    for one, other in zip(own, beside, strict=True):
        assert (one.estimate, one.low, one.high) == (other.estimate, other.low, other.high)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100))
def test_a_silent_study_lowers_sensitivity(seed):
    rows, patients, _ = detections(60, 0.9, seed)
    more = by_name(numbers(np.vstack([rows, [0, 1, 0]]), [*patients, "new"], {}))
    before = by_name(numbers(rows, patients, {}))
    for value in ("sensitivity", "f1"):
        assert more[value, None].estimate < before[value, None].estimate


def test_what_cannot_be_known_is_undefined_with_a_reason():
    rows = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 1]])
    found = by_name(numbers(rows, ["a", "b", "c"], {}))
    sensitivity = found["sensitivity", None]
    assert math.isnan(sensitivity.estimate)
    assert math.isnan(sensitivity.bound("lower", 0.95))
    assert sensitivity.reason == "no trials: 0/0"
    assert sensitivity.as_json()["low"] is None
    perfect = by_name(numbers(np.array([[1, 1, 0]] * 4), list("abcd"), {}))["f1", None]
    assert perfect.estimate == 1
    assert math.isnan(perfect.low)
    assert "no variation" in perfect.reason


def test_variation_from_a_few_patients_is_no_bootstrap_interval():
    rows = np.array([[1, 1, 0]] * 98 + [[0, 1, 1], [0, 1, 0]])
    found = by_name(numbers(rows, [f"p{k}" for k in range(100)], {}))["f1", None]
    assert math.isnan(found.low)
    assert "nearly all variation comes from" in found.reason


def test_the_best_bound_is_that_of_no_error_on_the_same_trials():
    rows, patients, _ = detections(200, 0.7)
    found = by_name(numbers(rows, patients, {}))
    perfect = rows.copy()
    perfect[:, 0] = perfect[:, 1]
    best = by_name(numbers(perfect, patients, {}))
    assert found["sensitivity", None].best_bound("lower", 0.95) == best["sensitivity", None].bound(
        "lower", 0.95
    )
    assert math.isnan(found["f1", None].best_bound("lower", 0.95))


def test_intersections_and_slices_without_data():
    groups = [{"sex": "F", "age": "40-64"}, {"sex": "M"}, {"sex": "F", "age": "80+"}]
    columns, absent = slice_columns(["sex", "sex*age", "race", "sex*race"], groups)
    assert columns == {"sex": ["F", "M", "F"], "sex*age": ["F*40-64", "M*unknown", "F*80+"]}
    assert absent == ["race", "sex*race"]


def test_seed_and_replicates_matter_to_the_bootstrap_alone():
    rows, patients, _ = detections(120, 0.8)
    one, other = (by_name(numbers(rows, patients, {}, Settings(0.95, (0.95,), 300, seed))) for seed in (1, 2))
    assert one["sensitivity", None].low == other["sensitivity", None].low
    assert one["f1", None].low != other["f1", None].low
    assert one["f1", None].low == pytest.approx(other["f1", None].low, abs=0.03)
