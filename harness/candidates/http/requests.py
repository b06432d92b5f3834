"""A study as the contract's request: its pictures by their DICOM identifiers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from harness.dicom import load_pydicom
from harness.errors import CandidateError
from harness.service import contract
from harness.service.uids import derived_uid
from harness.study import Study

STUDY_ID: Final = re.compile(contract.STUDY_ID)
_PREAMBLE: Final = 128


def request_of(
    study: Study, report_template: str | None = None, confidence_threshold: float | None = None
) -> contract.ReportRequest:
    """What is asked for one study.

    Raises:
        CandidateError: the study cannot be asked for, such as one of no picture; which field, never its
            value.
    """
    context = study.context
    try:
        return contract.ReportRequest(
            study_id=study.study_id,
            images=tuple(
                contract.ImageReference(series_uid=series, instance_uid=instance, view=image.view)
                for image in study.images
                for series, instance in [uids(study.study_id, image.path)]
            ),
            clinical_context=contract.ClinicalContext(
                age=context.age,
                sex=context.sex,
                indication=context.indication,
                prior_studies=context.prior_studies,
            ),
            report_template=report_template,
            confidence_threshold=confidence_threshold,
        )
    except ValidationError as error:
        fields = sorted({".".join(map(str, item["loc"])) for item in error.errors()})
        raise CandidateError(f"cannot be asked for over HTTP: {', '.join(fields)}") from None


def uids(study_id: str, path: Path) -> tuple[str, str]:
    """Series and SOP Instance UID of a picture: a DICOM file's own, else those derived from its name.

    Raises:
        CandidateError: the file cannot be read, or is DICOM and lacks them.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_PREAMBLE + 4)
    except OSError as error:
        raise CandidateError(f"a picture cannot be read: {error.strerror}") from None
    if head[_PREAMBLE:] != b"DICM":
        return derived_uid(study_id, "series"), derived_uid(study_id, path.stem)
    data = load_pydicom().dcmread(
        path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID", "SOPInstanceUID"]
    )
    try:
        return str(data.SeriesInstanceUID), str(data.SOPInstanceUID)
    except AttributeError:
        raise CandidateError("a DICOM picture has no Series or SOP Instance UID") from None
