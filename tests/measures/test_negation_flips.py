import numpy as np

from harness.measures.negation_flips import NegationFlips
from harness.report import State
from report_texts import labels, pairs, value


def of(candidate, reference):
    texts = ["x"] * len(reference)
    return value(NegationFlips(), pairs(texts, texts, candidate, reference))[0]


def test_a_hand_worked_table():
    reference = labels({"Edema": 1, "Fracture": 2, "Pneumonia": 3}, {"Edema": 2, "Atelectasis": 1})
    candidate = labels({"Edema": 2, "Fracture": 2, "Pneumonia": 1}, {"Edema": 1, "Atelectasis": 3})
    assert of(candidate, reference) == 2 / 3  # Edema twice, of Edema twice and Fracture


def test_what_one_side_leaves_out_is_not_compared():
    assert np.isnan(of(labels({}), labels({"Edema": 1})))
    assert np.isnan(of(labels({"Edema": 1}), labels({"Edema": State.NOT_COVERED})))


def test_no_finding_is_no_finding():
    assert np.isnan(of(labels({"No Finding": 1}), labels({"No Finding": 2})))
