import pytest

from harness.outcome import Outcome, Status
from harness.report import CRITICAL, Finding
from harness.service.review import reviewed
from services import listed, report_of

WORDS = {
    Finding.PNEUMOTHORAX: ("There is a left pneumothorax.", "No pneumothorax."),
    Finding.FRACTURE: ("There is a rib fracture.", "No fracture."),
    Finding.LUNG_LESION: ("There is a lung mass.", "No lung mass."),
    Finding.PLEURAL_EFFUSION: ("There is a pleural effusion.", "No pleural effusion."),
}


def second(*findings):
    return Outcome("s", Status.OK, report_of("s", findings=[listed(f) for f in findings]), "", 0.1)


@pytest.mark.parametrize("finding", CRITICAL)
def test_list_and_text_must_agree_on_what_is_critical(finding):
    there, absent = WORDS[finding]
    agreed = report_of("s", there, [listed(finding)])
    assert reviewed(agreed) is agreed
    normal = report_of("s", absent)
    assert reviewed(normal) is normal
    denied = reviewed(report_of("s", absent, [listed(finding)]))
    assert denied.requires_radiologist_review
    assert denied.review_reason == f"{finding}: the list has it (0.90), the text does not state it"
    silent = reviewed(report_of("s", there))
    assert silent.requires_radiologist_review
    assert silent.review_reason == f"{finding}: the text states it, the list does not have it"


@pytest.mark.parametrize("finding", CRITICAL)
def test_a_second_reader_must_agree_too(finding):
    there, absent = WORDS[finding]
    stated = report_of("s", there, [listed(finding)])
    assert reviewed(stated, second=second(finding)) is stated
    alone = reviewed(stated, second=second())
    assert alone.review_reason == f"{finding}: the text states it, the second reader does not have it"
    missed = reviewed(report_of("s", absent), second=second(finding))
    assert missed.requires_radiologist_review
    assert "the second reader has it (0.90)" in missed.review_reason


def test_a_second_reader_that_fails_is_a_reason_not_a_pass():
    outcome = Outcome("s", Status.LATE, None, "", 30.0)
    found = reviewed(report_of("s"), second=outcome)
    assert found.requires_radiologist_review
    assert found.review_reason == "the second reader gave no report (late)"


def test_what_is_not_critical_is_no_matter_here():
    report = report_of("s", "The heart is enlarged.")
    assert reviewed(report, second=second("Edema")) is report


def test_the_threshold_hides_nothing():
    findings = [listed("Pneumothorax", 0.3), listed("Edema", 0.3), listed("Cardiomegaly", 0.3)]
    text = "There is a pneumothorax. There is pulmonary edema."
    found = reviewed(report_of("s", text, [*findings, listed("Atelectasis", 0.7)]), 0.5)
    assert [item.finding for item in found.findings] == ["Atelectasis"]
    assert found.findings_text == text
    assert found.review_reason == (
        "Pneumothorax: left out of the list, confidence 0.30 below 0.5; "
        "Edema: left out of the list, confidence 0.30 below 0.5"
    )
    quiet = reviewed(report_of("s", "Clear lungs.", [listed("Cardiomegaly", 0.3)]), 0.5)
    assert quiet.findings == ()
    assert not quiet.requires_radiologist_review
    at = report_of("s", "There is a pneumothorax.", [listed("Pneumothorax", 0.5)])
    assert reviewed(at, 0.5) is at


def test_reasons_of_the_candidate_stay_and_are_not_told_twice():
    own = report_of(
        "s", "No pneumothorax.", [listed("Pneumothorax")], requires_radiologist_review=True,
        review_reason="Pneumothorax: the head sees it (0.90), the text denies it",
    )  # fmt: skip
    assert reviewed(own) is own
    more = reviewed(own, second=second("Fracture"))
    assert more.review_reason.startswith(own.review_reason + "; Fracture: the second reader")
    for known in (
        "Pneumothorax: ",
        "Pneumothorax: nothing to look at",
    ):  # who asks for no review, has told nothing
        claimed = report_of("s", "There is a large right pneumothorax.", review_reason=known)
        held = reviewed(claimed)
        assert held.requires_radiologist_review
        assert held.review_reason == known + "; Pneumothorax: the text states it, the list does not have it"
    asked_for = report_of("s", requires_radiologist_review=True)
    assert reviewed(asked_for).requires_radiologist_review
