import json
import math

import pytest
from pydantic import ValidationError

from harness.report import (
    COMPETITION,
    CRITICAL,
    FINDINGS,
    INDEX,
    PARENTS,
    Finding,
    Report,
    ReportedFinding,
    State,
    join_sections,
)

ANSWER = {
    "report_id": "r-1",
    "findings": [
        {
            "finding": "Pneumothorax",
            "confidence": 0.93,
            "severity": "moderate",
            "laterality": "left",
            "bounding_box": [0.5, 0.1, 0.9, 0.4],
            "is_critical": True,
        }
    ],
    "findings_text": "There is a moderate left pneumothorax.",
    "impression": "Left pneumothorax.",
    "recommendations": "Clinical correlation.",
    "processing_time_ms": 812.5,
    "model_version": "1.4.0",
    "requires_radiologist_review": True,
}


def test_the_contract_is_read_and_written_field_for_field():
    report = Report.model_validate(ANSWER)
    assert json.loads(report.model_dump_json()) == ANSWER


def test_a_reason_for_review_is_written_only_where_there_is_one():
    reasoned = {**ANSWER, "review_reason": "Pneumothorax: the head sees it (0.91), the text denies it"}
    report = Report.model_validate(reasoned)
    assert json.loads(report.model_dump_json()) == reasoned
    assert Report.model_validate_json(report.model_dump_json()) == report
    kept = json.loads(report.model_dump_json(exclude={"processing_time_ms"}))
    assert kept == {name: value for name, value in reasoned.items() if name != "processing_time_ms"}


def test_the_14_findings_stand_in_chexperts_order():
    assert [str(finding) for finding in FINDINGS] == [
        "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
        "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other",
        "Fracture", "Support Devices",
    ]  # fmt: skip
    assert all(FINDINGS[place] is finding for finding, place in INDEX.items())
    assert set(CRITICAL) | set(COMPETITION) | set(PARENTS) | set(PARENTS.values()) <= set(FINDINGS)


def test_state_codes_are_chexberts():
    assert [State(code).name for code in range(4)] == ["NOT_MENTIONED", "POSITIVE", "NEGATIVE", "UNCERTAIN"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1, "high", None])
def test_a_confidence_that_is_no_probability_is_refused(bad):
    with pytest.raises(ValidationError):
        ReportedFinding(finding=Finding.FRACTURE, confidence=bad)


@pytest.mark.parametrize(
    "box", [[0.5, 0.1, 0.4, 0.4], [0, 0, 1.2, 1], [0, 0, 1], [0, 0, 0, 0], [math.nan] * 4]
)
def test_a_box_needs_an_area_inside_the_picture(box):
    with pytest.raises(ValidationError):
        ReportedFinding(finding=Finding.FRACTURE, confidence=0.5, bounding_box=box)


@pytest.mark.parametrize(
    "change",
    [{"findings": [{"finding": "Hernia", "confidence": 1}]}, {"extra": 1}, {"processing_time_ms": math.nan},
     {"processing_time_ms": -1}, {"impression": 7}, {"report_id": None}],
)  # fmt: skip
def test_what_is_not_in_the_contract_is_refused(change):
    with pytest.raises(ValidationError):
        Report.model_validate({**ANSWER, **change})


def test_the_text_is_findings_and_impression():
    assert Report.model_validate(ANSWER).text == "There is a moderate left pneumothorax.\nLeft pneumothorax."
    assert join_sections((" ", "One.", "")) == "One."
