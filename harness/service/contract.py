"""The contract of a report service: what is asked, what is answered, and how it fails.

    POST /api/v1/studies/{study_id}/report        a ReportRequest -> a harness.report.Report

| status | means | ask again |
|---|---|---|
| 200 | the report; JSON, or `application/fhir+json`, or `text/plain` | |
| 400 | the body is no JSON | no |
| 401 | no bearer token, or not the right one (`WWW-Authenticate: Bearer`) | no |
| 404 | the image source has no such image | no |
| 406 | `Accept` names nothing that is served | no |
| 408 | the body did not come in time | yes |
| 413 | the body is longer than the service reads | no |
| 415 | the body is not `application/json` | no |
| 422 | a field, image or template of no use, images not of one patient's study, or a reused key | no |
| 429 | the queue is full; wait `Retry-After` seconds | yes |
| 500 | the candidate was asked and gave no report: raised, empty, invalid, died | no: it is the answer |
| 502 | the image source cannot be reached or answers nonsense | yes |
| 503 | shutting down, no worker is up, or its turn did not come in time; wait `Retry-After` seconds | yes |
| 504 | the candidate was asked and was late | no: it is the answer |

Every status but 200 is a `Problem` as `application/problem+json` (RFC 9457). Neither it nor any log
quotes what was sent.

Headers of the request: `Authorization: Bearer TOKEN`; `Accept`, or the query `format=json|fhir|text`,
which wins; `Idempotency-Key`, 1 to 128 visible ASCII characters. Of the answer: `X-Study-Id`, the study
that this is the report of, to be compared with the one that was asked for; `X-Candidate`, the candidate's
digest; `X-Request-Id`, which the service's log bears too; `Idempotent-Replay: true` where the answer was
given before.

The same key with the same request gets the same answer, byte for byte, and the candidate is asked once,
also while the first request is still being worked on, and also where it failed (500, 504). What never
reached the candidate (400 to 429, 502, 503) is not remembered: the same key may be used again. The same
key with another request is a 422. Keys are forgotten after an hour, and when the service ends.

    GET /healthz     Health: 200 as long as the process lives
    GET /readyz      Health: 200 when a report may be asked for, else 503
    GET /metrics     Prometheus' text format
    GET /openapi.json
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from harness.dicom import UID
from harness.report import Fraction
from harness.study import Sex, View

PATH: Final = "/api/v1/studies/{study_id}/report"
MOST_IMAGES: Final = 16

STUDY_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$"
"""A Study Instance UID; or an Accession Number or Study ID, if one study alone in the source bears it."""
IDEMPOTENCY_KEY: Final = r"^[!-~]{1,128}$"

StudyId = Annotated[str, Field(pattern=STUDY_ID, min_length=1, max_length=64)]
Uid = Annotated[str, Field(pattern=UID, min_length=3, max_length=64)]


def _whole(value: Any) -> Any:
    # JSON has one kind of number, and 64.0 is an integer to a JSON Schema.
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Part(BaseModel):
    # Strict: "64" is no age and 1 no truth value; what the schema refuses is refused here too.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ImageReference(_Part):
    """One picture, by its DICOM identifiers."""

    series_uid: Uid
    instance_uid: Uid
    view: View


class ClinicalContext(_Part):
    """What the requesting clinician tells the reader; everything may be left out."""

    age: Annotated[int, Field(ge=0, le=150), BeforeValidator(_whole)] | None = None
    """Years."""
    sex: Sex | None = None
    indication: Annotated[str, Field(max_length=10_000)] = ""
    prior_studies: Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=1_000)] = ()
    """Dates of earlier examinations, ISO 8601, oldest first."""


class ReportRequest(_Part):
    """What is asked for one study.

    Raises:
        pydantic.ValidationError: a field is missing, unknown, of the wrong type, or out of range.
    """

    study_id: StudyId
    """The same as in the path."""
    images: Annotated[tuple[ImageReference, ...], Field(min_length=1, max_length=MOST_IMAGES)]
    """In the study's order, no instance twice; the first frontal one is what most models read."""
    clinical_context: ClinicalContext = ClinicalContext()
    report_template: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A manner of reporting that the candidate knows; its own where left out. Unknown: 422."""
    confidence_threshold: Fraction | None = None
    """Listed findings of lower confidence are left out of the answer. The text stays as it is; where it
    states one that was left out, or that is critical, the report requires a radiologist's review."""

    @model_validator(mode="after")
    def _no_instance_twice(self) -> ReportRequest:
        if len({image.instance_uid for image in self.images}) < len(self.images):
            raise ValueError("an instance stands twice in images")
        return self


class FieldProblem(BaseModel):
    """What is wrong with one field; never its value."""

    field: str
    """Such as `images.0.series_uid`."""
    problem: str


class Problem(BaseModel):
    """Why there is no report (RFC 9457)."""

    type: str
    """`urn:harness:problem:` and a name, such as `queue-full`."""
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


class Health(BaseModel):
    """How the service is, and who answers."""

    status: Literal["ready", "stopping", "failed"]
    """failed: no worker is up; one is being started again."""
    candidate: str
    """The candidate's name, such as multimodal."""
    candidate_digest: str
    """SHA-256 (hex) over everything that decides what it writes."""
    harness: str
    """Version."""
    report_templates: list[str] = []
    """What `report_template` may be."""
