"""Whether a DICOM file is the chest radiograph that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.deployment.pictures import check_header, is_dicom, orientation, read_header
from harness.dicom import is_uid
from harness.errors import CohortError
from harness.study import Sex, View

MODALITIES: Final = ("CR", "DX")
"""Computed and digital radiography. Others (CT, MR, MG, US, ...) are refused."""
MOST_PIXELS: Final = 40_000_000
"""Of one picture: twice the largest chest detector, and what memory for several at once is planned with."""
_SOP_CLASSES: Final = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1")
"""Computed Radiography Image Storage; Digital X-Ray Image Storage, for presentation."""
_RAW: Final = "1.2.840.10008.5.1.4.1.1.1.1.1"
"""Digital X-Ray Image Storage, for processing."""
_CHEST: Final = ("CHEST", "THORAX", "LUNG", "RIB", "STERNUM")
_VIEWS: Final = {
    "PA": View.PA,
    "AP": View.AP,
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "LATERAL": View.LATERAL,
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose picture a file is, by its header."""

    study_uid: str
    """Study Instance UID."""
    patient: str
    """Patient ID; empty where the file has none."""
    sex: Sex | None
    """None: neither F nor M, or not told."""


def check_radiograph(path: Path, *, study_id: str, series_uid: str, instance_uid: str, view: View) -> Origin:
    """Whose chest radiograph a file is; refuses one that is not this picture of this study, or none.

    Args:
        path: the file.
        study_id: its Study Instance UID; or its Accession Number or Study ID, which other studies may bear
            too: what is a unique identifier is compared with the Study Instance UID alone.
        series_uid: its Series Instance UID.
        instance_uid: its SOP Instance UID.
        view: what it is said to show; a lateral for a frontal view, or the other way round, is refused.

    Raises:
        CohortError: it is no DICOM file; of another study, series or instance; of another modality, SOP
            class or part of the body; raw ("for processing"); annotated in its pixels; too large; another
            view; or as `pictures.check_picture`.
    """
    if not is_dicom(path):
        raise CohortError(f"{path}: not a DICOM file; send DICOM")
    file = read_header(path)
    study_uid = _check_identity(path, file, study_id, series_uid, instance_uid)
    modality = _word(file, "Modality")
    if modality not in MODALITIES:
        raise CohortError(
            f"{path}: modality {_shown(modality)}; a chest radiograph ({', '.join(MODALITIES)}) is needed"
        )
    part = _word(file, "BodyPartExamined")
    if part and not any(word in part for word in _CHEST):
        raise CohortError(f"{path}: body part {_shown(part)}; a chest radiograph is needed")
    sop_class = _word(file, "SOPClassUID")
    if sop_class == _RAW or _word(file, "PresentationIntentType") == "FOR PROCESSING":
        raise CohortError(f"{path}: a raw image (for processing); send the one for presentation")
    if sop_class not in _SOP_CLASSES:  # a capture of a screen may be labelled DX
        raise CohortError(f"{path}: no CR or DX image by its SOP class; send the radiograph itself")
    if _word(file, "BurnedInAnnotation") == "YES":
        raise CohortError(f"{path}: annotated in its pixels (burned in); send the radiograph itself")
    stated = _VIEWS.get(_word(file, "ViewPosition"))
    if stated is not None and view is not View.OTHER and stated.frontal != view.frontal:
        raise CohortError(f"{path}: view {stated}, asked for as {view}; correct the request")
    picture = check_header(path, file)
    row = orientation(path, file)
    if row and view is not View.OTHER and (row == "L") != view.frontal:
        raise CohortError(f"{path}: its patient orientation is not that of view {view}; correct the request")
    if picture.width * picture.height > MOST_PIXELS:
        raise CohortError(
            f"{path}: {picture.width} x {picture.height} pixels; at most {MOST_PIXELS:,} in all are read"
        )
    sex = _word(file, "PatientSex")
    return Origin(study_uid, str(file.get("PatientID") or "").strip(), Sex(sex) if sex in set(Sex) else None)


def _check_identity(path: Path, file: Any, study_id: str, series_uid: str, instance_uid: str) -> str:
    """The Study Instance UID."""
    study_uid = str(file.get("StudyInstanceUID") or "").strip()
    if not study_uid:
        raise CohortError(f"{path}: has no Study Instance UID; send the radiograph from its archive")
    if study_id != study_uid and (is_uid(study_id) or study_id not in study_numbers(file)):
        raise CohortError(f"{path}: belongs to another study than the one asked for; correct the request")
    for name, wanted, told in (
        ("SeriesInstanceUID", series_uid, "series"),
        ("SOPInstanceUID", instance_uid, "instance"),
    ):
        if str(file.get(name, "")) != wanted:
            raise CohortError(f"{path}: is of another {told} than the one asked for; correct the request")
    return study_uid


def study_numbers(file: Any) -> set[str]:
    """Accession Number and Study ID of a data set, as far as it has them; other studies may bear them too."""
    return {str(file.get(name) or "").strip() for name in ("AccessionNumber", "StudyID")} - {""}


def _word(file: Any, name: str) -> str:
    return str(file.get(name) or "").strip().upper()


def _shown(word: str) -> str:
    """A code of the standard is told; anything else might be a name."""
    return word if word.replace("_", "").isalpha() and len(word) <= 16 else "unknown"
