"""What the tests of the report service share: candidates, DICOM files, requests."""

import os
import time
import warnings
from pathlib import Path

import numpy as np

from harness.candidates.base import Candidate
from harness.report import CRITICAL, Finding, Report, ReportedFinding
from harness.service.contract import ReportRequest
from harness.service.uids import derived_uid

RAMP = np.linspace(0, 4095, 64 * 48).reshape(48, 64).astype(np.uint16)


def dicom_file(path, study="s1", picture="a", values=RAMP, **fields):
    """A chest radiograph of 12 bits, whose identifiers are those of `image_of`."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = derived_uid(study, picture)
    data.SeriesInstanceUID = derived_uid(study, "series")
    data.StudyInstanceUID = derived_uid(study)
    data.StudyID = study
    data.PatientName = "SECRET^NAME"
    data.Modality, data.BodyPartExamined, data.ViewPosition = "DX", "CHEST", "PA"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = values.shape[:2]
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = values.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in fields.items():
            setattr(data, name, value)
        data.save_as(path, enforce_file_format=True)
    return path


def image_of(study="s1", picture="a", view="PA"):
    return {
        "series_uid": derived_uid(study, "series"),
        "instance_uid": derived_uid(study, picture),
        "view": view,
    }


def body_of(study="s1", *pictures, **fields):
    return {
        "study_id": study,
        "images": [image_of(study, picture) for picture in pictures or ("a",)],
        **fields,
    }


def asked(study="s1", *pictures, **fields):
    import json

    return ReportRequest.model_validate_json(json.dumps(body_of(study, *pictures, **fields)))


def report_of(study, text="No pneumothorax.", findings=(), **fields):
    return Report(report_id=f"r-{study}", findings=tuple(findings), findings_text=text, **fields)


def listed(finding, confidence=0.9):
    finding = Finding(finding)
    return ReportedFinding(finding=finding, confidence=confidence, is_critical=finding in CRITICAL)


class Scripted(Candidate):
    """Behaves as the study id says: raise-1, hang-2, die-3, empty-4, pneumothorax-5; else a normal report.

    Args:
        log: a file to which each study that it is asked for is added; None: none is.
        pause_s: what each takes.
    """

    name = "scripted"

    def __init__(self, log=None, pause_s=0.0):
        self.log, self.pause_s = log, pause_s

    def digest(self):
        return "5" * 64

    def report(self, study):
        if self.log is not None:
            with Path(self.log).open("a") as file:
                file.write(f"{study.study_id}\n")
        time.sleep(self.pause_s)
        fault = study.study_id.partition("-")[0]
        if fault == "raise":
            raise RuntimeError("SECRET words of a report")
        if fault == "hang":
            time.sleep(3600)
        if fault == "die":
            os._exit(9)
        if fault == "empty":
            return Report(report_id=study.study_id)
        if fault == "pneumothorax":
            found = [listed("Pneumothorax", 0.8)]
            return report_of(study.study_id, "There is a pneumothorax.", found)
        return report_of(study.study_id, impression=f"Study {study.study_id}: {len(study.images)} pictures.")


class Batched(Scripted):
    """Takes several at once; one bad study spoils the whole batch. Knows two templates."""

    name = "batched"
    templates = ("standard", "brief")

    def __init__(self, log=None, pause_s=0.0, template="standard"):
        super().__init__(log, pause_s)
        self.template = template

    def with_template(self, template):
        return Batched(self.log, self.pause_s, template)

    def reports(self, studies):
        time.sleep(self.pause_s)
        return [self.report(study) for study in studies]

    def report(self, study):
        report = super().report(study)
        return report.model_copy(update={"recommendations": self.template})
