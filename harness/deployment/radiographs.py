"""Whether a DICOM file is the chest radiograph that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.deployment.pictures import check_header, is_dicom, read_header
from harness.errors import CohortError
from harness.study import View

MODALITIES: Final = ("CR", "DX")
"""Computed and digital radiography. Others (CT, MR, MG, US, ...) are refused."""
MOST_PIXELS: Final = 40_000_000
"""Of one picture: twice the largest chest detector, and what memory for several at once is planned with."""
_CHEST: Final = ("CHEST", "THORAX", "LUNG", "RIB", "STERNUM")
_VIEWS: Final = {
    "PA": View.PA,
    "AP": View.AP,
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "LATERAL": View.LATERAL,
}


def check_radiograph(path: Path, *, study_id: str, series_uid: str, instance_uid: str, view: View) -> None:
    """Refuses a file that is not this picture of this study, or no chest radiograph.

    Args:
        path: the file.
        study_id: its Study Instance UID, Accession Number or Study ID.
        series_uid: its Series Instance UID.
        instance_uid: its SOP Instance UID.
        view: what it is said to show; a lateral for a frontal view, or the other way round, is refused.

    Raises:
        CohortError: it is no DICOM file; of another study, series or instance; of another modality or part
            of the body; raw ("for processing"); too large; another view; or as `pictures.check_picture`.
    """
    if not is_dicom(path):
        raise CohortError(f"{path}: not a DICOM file; send DICOM")
    file = read_header(path)
    _check_identity(path, file, study_id, series_uid, instance_uid)
    modality = _word(file, "Modality")
    if modality not in MODALITIES:
        raise CohortError(
            f"{path}: modality {_shown(modality)}; a chest radiograph ({', '.join(MODALITIES)}) is needed"
        )
    part = _word(file, "BodyPartExamined")
    if part and not any(word in part for word in _CHEST):
        raise CohortError(f"{path}: body part {_shown(part)}; a chest radiograph is needed")
    if _word(file, "PresentationIntentType") == "FOR PROCESSING":
        raise CohortError(f"{path}: a raw image (for processing); send the one for presentation")
    stated = _VIEWS.get(_word(file, "ViewPosition"))
    if stated is not None and view is not View.OTHER and stated.frontal != view.frontal:
        raise CohortError(f"{path}: view {stated}, asked for as {view}; correct the request")
    picture = check_header(path, file)
    if picture.width * picture.height > MOST_PIXELS:
        raise CohortError(
            f"{path}: {picture.width} x {picture.height} pixels; at most {MOST_PIXELS:,} in all are read"
        )


def _check_identity(path: Path, file: Any, study_id: str, series_uid: str, instance_uid: str) -> None:
    if study_id not in {str(file.get(name) or "").strip() for name in STUDY_NAMES} - {""}:
        raise CohortError(f"{path}: belongs to another study than the one asked for; correct the request")
    for name, wanted, told in (
        ("SeriesInstanceUID", series_uid, "series"),
        ("SOPInstanceUID", instance_uid, "instance"),
    ):
        if str(file.get(name, "")) != wanted:
            raise CohortError(f"{path}: is of another {told} than the one asked for; correct the request")


STUDY_NAMES: Final = ("StudyInstanceUID", "AccessionNumber", "StudyID")
"""What a study may be called by."""


def _word(file: Any, name: str) -> str:
    return str(file.get(name) or "").strip().upper()


def _shown(word: str) -> str:
    """A code of the standard is told; anything else might be a name."""
    return word if word.replace("_", "").isalpha() and len(word) <= 16 else "unknown"
