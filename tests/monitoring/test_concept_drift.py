import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data_files import data_path
from harness.inference.cusum import average_run_length
from harness.monitoring.concept_drift import Chart, concept_drift, f1_interval
from harness.monitoring.config import ConceptDriftPart, CusumPart, read_config
from harness.monitoring.records import Faults, Place, parse
from harness.report import Finding
from production import reading, report

FINDING = Finding.FRACTURE
PART = ConceptDriftPart(findings=(FINDING,))


def counts(tp, fp, fn):
    return {f"tp:{FINDING}": tp, f"fp:{FINDING}": fp, f"fn:{FINDING}": fn}


@given(st.integers(0, 200), st.integers(0, 50), st.integers(0, 50))
def test_f1_and_its_interval(tp, fp, fn):
    found = f1_interval(counts(tp, fp, fn), FINDING)(0.95, "two-sided")
    if tp + fp + fn == 0:
        assert math.isnan(found.estimate)
        assert found.reason
        return
    assert found.estimate == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_the_exact_f1_interval_covers():
    rng = np.random.default_rng(2)
    cells = np.array([0.16, 0.02, 0.03, 0.79])
    truth = 2 * 0.16 / (2 * 0.16 + 0.05)
    covered = []
    for _ in range(700):
        tp, fp, fn, _ = (int(x) for x in rng.multinomial(200, cells))
        found = f1_interval(counts(tp, fp, fn), FINDING)(0.95, "two-sided")
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 700)


def judged(week, reference=(900, 50, 50), alpha=1e-3):
    return concept_drift(PART, FINDING, counts(*week), counts(*reference), alpha, 1.0)


@pytest.mark.parametrize(
    ("week", "state"),
    [
        ((900, 50, 50), "QUIET"),
        ((800, 100, 150), "ALERT"),  # F1 from 0.947 to 0.865
        ((8, 1, 2), "QUIET"),  # as far down, by chance
        ((880, 80, 60), "QUIET"),  # down for sure, by less than 5 points
        ((0, 0, 0), "NOT EVALUATED"),
        ((0, 0, 2), "NOT EVALUATED"),  # both missed, and still nothing could be shown
        ((2, 0, 0), "NOT EVALUATED"),
        ((0, 0, 9), "ALERT"),
    ],
)
def test_a_drop_must_be_large_and_real(week, state):
    assert judged(week)["state"] == state


def test_a_fall_of_recall_alone_is_seen_though_f1_falls_by_half_as_much():
    found = judged((1380, 60, 120), reference=(4900, 200, 100))
    assert found["drop"] < PART.drop < found["sensitivity_drop"]
    assert found["state"] == "ALERT"
    assert found["reason"] == "sensitivity fell by more than 0.05"


def test_six_points_of_recall_are_seen_within_two_weeks_at_a_thousand_studies_a_day():
    """As the README states: half are read, every sixth has the finding; looked at once a day."""
    config = read_config(data_path("suites") / "monitoring" / "production.yaml")
    alpha = config.alpha(config.period_h) / len(config.concept_drift.findings)
    rng, days = np.random.default_rng(11), []

    def day(sensitivity):
        positive = rng.binomial(500, 1 / 6)
        found = rng.binomial(positive, sensitivity)
        return np.array([found, rng.binomial(500 - positive, 0.01), positive - found])

    for _ in range(20):
        reference = counts(*map(int, sum(day(0.98) for _ in range(30))))
        week = [day(0.98) for _ in range(7)]
        days.append(0)
        while days[-1] < 30:
            days[-1] += 1
            week = [*week[1:], day(0.92)]
            now = counts(*map(int, sum(week)))
            found = concept_drift(config.concept_drift, FINDING, now, reference, alpha, 1.0)
            if found["state"] == "ALERT":
                break
    assert sorted(days)[17] <= 14


def test_readings_that_lack_a_field_leave_concept_drift_open():
    week = counts(900, 50, 50) | {"readings": 5000, "unread": 60}
    reference = counts(900, 50, 50)
    assert concept_drift(PART, FINDING, week, reference, 1e-3, 1.0)["state"] == "NOT EVALUATED"
    assert concept_drift(PART, FINDING, week | {"unread": 40}, reference, 1e-3, 1.0)["state"] == "QUIET"
    fallen = counts(700, 100, 250) | {"readings": 5000, "unread": 60}
    assert concept_drift(PART, FINDING, fallen, reference, 1e-3, 1.0)["state"] == "ALERT"


def test_false_alarms_are_below_what_is_stated():
    rng = np.random.default_rng(3)
    cells = [0.16, 0.01, 0.01, 0.82]
    alarms = []
    for _ in range(700):
        reference, week = rng.multinomial(600, cells)[:3], rng.multinomial(120, cells)[:3]
        alarms.append(judged(map(int, week), tuple(map(int, reference)), 0.05)["state"] == "ALERT")
    assert np.mean(alarms) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 700)


CHART = CusumPart(finding=FINDING, of="claimed", times=2.5, action="x")
REFERENCE = {"written": 4000, f"claimed:{FINDING}": 400}


def records(values):
    faults = Faults()
    return [parse(value, Place("a", n, n + 1), faults) for n, value in enumerate(values)]


def test_a_chart_declares_its_run_length_in_false_alarms_a_month():
    chart = Chart(CHART, REFERENCE, hours=480, share=0.05, patience=24)
    assert chart.month == pytest.approx(4000 / 480 * 720)
    assert chart.design.run_length >= chart.month / 0.05
    # Designed for the upper bound of the usual rate, so that the reference's own luck costs nothing.
    assert chart.design.usual > 0.1
    at_estimate = average_run_length([-1, chart.design.gain], [0.9, 0.1], chart.design.limit)
    assert at_estimate > chart.design.run_length


def test_a_surge_is_raised_within_a_window_and_ends_at_zero():
    chart = Chart(CHART, REFERENCE, hours=480, share=0.05, patience=24)
    surge = records([report(n, n / 100, findings=["Fracture"]) for n in range(60)])
    calm = records([report(n, n / 100, findings=["No Finding"]) for n in range(60)])
    looks, before = [], {}
    for window in (calm, surge, calm, calm, []):
        before = chart.look(window, before)
        looks.append((before["state"], before["active"]))
    assert looks[1] == ("ALERT", True)
    assert looks[-1][1] is (before["score"] > 0)
    while before["score"]:
        before = chart.look(calm, before)
    assert not before["active"]


def test_missed_findings_are_trials_only_where_they_are_there():
    part = CusumPart(finding=FINDING, of="missed", points=0.06, action="x")
    chart = Chart(part, counts(380, 0, 20), hours=480, share=0.05, patience=24)
    values = [
        reading("a", 2, ["Fracture"], ["Fracture"]),
        reading("b", 1, ["Edema"], ["Fracture"]),
        reading("c", 0, ["Fracture"], ["Edema"]),
        report("d", 0, findings=["Fracture"]),
    ]
    assert chart.events(records(values)) == [True, False]


def test_trials_that_are_not_known_leave_a_chart_open():
    claimed = Chart(CHART, REFERENCE, hours=480, share=0.05, patience=24)
    part = CusumPart(finding=FINDING, of="missed", points=0.06, action="x")
    missed = Chart(part, counts(380, 0, 20), hours=480, share=0.05, patience=24)
    whole = [report(n, 0, findings=["No Finding"]) for n in range(40)]
    whole += [reading(n, 0, ["Fracture"], ["Fracture"]) for n in range(40)]
    for chart in (claimed, missed):
        assert chart.look(records(whole), {})["state"] == "QUIET"
    broken = [value | {"findings": ["?"]} if value["study_id"] < 3 else value for value in whole]
    for chart in (claimed, missed):
        found = chart.look(records(broken), {})
        assert found["state"] == "NOT EVALUATED"
        assert "3 of 40 records lack findings" in found["reason"]


def test_silence_is_not_evaluated_after_a_while():
    chart = Chart(CHART, REFERENCE, hours=480, share=0.05, patience=3)
    before = chart.look(records([report("a", 0)]), {})
    states = []
    for _ in range(4):
        before = chart.look([], before)
        states.append(before["state"])
    assert states == ["QUIET", "QUIET", "NOT EVALUATED", "NOT EVALUATED"]
    assert chart.look([], {})["state"] == "NOT EVALUATED"


@pytest.mark.parametrize("reference", [{}, {"written": 100, f"claimed:{FINDING}": 100}])
def test_a_chart_without_a_usable_reference_is_not_evaluated(reference):
    chart = Chart(CHART, reference, hours=480, share=0.05, patience=3)
    found = chart.look(records([report("a", 0)]), {})
    assert found["state"] == "NOT EVALUATED"
    assert found["reason"]
