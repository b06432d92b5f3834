import json

import pytest
from pydantic import ValidationError

from harness.report import Report
from harness.service.contract import MOST_IMAGES, ReportRequest
from harness.study import Sex, View
from services import body_of, image_of


def read(**changes):
    return ReportRequest.model_validate_json(json.dumps({**body_of(), **changes}))


def test_everything_that_may_be_said():
    request = read(
        clinical_context={"age": 63, "sex": "F", "indication": "Cough.", "prior_studies": ["2020-01-31"]},
        report_template="standard",
        confidence_threshold=0.25,
    )
    assert request.images[0].view is View.PA
    assert (request.clinical_context.age, request.clinical_context.sex) == (63, Sex.FEMALE)
    assert request.clinical_context.prior_studies == ("2020-01-31",)
    assert request.confidence_threshold == 0.25


def test_what_may_be_left_out():
    request = read()
    assert request.clinical_context.indication == ""
    assert request.report_template is None
    assert request.confidence_threshold is None


@pytest.mark.parametrize(
    "changes",
    [
        {"study_id": ""},
        {"study_id": "../../etc/passwd"},
        {"study_id": "a/b"},
        {"study_id": "a\n"},
        {"study_id": "x" * 65},
        {"study_id": 5},
        {"images": []},
        {"images": [image_of(picture=str(number)) for number in range(MOST_IMAGES + 1)]},
        {"images": [image_of(), image_of()]},
        {"images": [{**image_of(), "view": "SIDEWAYS"}]},
        {"images": [{**image_of(), "path": "/etc/passwd"}]},
        {"clinical_context": {"age": -1}},
        {"clinical_context": {"age": "63"}},
        {"clinical_context": {"age": 6.5}},
        {"clinical_context": {"age": True}},
        {"clinical_context": {"sex": "female"}},
        {"clinical_context": {"indication": "x" * 10_001}},
        {"clinical_context": {"name": "Doe"}},
        {"confidence_threshold": 1.1},
        {"confidence_threshold": "0.5"},
        {"report_template": ""},
        {"more": 1},
    ],
)  # fmt: skip
def test_what_is_refused(changes):
    with pytest.raises(ValidationError):
        read(**changes)


@pytest.mark.parametrize(
    "uid",
    ["", "1", "1.", ".1", "1..2", "1.02", "3.1", "1.2a", "../1.2", "1.2/3", "1.2\n", "1.2\0", "1.２",
     "1." + "1" * 63],
)  # fmt: skip
def test_identifiers_that_are_none(uid):
    for field in ("series_uid", "instance_uid"):
        with pytest.raises(ValidationError):
            read(images=[{**image_of(), field: uid}])


@pytest.mark.parametrize("uid", ["0.1", "1.2.840.10008.1.2", "2.25.0", "2.25." + "1" * 39, "1." + "1" * 62])
def test_identifiers(uid):
    assert read(images=[{**image_of(), "instance_uid": uid}]).images[0].instance_uid == uid


def test_no_number_is_nan():
    with pytest.raises(ValidationError):
        ReportRequest.model_validate_json(json.dumps({**body_of(), "confidence_threshold": float("nan")}))


def test_an_answer_is_a_report_of_the_vocabulary():
    fields = set(Report.model_json_schema()["properties"])
    assert fields == {
        "report_id", "findings", "findings_text", "impression", "recommendations", "processing_time_ms",
        "model_version", "requires_radiologist_review", "review_reason",
    }  # fmt: skip
