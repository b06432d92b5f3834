import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from harness.inference import difference_interval
from harness.monitoring.config import DetectionPart, LabelDriftPart
from harness.monitoring.label_drift import detection_rates, label_drift
from harness.report import FINDINGS

ALPHA = 1e-3


def period(n, **claimed):
    return {"written": n, "reports": n} | {
        f"claimed:{key.replace('_', ' ')}": x for key, x in claimed.items()
    }


def test_chi_square_is_scipys_and_holm_is_over_all_findings():
    found = label_drift(LabelDriftPart(), period(300, Edema=75), period(3000, Edema=450), ALPHA)
    p = chi2_contingency([[75, 225], [450, 2550]], correction=False).pvalue
    assert found["p_value"] == pytest.approx(14 * p)
    assert found["finding"] == "Edema"


def test_a_shift_must_be_both_real_and_large():
    part = LabelDriftPart(findings=("Edema", "Fracture"))
    large = label_drift(
        part, period(300, Edema=120, Fracture=30), period(3000, Edema=450, Fracture=300), ALPHA
    )
    small = label_drift(
        part,
        period(30_000, Edema=5100, Fracture=3000),
        period(30_000, Edema=4500, Fracture=3000),
        ALPHA,
    )
    chance = label_drift(part, period(21, Edema=7, Fracture=1), period(3000, Edema=450, Fracture=300), ALPHA)
    assert [found["state"] for found in (large, small, chance)] == ["ALERT", "QUIET", "QUIET"]
    assert small["p_value"] < ALPHA
    assert chance["psi"] > 0.1


def test_rare_findings_are_tested_exactly():
    found = label_drift(LabelDriftPart(), period(100, Fracture=1), period(1000, Fracture=0), ALPHA)
    assert found["findings"]["Fracture"][5] == pytest.approx(1.0)  # 14 * 1/11, at most 1


def test_false_alarms_of_label_drift_are_below_what_is_stated():
    rng = np.random.default_rng(1)
    rates = rng.uniform(0.01, 0.3, size=14)

    def draw(n):
        return period(n) | {
            f"claimed:{f}": int(rng.binomial(n, r)) for f, r in zip(FINDINGS, rates, strict=True)
        }

    part = LabelDriftPart(psi=1e-9)  # the test alone decides
    alarms = [label_drift(part, draw(100), draw(3000), 0.05)["state"] == "ALERT" for _ in range(200)]
    assert np.mean(alarms) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize("reports", [0, 19])
def test_too_few_reports_are_not_evaluated(reports):
    assert label_drift(LabelDriftPart(), period(reports), period(1000), ALPHA)["state"] == "NOT EVALUATED"
    assert label_drift(LabelDriftPart(), period(1000), period(reports), ALPHA)["state"] == "NOT EVALUATED"


def test_detection_rates_need_an_interval_beyond_the_margin():
    part = DetectionPart(findings=("Edema",))
    month = {"readings": 1000, "tp:Edema": 90, "fn:Edema": 10}
    for claimed, state in ((60, "QUIET"), (90, "ALERT")):
        found = detection_rates(part, period(300, Edema=claimed), month, ALPHA)
        assert found["state"] == state
        interval = difference_interval(claimed, 300, 100, 1000, 1 - 2 * ALPHA)
        assert found["findings"]["Edema"][4:] == [interval.low, interval.high]


def test_lacking_findings_leave_both_open_and_hide_no_shift():
    part, month = DetectionPart(findings=("Edema",)), {"readings": 1000, "tp:Edema": 90, "fn:Edema": 10}
    whole, shifted = period(300, Edema=45), period(300, Edema=120)
    for now, state in ((whole, "QUIET"), (shifted, "ALERT")):
        lacking = now | {"reports": 310, "unwritten": 10}
        expected = "NOT EVALUATED" if state == "QUIET" else state
        for found, wanted in ((now, state), (lacking, expected), (now | {"unplaced": 10}, expected)):
            assert label_drift(LabelDriftPart(), found, period(3000, Edema=450), ALPHA)["state"] == wanted
            assert detection_rates(part, found, month, ALPHA)["state"] == wanted
    unread = detection_rates(part, whole, month | {"readings": 1020, "unread": 20}, ALPHA)
    assert unread["state"] == "NOT EVALUATED"


def test_detection_rates_without_readings_are_not_evaluated():
    found = detection_rates(DetectionPart(), period(300), {"readings": 25, "unread": 10}, ALPHA)
    assert found["state"] == "NOT EVALUATED"
    assert "15 readings" in found["reason"]
