"""A report as text, in a hospital's own template."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from harness.data_files import data_path
from harness.errors import ServiceError
from harness.report import Finding, Report, ReportedFinding
from harness.service.contract import ClinicalContext, ReportRequest

Render = Callable[[ReportRequest, Report, datetime], str]


def text_renderer(template: Path | None = None) -> Render:
    """What renders reports: `(request, report, issued) -> text`.

    A template is a Jinja2 file. It is given `report` (fields of `harness.report.Report`), `study_id`,
    `context` (fields of `ClinicalContext`), `reasons` (for review, a list) and `issued` (UTC, ISO 8601).
    A name that is not there is an error, and a sample report is rendered at once, so that a broken
    template shows before the first patient. It must show `reasons` or
    `report.requires_radiologist_review`.

    Args:
        template: the hospital's file; the one that comes with the package where left out.

    Raises:
        ServiceError: Jinja2 is not installed; the template is missing, broken, or hides that a
            radiologist must review.
    """
    try:
        from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise ServiceError('rendered text needs Jinja2; pip install "harness[pdf]"') from None
    path = template or data_path("reports") / "service" / "report.txt.j2"
    if not path.is_file():
        raise ServiceError(f"{path}: no such template")
    # Plain text: escaping as for HTML would change the words of a report.
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(path.parent),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def render(request: ReportRequest, report: Report, issued: datetime) -> str:
        return page.render(
            study_id=request.study_id,
            context=request.clinical_context.model_dump(mode="json"),
            report={"review_reason": "", **report.model_dump(mode="json")},
            reasons=report.review_reason.split("; ") if report.review_reason else [],
            issued=issued.astimezone(UTC).isoformat(timespec="seconds"),
        )

    try:
        page = environment.get_template(path.name)
        now = datetime.now(UTC)
        calm, alarm = (render(*_sample(review), now) for review in (False, True))
    except (TemplateError, UnicodeDecodeError, TypeError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ServiceError(f"{path}{f':{line}' if line else ''}: {error}") from None
    if calm == alarm:
        raise ServiceError(
            f"{path}: does not show that a radiologist must review; print reasons or "
            "report.requires_radiologist_review"
        )
    return render


def _sample(review: bool) -> tuple[ReportRequest, Report]:
    request = ReportRequest.model_validate(
        {
            "study_id": "1",
            "images": ({"series_uid": "1.2", "instance_uid": "1.3", "view": "PA"},),
            "clinical_context": ClinicalContext(age=63, indication="Cough."),
        },
        strict=False,
    )
    finding = ReportedFinding(finding=Finding.FRACTURE, confidence=0.5, is_critical=True)
    report = Report(
        report_id="1",
        findings=(finding,),
        findings_text="A fracture.",
        impression="Fracture.",
        recommendations="Follow-up.",
        requires_radiologist_review=review,
        review_reason="Fracture: sample" if review else "",
    )
    return request, report
