"""The MIMIC-CXR-JPG 2.x layout as PhysioNet ships it, with MIMIC-IV's demographics."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.cohorts.base import Cohort, Exclusion
from harness.cohorts.sections import parse_sections
from harness.cohorts.tables import find_table, read_labels, read_table, refuse_duplicates
from harness.errors import CohortError
from harness.report import FINDINGS, State
from harness.study import (
    UNKNOWN_GROUP,
    Case,
    Context,
    Image,
    Reference,
    Sex,
    Study,
    View,
    age_group,
)

Views = Literal["frontal", "pa+lateral", "all"]
_RANK: Final = {View.PA: 0, View.AP: 1, View.LATERAL: 2, View.OTHER: 3}
_RACES: Final = ("WHITE", "BLACK", "HISPANIC", "ASIAN")


class MimicCxrCohort(Cohort):
    """Studies of one split, with reports and labels, in the order of their ids.

    Reads `mimic-cxr-2.0.0-{split,metadata,chexpert,negbio}.csv.gz` (or `.csv`), the pictures
    `files/pNN/pNNNNNNNN/sNNNNNNNN/*.jpg` and the report texts `files/pNN/pNNNNNNNN/sNNNNNNNN.txt`
    (also under `mimic-cxr-reports/`), and, if there, MIMIC-IV's `patients` and `admissions` tables
    (in the folder or in `hosp/`). Holds some 60 bytes a picture; reports and pixels are read when
    a case is.

    Left out, each with its reason and in this order: studies without a view asked for, without a
    picture file, without a report file, without a findings or impression section, without labels.

    Args:
        root: the folder.
        split: train, validate or test; None for all.
        views: "frontal" (PA and AP), "pa+lateral" (the first frontal and the first lateral), or
            "all" pictures. A study without a frontal picture is left out, except with "all".
        labels: which labeler's table is the reference.

    Raises:
        CohortError: a table is missing, cut short or contradicts another; no study is left.
    """

    name = "mimic-cxr"

    def __init__(
        self,
        root: Path,
        split: str | None = "test",
        views: Views = "frontal",
        labels: Literal["chexpert", "negbio"] = "chexpert",
    ) -> None:
        if views not in get_args(Views):
            raise CohortError(f"views must be one of {', '.join(get_args(Views))}, not {views}")
        if labels not in ("chexpert", "negbio"):
            raise CohortError(f"labels must be chexpert or negbio, not {labels}")
        if not root.is_dir():
            raise CohortError(f"{root}: no such folder")
        self.root = root
        self.views = views
        self.labels_source = f"{labels} labels of MIMIC-CXR-JPG"
        pictures = self._pictures(split)
        self._dates = _study_dates(pictures)
        pictures = pictures[pictures["split"] == split] if split is not None else pictures
        self.eligible = int(pictures["study_id"].nunique())
        self._select(pictures, self._labels(labels))
        self._demographics()

    def __len__(self) -> int:
        return len(self._studies)

    def study_ids(self) -> list[str]:
        """Study ids as text, sorted (all have eight digits)."""
        return [str(study) for study in self._studies]

    def patient_ids(self) -> list[str]:
        """Subject ids as text, one a study."""
        return [str(patient) for patient in self._patients]

    def splits(self) -> list[str]:
        """The split of each study: train, validate or test."""
        return list(self._splits)

    def __getitem__(self, index: int) -> Case:
        study_id, patient_id = int(self._studies[index]), int(self._patients[index])
        folder = self._folder(patient_id, study_id)
        start, end = self._offsets[index], self._offsets[index + 1]
        images = tuple(
            Image(folder / f"{name}.jpg", list(View)[view])
            for name, view in zip(self._dicoms[start:end], self._view_codes[start:end], strict=True)
        )
        sections = parse_sections(self._report(patient_id, study_id) or "")
        dates = self._dates.get(patient_id, ())
        today = self._study_date[index]
        age, sex, race = self._person(patient_id, int(today[:4]) if today else None)
        context = Context(
            age=age,
            sex=sex,
            indication=sections["indication"],
            prior_studies=tuple(f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in dates if today and day < today),
        )
        reference = Reference(
            findings=sections["findings"],
            impression=sections["impression"],
            labels=self._codes[index].copy(),
        )
        groups = {
            "sex": sex.value if sex else UNKNOWN_GROUP,
            "age": age_group(age),
            "race": race,
            "view": "+".join(sorted({image.view.value for image in images}, key=_view_order)),
        }
        study = Study(str(study_id), images, context)
        return Case(study, str(patient_id), reference, groups)

    # Reading

    def _table(self, stem: str) -> Path:
        path = find_table([self.root], f"mimic-cxr-2.0.0-{stem}")
        path = path or find_table([self.root], f"mimic-cxr-2.1.0-{stem}")
        if path is None:
            raise CohortError(
                f"{self.root}: no mimic-cxr-2.0.0-{stem}.csv.gz; this is not the MIMIC-CXR-JPG "
                "layout, or the download is not complete"
            )
        return path

    def _pictures(self, split: str | None) -> pd.DataFrame:
        keys = {"dicom_id": "str", "study_id": "int64", "subject_id": "int64"}
        path = self._table("split")
        table = read_table(path, {**keys, "split": "str"})
        refuse_duplicates(path, table, "dicom_id")
        names = sorted(table["split"].unique())
        if split is not None and split not in names:
            raise CohortError(f"{path}: no split {split}; it has {', '.join(names)}")
        for owner, what in (("study_id", "subject_id"), ("subject_id", "split")):
            spread = table.groupby(owner)[what].nunique()
            if (spread > 1).any():
                first = int(spread.index[spread.to_numpy() > 1][0])
                line = int((table[owner] == first).to_numpy().argmax()) + 2
                raise CohortError(
                    f"{path}:{line}: this {owner} has more than one {what}; "
                    + ("a patient must lie in one split" if what == "split" else "correct the table")
                )
        path = self._table("metadata")
        wanted = {**keys, "ViewPosition": "str", "StudyDate": "str"}
        metadata = read_table(path, wanted)
        refuse_duplicates(path, metadata, "dicom_id")
        joined = table.merge(metadata, on="dicom_id", how="left", suffixes=("", "_m"))
        absent = joined["study_id_m"].isna()
        if absent.any():
            raise CohortError(
                f"{path}: {int(absent.sum())} pictures of the split table are not in it; "
                "are both of one release?"
            )
        differs = (joined["study_id"] != joined["study_id_m"]) | (
            joined["subject_id"] != joined["subject_id_m"]
        )
        if differs.any():
            line = int(differs.to_numpy().argmax()) + 2
            raise CohortError(f"{path}: disagrees with line {line} of the split table on its study")
        return joined[["dicom_id", "study_id", "subject_id", "split", "ViewPosition", "StudyDate"]]

    def _labels(self, labeler: str) -> pd.DataFrame:
        path = self._table(labeler)
        table = read_labels(path, ("subject_id", "study_id"), FINDINGS)
        refuse_duplicates(path, table, "study_id")
        return table.set_index("study_id")

    def _select(self, pictures: pd.DataFrame, labels: pd.DataFrame) -> None:
        reasons: Counter[str] = Counter()
        studies: list[int] = []
        patients: list[int] = []
        dates: list[str] = []
        dicoms: list[str] = []
        codes: list[int] = []
        offsets = [0]
        views = list(View)
        pictures = pictures.sort_values(["study_id", "dicom_id"])
        study_column = pictures["study_id"].to_numpy()
        subject_column = pictures["subject_id"].to_numpy()
        names = pictures["dicom_id"].tolist()
        positions = pictures["ViewPosition"].tolist()
        days = pictures["StudyDate"].tolist()
        parts = pictures["split"].tolist()
        splits: list[str] = []
        label_subject = dict(zip(labels.index.tolist(), labels["subject_id"].tolist(), strict=True))
        starts = np.flatnonzero(np.diff(study_column, prepend=-1))
        for first, last in zip(starts, [*starts[1:], len(names)], strict=True):
            study_id, patient = int(study_column[first]), int(subject_column[first])
            shown = [(_view(positions[row]), names[row]) for row in range(first, last)]
            shown.sort(key=lambda item: (_RANK[item[0]], item[1]))
            chosen = self._chosen(shown)
            if not chosen:
                reasons["no frontal view"] += 1
                continue
            folder = self._folder(patient, study_id)
            there = set(os.listdir(folder)) if folder.is_dir() else set()
            chosen = [item for item in chosen if f"{item[1]}.jpg" in there]
            if not chosen:
                reasons["no picture file"] += 1
                continue
            report = self._report(patient, study_id)
            if report is None:
                reasons["no report file"] += 1
                continue
            sections = parse_sections(report)
            if not sections["findings"] and not sections["impression"]:
                reasons["report without findings and impression"] += 1
                continue
            if study_id not in label_subject:
                reasons["no labels"] += 1
                continue
            if label_subject[study_id] != patient:
                raise CohortError(f"{self.root}: the label table gives study {study_id} another subject")
            studies.append(study_id)
            patients.append(patient)
            dates.append(days[first].partition(".")[0])
            splits.append(sys.intern(parts[first]))
            dicoms += [name for _, name in chosen]
            codes += [views.index(view) for view, _ in chosen]
            offsets.append(len(dicoms))
        self.exclusions = tuple(Exclusion(reason, count) for reason, count in reasons.items())
        if not studies:
            told = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
            raise CohortError(f"{self.root}: no study is left of {self.eligible} ({told})")
        self._studies = np.array(studies, dtype=np.int64)
        self._patients = np.array(patients, dtype=np.int64)
        self._study_date = dates
        self._splits = splits
        self._dicoms = dicoms
        self._view_codes = np.array(codes, dtype=np.int8)
        self._offsets = np.array(offsets, dtype=np.int64)
        self._codes: NDArray[np.int8] = labels.loc[studies, list(FINDINGS)].to_numpy(dtype=np.int8)
        if (self._codes == State.NOT_COVERED).any():
            raise CohortError(f"{self.root}: the label table holds an unknown code")

    def _chosen(self, shown: list[tuple[View, str]]) -> list[tuple[View, str]]:
        if self.views == "all":
            return shown
        frontal = [item for item in shown if item[0].frontal]
        if self.views == "frontal" or not frontal:
            return frontal
        lateral = [item for item in shown if item[0] is View.LATERAL]
        return [frontal[0], *lateral[:1]]

    def _folder(self, patient: int, study: int) -> Path:
        return self.root / "files" / f"p{str(patient)[:2]}" / f"p{patient}" / f"s{study}"

    def _report(self, patient: int, study: int) -> str | None:
        beside = self._folder(patient, study).with_suffix(".txt")
        apart = self.root / "mimic-cxr-reports" / beside.relative_to(self.root)
        for path in (beside, apart):
            try:
                return path.read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                continue
            except OSError as error:
                raise CohortError(f"{path}: cannot be read: {error.strerror}") from None
        return None

    # Who

    def _demographics(self) -> None:
        folders = [self.root, self.root / "hosp"]
        self._people: dict[int, tuple[str, int, int]] = {}
        self._race: dict[int, str] = {}
        known = set(self._patients.tolist())
        if path := find_table(folders, "patients"):
            columns = {
                "subject_id": "int64",
                "gender": "str",
                "anchor_age": "int64",
                "anchor_year": "int64",
            }
            people = read_table(path, columns)
            refuse_duplicates(path, people, "subject_id")
            people = people[people["subject_id"].isin(known)]
            self._people = {
                subject: (gender, age, year)
                for subject, gender, age, year in zip(
                    people["subject_id"].tolist(),
                    people["gender"].tolist(),
                    people["anchor_age"].tolist(),
                    people["anchor_year"].tolist(),
                    strict=True,
                )
            }
        if path := find_table(folders, "admissions"):
            visits = read_table(path, {"subject_id": "int64", "admittime": "str", "race": "str"})
            visits = visits[visits["subject_id"].isin(known)].sort_values("admittime")
            self._race = {
                int(subject): _race(race)
                for subject, race in zip(visits["subject_id"], visits["race"], strict=True)
            }

    def _person(self, patient: int, year: int | None) -> tuple[int | None, Sex | None, str]:
        race = self._race.get(patient, UNKNOWN_GROUP)
        if patient not in self._people:
            return None, None, race
        gender, anchor_age, anchor_year = self._people[patient]
        age = None if year is None else max(0, anchor_age + year - anchor_year)
        return age, Sex(gender) if gender in tuple(Sex) else None, race


def _view(position: str) -> View:
    name = position.strip().upper()
    if name in ("LATERAL", "LL", "RL"):
        return View.LATERAL
    return View(name) if name in ("PA", "AP") else View.OTHER


def _view_order(name: str) -> int:
    return _RANK[View(name)]


def _race(text: str) -> str:
    upper = text.upper()
    for race in _RACES:
        if upper.startswith(race):
            return race
    if upper.startswith(("UNKNOWN", "UNABLE", "PATIENT DECLINED")) or not upper:
        return UNKNOWN_GROUP
    return "HISPANIC" if upper == "SOUTH AMERICAN" else "OTHER"


def _study_dates(pictures: pd.DataFrame) -> dict[int, tuple[str, ...]]:
    """Subject -> the dates of all studies, sorted."""
    once = pictures.drop_duplicates("study_id")[["subject_id", "StudyDate"]]
    dates: dict[int, list[str]] = {}
    for subject, day in zip(once["subject_id"], once["StudyDate"], strict=True):
        dates.setdefault(int(subject), []).append(str(day).partition(".")[0])
    return {subject: tuple(sorted(days)) for subject, days in dates.items()}
