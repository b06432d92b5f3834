import numpy as np
import pytest

from harness.annotators.structured import StructuredLabeler
from harness.candidates.multimodal.structured import recommendations, structured_report
from harness.errors import GenerationError
from harness.report import CRITICAL, FINDINGS, INDEX, Finding, State
from tiny_multimodal import configuration

NORMAL = "Findings: The heart size is normal. No pneumothorax.\nImpression: No acute disease."


def report(text, notes=(), boxes=lambda findings: {}, thresholds=None, review=0.5, **scores):
    config = configuration(thresholds=thresholds or {}, review_threshold=review)
    probabilities = dict.fromkeys(FINDINGS, 0.01) | {
        Finding(k.replace("_", " ")): v for k, v in scores.items()
    }
    return structured_report("r", text, probabilities, config, boxes, notes)


def listed(found):
    return {item.finding: item for item in found.findings}


def test_severity_and_side_come_from_the_text_confidence_from_the_head():
    text = "Findings: Small left effusion. Moderate right effusion.\nImpression: Bilateral effusions."
    item = listed(report(text, Pleural_Effusion=0.87654))[Finding.PLEURAL_EFFUSION]
    assert (item.severity, item.laterality) == ("moderate", "bilateral")
    assert item.confidence == 0.8765
    assert item.is_critical
    item = listed(report("Findings: Large left pneumothorax.", Pneumothorax=0.9))[Finding.PNEUMOTHORAX]
    assert (item.severity, item.laterality) == ("severe", "left")


def test_a_normal_study_lists_no_finding_and_is_read_as_normal():
    found = report(NORMAL, No_Finding=0.9)
    assert list(listed(found)) == [Finding.NO_FINDING]
    assert not found.requires_radiologist_review
    labels = StructuredLabeler().label_reports(["x"], [found.model_dump_json()])
    assert labels[0, INDEX[Finding.NO_FINDING]] == State.POSITIVE


def test_normal_in_words_but_not_to_the_head_is_reviewed():
    found = report(NORMAL, No_Finding=0.2)
    assert found.requires_radiologist_review
    assert found.review_reason == "No Finding: stated with confidence 0.20, below 0.5"


@pytest.mark.parametrize("finding", CRITICAL)
def test_a_critical_finding_of_the_head_alone_is_listed_and_reviewed(finding):
    found = report(NORMAL, **{finding.replace(" ", "_"): 0.91})
    assert list(listed(found)) == [finding]
    assert found.requires_radiologist_review
    said = "the text denies it" if finding is Finding.PNEUMOTHORAX else "the text does not mention it"
    assert found.review_reason == f"{finding}: the head sees it (0.91), {said}"


def test_a_critical_finding_of_the_text_alone_is_reviewed():
    found = report("Findings: There is a pneumothorax.", Pneumothorax=0.3)
    assert found.review_reason == "Pneumothorax: the text states it, the head does not see it (0.30)"
    agreed = report("Findings: Possible pneumothorax.", Pneumothorax=0.8)
    assert not agreed.requires_radiologist_review


def test_thresholds_decide_what_the_head_sees():
    low = {"Pneumothorax": 0.2}
    assert report(NORMAL, thresholds=low, Pneumothorax=0.25).requires_radiologist_review
    assert not report(NORMAL, thresholds=low, Pneumothorax=0.15, No_Finding=0.9).requires_radiologist_review
    # Seen by the head at a low threshold, stated, and still less sure than review allows.
    found = report("Findings: There is a pneumothorax.", thresholds=low, Pneumothorax=0.25)
    assert found.review_reason == "Pneumothorax: stated with confidence 0.25, below 0.5"


def test_a_disagreement_that_is_not_critical_is_no_reason_by_itself():
    assert not report(NORMAL, Edema=0.9).requires_radiologist_review
    found = report("Findings: There is edema.", Edema=0.3)
    assert found.review_reason == "Edema: stated with confidence 0.30, below 0.5"
    assert not report("Findings: There is edema.", review=0.25, Edema=0.3).requires_radiologist_review


def test_boxes_are_asked_for_once_and_for_what_is_listed():
    asked = []

    def boxes(findings):
        asked.append(list(findings))
        return {Finding.EDEMA: (0.1, 0.2, 0.3, 0.4), Finding.FRACTURE: None}

    found = listed(report("Findings: There is edema.", boxes=boxes, Edema=0.9, Fracture=0.9))
    assert asked == [[Finding.EDEMA, Finding.FRACTURE]]
    assert found[Finding.EDEMA].bounding_box == (0.1, 0.2, 0.3, 0.4)
    assert found[Finding.FRACTURE].bounding_box is None
    report(NORMAL, boxes=boxes, No_Finding=0.9)
    assert len(asked) == 1


def test_notes_are_reasons():
    found = report(NORMAL, notes=["the text is cut"], No_Finding=0.9)
    assert found.requires_radiologist_review
    assert found.review_reason == "the text is cut"


def test_a_reason_quotes_no_text():
    found = report("Findings: Mr. Quux has a pneumothorax.", Fracture=0.9, Pneumothorax=0.1)
    assert "Quux" not in found.review_reason


def test_recommendations():
    assert recommendations("1. Mass. 2. Recommend CT. Follow-up in 6 weeks. Normal heart.") == (
        "2. Recommend CT. Follow-up in 6 weeks."
    )
    assert report("Findings: A mass.\nRecommendations: CT.", Lung_Lesion=0.9).recommendations == "CT."


def test_no_words_and_no_numbers_fail():
    for text in ("", "Findings:", "Recommendations: CT."):
        with pytest.raises(GenerationError, match="no words"):
            report(text)
    with pytest.raises(GenerationError, match="NaN"):
        report(NORMAL, Edema=np.nan)
