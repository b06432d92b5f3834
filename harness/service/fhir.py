"""A report as an HL7 FHIR R4 DiagnosticReport.

The resource is built with the models of fhir.resources, which validate it. Version 8 of that package has
FHIR R5 (its default), R4B (4.3.0) and STU3, and no R4 (4.0.1); R4B is used, which changed neither
DiagnosticReport nor Observation against R4.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any, Final

from harness.dicom import is_uid
from harness.errors import ServiceError
from harness.report import Finding, Report, ReportedFinding
from harness.service.contract import ReportRequest

MEDIA_TYPE: Final = "application/fhir+json"
_SYSTEM: Final = "urn:harness"


def diagnostic_report(request: ReportRequest, report: Report, text: str, issued: datetime) -> str:
    """The report as JSON text.

    Its status is `preliminary`: a machine wrote it and no radiologist has read it. Each finding is a
    contained Observation; the rendered text is the presented form. There is no subject: the service does
    not know the patient.

    Args:
        request: what was asked.
        report: the answer.
        text: the report as rendered.
        issued: when, with its time zone.

    Raises:
        ServiceError: fhir.resources is not installed.
        pydantic.ValidationError: it would be no valid resource.
    """
    try:
        from fhir.resources.R4B.diagnosticreport import DiagnosticReport
    except ImportError:
        raise ServiceError('FHIR output needs fhir.resources; pip install "harness[service]"') from None
    radiology = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}
    observations = [
        _observation(number, item, report) for number, item in enumerate(report.findings, start=1)
    ]
    values: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": f"{_SYSTEM}:report", "value": report.report_id}],
        "status": "preliminary",
        "category": [radiology],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}
            ],
            "text": "Chest X-ray report",
        },
        "issued": issued.isoformat(timespec="milliseconds"),
        "imagingStudy": [{"identifier": _study_identifier(request.study_id)}],
        "extension": [
            {
                "url": f"{_SYSTEM}:requires-radiologist-review",
                "valueBoolean": report.requires_radiologist_review,
            }
        ],
        "presentedForm": [
            {
                "contentType": "text/plain; charset=utf-8",
                "language": "en",
                "data": base64.b64encode(text.encode()).decode(),
                "title": "Chest X-ray report",
            }
        ],
    }
    if report.impression.strip():
        values["conclusion"] = report.impression
    if report.review_reason:
        values["extension"].append({"url": f"{_SYSTEM}:review-reason", "valueString": report.review_reason})
    if observations:
        values["contained"] = observations
        values["result"] = [{"reference": f"#{observation['id']}"} for observation in observations]
    # By way of JSON: the model reads what will be sent.
    return str(DiagnosticReport.model_validate_json(json.dumps(values)).model_dump_json())


def _study_identifier(study_id: str) -> dict[str, str]:
    if is_uid(study_id):  # PS3.20: a DICOM UID is an OID
        return {"system": "urn:dicom:uid", "value": f"urn:oid:{study_id}"}
    return {"value": study_id}


def _observation(number: int, item: ReportedFinding, report: Report) -> dict[str, Any]:
    components: list[dict[str, Any]] = [
        {
            "code": {"text": "confidence"},
            "valueQuantity": {"value": item.confidence, "system": "http://unitsofmeasure.org", "code": "1"},
        }
    ]
    for name, value in (("severity", item.severity), ("laterality", item.laterality)):
        if value is not None:
            components.append({"code": {"text": name}, "valueCodeableConcept": {"text": str(value)}})
    if item.bounding_box is not None:
        box = " ".join(f"{edge:.4f}" for edge in item.bounding_box)
        components.append({"code": {"text": "bounding box, x0 y0 x1 y1 of 1"}, "valueString": box})
    values: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"finding-{number}",
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "imaging",
                    }
                ]
            }
        ],
        "code": {
            "coding": [{"system": f"{_SYSTEM}:chexpert", "code": item.finding.value.replace(" ", "-")}],
            "text": item.finding.value,
        },
        "valueBoolean": True,
        "component": components,
    }
    if item.is_critical and item.finding is not Finding.NO_FINDING:
        values["interpretation"] = [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
                        "code": "AA",
                        "display": "Critical abnormal",
                    }
                ]
            }
        ]
    if report.model_version.strip():
        values["device"] = {"display": report.model_version}
    return values
