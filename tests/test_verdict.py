import json
from dataclasses import replace

import numpy as np
import pytest

from harness.estimates import Settings, estimate_all
from harness.suite import Suite
from harness.verdict import Status, Verdict, decide
from simulated import Detection, detections

SETTINGS = Settings(0.95, (0.95,), 300, 0)


def suite_of(*criteria, studies=None):
    cohort = {} if studies is None else {"studies": studies}
    whole = {"name": "s", "version": 1, "cohort": cohort, "measures": ["findings_f1"], "slices": ["sex"]}
    return Suite.model_validate({**whole, "criteria": [{"measure": "d", **item} for item in criteria]})


def judged(suite, rows, patients, groups):
    estimates = estimate_all({"d": Detection()}, {"d": rows}, patients, groups, SETTINGS)
    return decide(suite, estimates, len(rows))


SENSITIVITY = {"id": "s", "value": "sensitivity"}


@pytest.mark.parametrize(
    ("positives", "misses", "status"),
    [(149, 0, "PASS"), (148, 0, "NOT EVALUATED"), (149, 1, "FAIL"), (236, 1, "PASS"), (235, 1, "FAIL"),
     (313, 2, "PASS"), (312, 2, "FAIL"), (100, 30, "FAIL")],
)  # fmt: skip
def test_sensitivity_above_98_percent_needs_so_many_positives(positives, misses, status):
    # Exact, one-sided 95 %: 149, 236 and 313 positives for 0, 1 and 2 misses, one study a patient.
    rows = np.array([[int(k >= misses), 1, 0] for k in range(positives)])
    verdict = judged(suite_of({**SENSITIVITY, "above": 0.98}), rows, [f"p{k}" for k in range(positives)], {})
    assert verdict.status.value == status


def test_a_criterion_of_a_group_is_decided_on_that_group():
    rows, patients, groups = detections(1000, 0.95)
    female = np.array(groups["sex"]) == "F"
    rows[female, 0] = 0
    criteria = [{**SENSITIVITY, "id": sex, "slice": f"sex={sex}", "above": 0.8} for sex in ("F", "M", "X")]
    found = {item.id: item for item in judged(suite_of(*criteria), rows, patients, groups).decisions}
    assert {key: item.status.value for key, item in found.items()} == {
        "F": "FAIL", "M": "PASS", "X": "NOT EVALUATED",
    }  # fmt: skip
    assert found["X"].reason == "no study in sex=X"


def test_nothing_passes_on_fewer_studies_than_asked_for():
    rows, patients, groups = detections(400, 1.0)
    criterion = {**SENSITIVITY, "above": 0.8}
    assert judged(suite_of(criterion, studies=400), rows, patients, groups).status is Status.PASS
    verdict = judged(suite_of(criterion, studies=401), rows, patients, groups)
    assert verdict.status is Status.NOT_EVALUATED
    assert verdict.decisions[0].status is Status.NOT_EVALUATED
    assert "too few studies" in verdict.decisions[0].reason
    failing = judged(suite_of({**SENSITIVITY, "below": 0.5}, studies=401), rows, patients, groups)
    assert failing.status is Status.FAIL


def test_a_criterions_own_confidence_counts():
    rows = np.array([[1, 1, 0]] * 149)
    patients = [f"p{k}" for k in range(149)]
    verdict = judged(suite_of({**SENSITIVITY, "above": 0.98, "confidence": 0.99}), rows, patients, {})
    assert verdict.status is Status.NOT_EVALUATED
    assert verdict.decisions[0].confidence == 0.99


def test_json_and_back():
    rows, patients, groups = detections(500, 0.9)
    over = {
        **SENSITIVITY,
        "id": "w",
        "over": ["sex"],
        "statistic": "worst",
        "minimum_trials": 10,
        "above": 0.8,
    }
    verdict = judged(suite_of({**SENSITIVITY, "above": 0.8}, over), rows, patients, groups)
    record = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert Verdict.from_json(record) == verdict
    record["status"] = "FAIL"  # the whole is worked out from its parts, not believed
    assert Verdict.from_json(record).status is verdict.status
    assert replace(verdict, reasons=("x",)) != verdict
