import base64
import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from harness.report import FINDINGS, ReportedFinding
from harness.service.fhir import diagnostic_report
from harness.service.uids import derived_uid
from services import asked, listed, report_of

pytest.importorskip("fhir.resources")
NOW = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)


def resource(report, study="s1"):
    return json.loads(diagnostic_report(asked(study), report, "The text: é.", NOW))


def test_a_whole_report():
    found = ReportedFinding(
        finding="Pneumothorax", confidence=0.9375, severity="mild", laterality="left",
        bounding_box=(0.1, 0.2, 0.3, 0.4), is_critical=True,
    )  # fmt: skip
    report = report_of(
        "s1", "There is a pneumothorax.", [found, listed("Edema", 0.5)], impression="Pneumothorax.",
        model_version="m-1", requires_radiologist_review=True, review_reason="Edema: x",
    )  # fmt: skip
    made = resource(report)
    assert made["resourceType"] == "DiagnosticReport"
    assert made["status"] == "preliminary"
    assert made["conclusion"] == "Pneumothorax."
    assert made["imagingStudy"] == [{"identifier": {"value": "s1"}}]
    assert datetime.fromisoformat(made["issued"]) == NOW
    assert base64.b64decode(made["presentedForm"][0]["data"]).decode() == "The text: é."
    extensions = {item["url"].rpartition(":")[2]: item for item in made["extension"]}
    assert extensions["requires-radiologist-review"]["valueBoolean"] is True
    assert extensions["review-reason"]["valueString"] == "Edema: x"
    # Every contained resource is referenced, and every reference is contained (invariant dom-3).
    assert [item["reference"] for item in made["result"]] == [f"#{item['id']}" for item in made["contained"]]
    first, second = made["contained"]
    assert first["status"] == "preliminary"
    assert first["code"]["text"] == "Pneumothorax"
    assert first["interpretation"][0]["coding"][0]["code"] == "AA"
    assert "interpretation" not in second
    parts = {part["code"]["text"].partition(",")[0]: part for part in first["component"]}
    assert float(parts["confidence"]["valueQuantity"]["value"]) == 0.9375
    assert parts["severity"]["valueCodeableConcept"]["text"] == "mild"
    assert parts["bounding box"]["valueString"] == "0.1000 0.2000 0.3000 0.4000"


def test_the_models_read_it_again():
    from fhir.resources.R4B.diagnosticreport import DiagnosticReport

    for findings in ([], [listed(finding) for finding in FINDINGS]):
        text = diagnostic_report(asked(), report_of("s1", findings=findings), "x", NOW)
        assert json.loads(DiagnosticReport.model_validate_json(text).model_dump_json()) == json.loads(text)


def test_a_study_uid_is_an_oid():
    uid = derived_uid("s1")
    made = resource(report_of("s1"), uid)
    identifier = {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}
    assert made["imagingStudy"] == [{"identifier": identifier}]


def test_what_is_no_resource_is_not_sent():
    with pytest.raises(ValidationError):  # an identifier's value may not be without a character
        diagnostic_report(asked(), report_of("s1").model_copy(update={"report_id": ""}), "x", NOW)


def test_without_the_package(monkeypatch):
    import sys

    from harness.errors import ServiceError

    monkeypatch.setitem(sys.modules, "fhir.resources.R4B.diagnosticreport", None)
    with pytest.raises(ServiceError, match=r"harness\[service\]"):
        diagnostic_report(asked(), report_of("s1"), "x", NOW)
