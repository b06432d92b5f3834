import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from harness.inference import quantile_interval
from harness.monitoring.config import Rule
from harness.monitoring.counts import Rolling, count
from harness.monitoring.records import Faults, Place, parse
from harness.monitoring.rules import Alarm, State, look, trials
from harness.report import Finding
from production import reading, report

P99 = Rule(id="p99", measure="latency", above=30, over_h=1, action="x")
CLAIMS = Rule(id="h", measure="hallucination_rate", above=0.05, over_h=1, action="x")
MISSES = Rule(id="m", measure="critical_sensitivity", below=0.95, over_h=1, action="x")


def records(values):
    faults = Faults()
    return [parse(value, Place("a", n, n + 1), faults) for n, value in enumerate(values)]


def claims(bad, n, lacking=0):
    return {
        "unconfirmed": bad, "claims": n, "checked": 100, "reports": 100 + lacking, "unchecked": lacking
    }  # fmt: skip


def looked(rule, counts, before=None, alpha=1e-3):
    return look(rule, counts, counts, before or {}, alpha, 1.0)


@given(
    st.lists(st.floats(0.1, 100) | st.just(math.inf), min_size=1, max_size=400),
    st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_a_latency_rule_is_the_order_statistic_bound(times, quantile):
    """ "P99 shown above 30 s" by counts of slow reports and by Wilks' bound on the quantile agree."""
    rule = Rule(id="p", measure="latency", quantile=quantile, above=30, over_h=1, action="x")
    values = [report(n, 0, latency_s=None if math.isinf(time) else time) for n, time in enumerate(times)]
    found = looked(rule, count(records(values), [rule]), alpha=0.05)
    assert (found["state"] == "ALERT") == (quantile_interval(times, quantile, 0.95, "lower").low > 30)


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([0.05, 1e-3, 1e-5]))
def test_alarm_is_the_exact_binomial_test(bad, more, alpha):
    n = bad + more
    assume(not (n == 1 and alpha == 0.05))  # p = alpha = the limit, but for the last bit
    found = looked(CLAIMS, claims(bad, n), alpha=alpha)
    alarm = n > 0 and binomtest(bad, n, 0.05, "greater").pvalue < alpha
    assert (found["state"] == "ALERT") == alarm
    if n == 0 or 0.05**n > alpha:
        assert found["state"] == "NOT EVALUATED"
    elif not alarm:
        assert found["state"] == "QUIET"


def test_false_alarm_rate_of_a_look_is_below_what_is_stated():
    rng = np.random.default_rng(1)
    for n in (15, 60, 400):
        alarms = [
            looked(CLAIMS, claims(int(rng.binomial(n, 0.05)), n), alpha=0.02)["active"] for _ in range(1000)
        ]
        assert np.mean(alarms) <= 0.02 + 3 * math.sqrt(0.02 * 0.98 / 1000)


def test_an_empty_window_and_lacking_fields_are_not_evaluated():
    assert looked(CLAIMS, {})["state"] == "NOT EVALUATED"
    assert looked(CLAIMS, {})["value"] is None
    found = looked(CLAIMS, claims(1, 100, lacking=30))
    assert found["state"] == "NOT EVALUATED"
    assert "schema" in found["reason"]


FAILURES = Rule(id="f", measure="failure_rate", above=0.02, over_h=24, action="page")


def timed(failed, timed, lacking=0, **other):
    return {"failed": failed, "timed": timed, "reports": timed + lacking} | other


def test_an_allowance_is_not_wider_than_the_limit_it_guards():
    """4.8 % of reports failed, and left their fields out."""
    found = looked(FAILURES, timed(0, 548, lacking=28))
    assert found["state"] == "NOT EVALUATED"
    assert not found["kept"]
    assert "28 of 576 records lack latency_s" in found["reason"]


def test_what_is_lacking_counts_as_bad_where_a_limit_is_to_be_shown_kept():
    assert looked(FAILURES, timed(0, 300))["kept"]
    few = looked(FAILURES, timed(0, 300, lacking=2))
    assert (few["state"], few["kept"]) == ("QUIET", False)
    assert looked(FAILURES, timed(0, 500, lacking=2))["kept"]


def test_what_would_be_a_breach_if_the_lacking_were_bad_is_not_evaluated():
    p50 = Rule(id="p", measure="latency", quantile=0.5, above=30, over_h=1, action="x")
    counts = {"slow:p": 530, "timed": 995, "reports": 1000}
    assert looked(p50, counts, alpha=0.01)["state"] == "QUIET"
    found = looked(p50, counts, alpha=0.02)
    assert found["state"] == "NOT EVALUATED"
    assert "if what is lacking (5 of 1,000) is bad" in found["reason"]


@pytest.mark.parametrize("key", ["unplaced", "contradicted"])
def test_records_of_which_nothing_counts_are_in_every_rules_denominator(key):
    for rule, counts in (
        (FAILURES, timed(0, 1000)),
        (CLAIMS, claims(0, 1000) | {"checked": 1000, "reports": 1000}),
        (Rule(id="r", measure="rejection_rate", above=0.1, over_h=1, action="x"),
         {"reviewed": 1000, "reports": 1000}),
        (MISSES, {"critical positives": 1000, "readings": 1000}),
    ):  # fmt: skip
        assert looked(rule, counts)["state"] == "QUIET"
        found = looked(rule, counts | {key: 12})
        assert found["state"] == "NOT EVALUATED"
        assert "12 of 1,012 records could not be placed" in found["reason"]


def test_lacking_fields_never_hide_a_breach():
    assert looked(CLAIMS, claims(60, 100, lacking=300))["state"] == "ALERT"


def test_an_alert_ends_only_when_later_trials_show_the_limit_kept():
    found = looked(CLAIMS, claims(30, 100))
    assert found["active"]
    # In the span the breach is gone, but 20 clean claims show nothing yet: 59 are needed.
    looks = []
    for _ in range(4):
        found = look(CLAIMS, claims(4, 100), claims(0, 20), found, 1e-3, 1.0)
        looks.append((found["active"], found["calm"]))
    assert looks == [(True, [0, 20]), (True, [0, 40]), (False, [0, 60]), (False, [0, 0])]


def test_a_new_breach_starts_the_count_again_and_silence_ends_nothing():
    found = looked(CLAIMS, claims(30, 100))
    found = look(CLAIMS, claims(4, 100), claims(0, 50), found, 1e-3, 1.0)
    found = look(CLAIMS, claims(30, 100), claims(20, 50), found, 1e-3, 1.0)
    assert found["calm"] == [0, 0]
    for _ in range(50):
        found = look(CLAIMS, {}, {}, found, 1e-3, 1.0)
    assert found["active"]
    assert found["state"] == "NOT EVALUATED"


def test_patients_who_come_again_count_for_less():
    assert look(CLAIMS, claims(13, 100), {}, {}, 1e-2, 1.0)["state"] == "ALERT"
    assert look(CLAIMS, claims(13, 100), {}, {}, 1e-2, 2.0)["state"] == "QUIET"


def test_counts_by_hand():
    values = [
        report("a", 0, findings=["Fracture", "Edema"], detected=["Edema"], latency_s=31.0, rejected=True),
        report("b", 0, latency_s=None, findings=None, detected=None, rejected=None),
        reading("a", 0, ["Fracture"], ["Fracture", "Pneumothorax", "Edema"]),
        reading("c", 0, ["Lung Lesion"], []),
        {**reading("d", 0), "reference": None},
    ]
    found = count(records(values), [P99])
    assert trials(P99, found).bad == 2
    assert trials(P99, found).n == 2
    assert (trials(CLAIMS, found).bad, trials(CLAIMS, found).n, trials(CLAIMS, found).lacking) == (1, 2, 0)
    assert (trials(MISSES, found).bad, trials(MISSES, found).n, trials(MISSES, found).lacking) == (1, 2, 1)
    one = Rule(id="f", measure="critical_sensitivity", value="Fracture", below=0.9, over_h=1, action="x")
    assert (trials(one, found).bad, trials(one, found).n) == (0, 1)
    assert found["fp:Lung Lesion"] == 1
    assert found[f"fn:{Finding.EDEMA}"] == 1
    rejected = Rule(id="r", measure="rejection_rate", above=0.1, over_h=1, action="x")
    failed = Rule(id="x", measure="failure_rate", above=0.1, over_h=1, action="x")
    assert (trials(rejected, found).bad, trials(rejected, found).n) == (1, 1)
    assert (trials(failed, found).bad, trials(failed, found).n) == (1, 2)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))), st.integers(1, 5))
def test_a_rolling_sum_is_the_sum_of_the_last_windows(windows, length):
    rolling = Rolling(length)
    for counts in windows:
        rolling.push(counts)
    for key in "abc":
        assert rolling.sum[key] == sum(counts.get(key, 0) for counts in windows[-length:])


@pytest.mark.parametrize(
    ("states", "consecutive", "active"),
    [("A", 1, "1"), ("AQQ", 1, "110"), ("AQAQQ", 1, "11110"), ("AQAA", 2, "0001"), ("ANA", 2, "001"),
     ("AANNNQNQ", 2, "01111110"), ("QQQ", 1, "000")],
)  # fmt: skip
def test_hysteresis_of_drift_alarms(states, consecutive, active):
    alarm, path = Alarm(), ""
    for letter in states:
        alarm.look({"A": State.ALERT, "Q": State.QUIET, "N": State.NOT_EVALUATED}[letter], consecutive)
        path += str(int(alarm.active))
    assert path == active
