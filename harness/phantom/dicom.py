"""Phantom studies as DICOM files (Digital X-Ray Image Storage, for presentation; PS3.3, A.26)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from harness.errors import CohortError
from harness.service.uids import derived_uid
from harness.study import Case, Image, View

_VIEW_POSITIONS = {View.PA: "PA", View.AP: "AP", View.LATERAL: "LL", View.OTHER: ""}
_ORIENTATIONS = {View.LATERAL: ["A", "F"]}


def write_dicom(cases: Iterable[Case], out: Path) -> int:
    """Writes every picture of phantom studies as a DICOM file; returns how many.

    Identifiers are derived from names: Study Instance UID from the study id, series and instance from it
    and the picture's file name, see `derived_uid`. The study id is Study ID and Accession Number too. The
    window is the whole range, so that grey values are those of the picture. The same cases give the same
    bytes.

    Args:
        cases: of a phantom cohort.
        out: a folder; made if it is not there.

    Raises:
        CohortError: pydicom is not installed, a picture cannot be read, or the folder cannot be written.
    """
    count = 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        for case in cases:
            for image in case.study.images:
                _write(case, image, out / f"{derived_uid(case.study.study_id, image.path.stem)}.dcm")
                count += 1
    except OSError as error:
        raise CohortError(f"{out}: cannot be written: {error}") from None
    return count


def _write(case: Case, image: Image, path: Path) -> None:
    try:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import (
            DigitalXRayImageStorageForPresentation,
            ExplicitVRLittleEndian,
        )
    except ImportError:
        raise CohortError('DICOM needs pydicom; pip install "harness[dicom]"') from None
    study, context = case.study.study_id, case.study.context
    with Pillow.open(image.path) as file:
        pixels = np.asarray(file.convert("L"))
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = path.stem
    data.SeriesInstanceUID = derived_uid(study, "series")
    data.StudyInstanceUID = derived_uid(study)
    data.StudyID = data.AccessionNumber = study[:16]
    data.PatientName, data.PatientID = f"PHANTOM^{case.patient_id}", case.patient_id
    data.PatientSex = context.sex or ""
    data.PatientBirthDate = data.StudyDate = data.StudyTime = data.ReferringPhysicianName = ""
    if context.age is not None:
        data.PatientAge = f"{context.age:03d}Y"
    data.SeriesNumber, data.InstanceNumber = 1, 1 + case.study.images.index(image)
    data.Modality, data.BodyPartExamined = "DX", "CHEST"
    data.ViewPosition, data.ImageLaterality = _VIEW_POSITIONS[image.view], "U"
    data.PatientOrientation = _ORIENTATIONS.get(image.view, ["L", "F"])
    data.Manufacturer, data.PresentationIntentType = "harness phantom", "FOR PRESENTATION"
    data.ImageType, data.BurnedInAnnotation = ["DERIVED", "PRIMARY"], "NO"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelIntensityRelationship, data.PixelIntensityRelationshipSign = "LOG", -1
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "US"
    data.PresentationLUTShape, data.LossyImageCompression = "IDENTITY", "01"
    data.WindowCenter, data.WindowWidth = 128, 256
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    data.save_as(path, enforce_file_format=True)
