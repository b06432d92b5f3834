"""A MIMIC-CXR-JPG folder written by hand, study by study, for tests."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
from PIL import Image

# MIMIC-CXR's label tables are in alphabetical order.
LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture",
    "Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia",
    "Pneumothorax", "Support Devices",
)  # fmt: skip
REPORT = """\
                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  {age} year old with cough.

 FINDINGS:

 The lungs are clear.  There is no effusion
 or pneumothorax.

 IMPRESSION:

 No acute process.
"""


class Layout:
    """Collects studies, then writes what PhysioNet ships."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.split, self.metadata, self.labels, self.patients, self.admissions = [], [], [], [], []

    def study(self, subject, study, views=("PA",), *, split="test", date="21500101", report=REPORT,
              labels=None, pictures=True):  # fmt: skip
        folder = self.folder(subject, study)
        folder.mkdir(parents=True)
        if report is not None:
            folder.with_suffix(".txt").write_text(report)
        for place, view in enumerate(views):
            dicom = f"{study}-{place:08d}"
            self.split.append((dicom, study, subject, split))
            self.metadata.append((dicom, subject, study, "CHEST", view, 100, 80, date, "120000.0"))
            if pictures:
                pixels = np.full((100, 80), 40 * (place + 1), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{dicom}.jpg")
        if labels is not None:
            self.labels.append((subject, study, *(labels.get(name, "") for name in LABELS)))
        return self

    def person(self, subject, gender="F", age=60, year=2150, race="WHITE"):
        self.patients.append((subject, gender, age, year, "2014 - 2016", ""))
        self.admissions.append((subject, subject + 1, f"{year}-01-01 00:00:00", race))
        return self

    def folder(self, subject, study):
        return self.root / "files" / f"p{str(subject)[:2]}" / f"p{subject}" / f"s{study}"

    def write(self, *, people=True, packed=True):
        tables = {
            "mimic-cxr-2.0.0-split": (("dicom_id", "study_id", "subject_id", "split"), self.split),
            "mimic-cxr-2.0.0-metadata": (
                ("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition",
                 "Rows", "Columns", "StudyDate", "StudyTime"),
                self.metadata,
            ),
            "mimic-cxr-2.0.0-chexpert": (("subject_id", "study_id", *LABELS), self.labels),
            "mimic-cxr-2.0.0-negbio": (("subject_id", "study_id", *LABELS), self.labels),
        }  # fmt: skip
        if people:
            tables["hosp/patients"] = (
                ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"),
                self.patients,
            )
            tables["hosp/admissions"] = (("subject_id", "hadm_id", "admittime", "race"), self.admissions)
        for stem, (header, rows) in tables.items():
            buffer = io.StringIO()
            csv.writer(buffer).writerows([header, *rows])
            path = self.root / f"{stem}.csv{'.gz' if packed else ''}"
            path.parent.mkdir(exist_ok=True)
            data = buffer.getvalue().encode()
            path.write_bytes(gzip.compress(data) if packed else data)
        return self.root


def small(root):
    """Four studies of three patients, each with its labels."""
    layout = Layout(root)
    layout.study(10000001, 50000001, ("LATERAL", "PA"), labels={"No Finding": "1.0"})
    layout.study(
        10000001, 50000002, ("AP",), date="21510301", labels={"Pneumothorax": "-1.0", "Edema": "0.0"}
    )
    layout.study(10000002, 50000003, ("PA", "AP"), labels={"Fracture": "1.0"}, date="21490505")
    layout.study(10000003, 50000004, ("PA",), split="train", labels={"Edema": "1.0"})
    layout.person(10000001, "F", 60, 2150, "BLACK/AFRICAN AMERICAN").person(
        10000002, "M", 17, 2150, "ASIAN - CHINESE"
    )
    return layout
