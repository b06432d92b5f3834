import numpy as np
import pytest

from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.report import State
from report_texts import labels, pairs, value

REFERENCE = labels(
    {"Pneumothorax": 1, "Fracture": 1}, {"Pneumothorax": 1}, {"Pneumothorax": 2}, {"Pleural Effusion": 3}
)
CANDIDATE = labels({"Pneumothorax": 1}, {"Pneumothorax": 3}, {"Pneumothorax": 1}, {"Pleural Effusion": 1})


def of(candidate, reference, texts=None, **options):
    measure = CriticalSensitivity(**options)
    some = pairs(texts or ["x"] * len(reference), ["x"] * len(reference), candidate, reference)
    return dict(zip(measure.values, value(measure, some), strict=True))


def test_a_hand_worked_table():
    found = of(CANDIDATE, REFERENCE)
    assert found["Pneumothorax"] == 1  # a doubt is a warning
    assert found["Fracture"] == 0
    assert found["Pleural Effusion"] == 1
    assert np.isnan(found["Lung Lesion"])
    assert found["pooled"] == pytest.approx(3 / 4)
    strict = of(CANDIDATE, REFERENCE, uncertain="negative")
    assert strict["Pneumothorax"] == pytest.approx(1 / 2)
    assert np.isnan(strict["Pleural Effusion"])
    assert np.isnan(of(CANDIDATE, REFERENCE, uncertain="ignore")["Pleural Effusion"])


def test_a_silent_study_lowers_it():
    before = of(REFERENCE, REFERENCE)["pooled"]
    silent = REFERENCE.copy()
    silent[0] = State.NOT_MENTIONED
    after = of(silent, REFERENCE, texts=["", "x", "x", "x"])["pooled"]
    assert (before, after) == (1, pytest.approx(2 / 4))


def test_a_negative_report_of_a_positive_is_a_miss():
    assert of(labels({"Fracture": 2}), labels({"Fracture": 1}))["Fracture"] == 0


def test_unknown_policy():
    with pytest.raises(ValueError, match="uncertain must be one of"):
        CriticalSensitivity("maybe")
