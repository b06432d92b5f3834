import numpy as np
import pytest

from harness.annotators.rules import RulesLabeler
from harness.measures.attributes import Attributes
from report_texts import AWKWARD, pairs, value


def rows(candidate, reference):
    """Sides that agree, sides stated, severities that agree, severities stated."""
    return Attributes().rows(pairs([candidate], [reference]))[0].tolist()


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ("Small left pleural effusion.", "Small left pleural effusion.", [1, 1, 1, 1]),
        ("Large right pleural effusion.", "Small left pleural effusion.", [0, 1, 0, 1]),
        ("Pleural effusion.", "Small left pleural effusion.", [0, 1, 0, 1]),
        ("Small left pleural effusion.", "Pleural effusion.", [0, 0, 0, 0]),
        ("No pleural effusion.", "Small left pleural effusion.", [0, 0, 0, 0]),
        ("Left pneumothorax.", "Small left pleural effusion.", [0, 0, 0, 0]),
        ("", "Small left pleural effusion.", [0, 0, 0, 0]),
        # Left and right together are bilateral; the greatest severity counts.
        ("Bilateral pleural effusions.", "Left pleural effusion. Right pleural effusion.", [1, 1, 0, 0]),
        ("Severe pulmonary edema.", "Mild pulmonary edema. Severe pulmonary edema.", [0, 0, 1, 1]),
    ],
)
def test_hand_worked_pairs(candidate, reference, expected):
    assert rows(candidate, reference) == expected


def test_agreement_is_a_proportion_of_what_the_references_state():
    reference = "Small left pleural effusion."
    candidates = ["Small left pleural effusion.", "Small right pleural effusion.", "Clear lungs."]
    found = value(Attributes(), pairs(candidates, [reference] * 3))
    np.testing.assert_allclose(found, [1 / 2, 1])


def test_the_signature_names_the_labeler():
    assert RulesLabeler().signature() in Attributes().signature()


def test_awkward_texts():
    assert (Attributes().rows(pairs(list(AWKWARD), list(AWKWARD))) >= 0).all()


def test_options_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="section"):
        Attributes("x")
