"""A cohort from any CSV or JSONL file of studies."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from harness.cohorts.base import Cohort, Exclusion
from harness.errors import CohortError
from harness.records import Record, RecordFile
from harness.report import FINDINGS, Finding, State
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

_CODES: Final = MappingProxyType(
    {"1": State.POSITIVE, "0": State.NEGATIVE, "-1": State.UNCERTAIN, "": State.NOT_MENTIONED}
)
_TOLD: Final = frozenset({State.POSITIVE, State.NEGATIVE, State.UNCERTAIN})
_KNOWN: Final = (
    "study_id", "patient_id", "findings", "impression", "images", "age", "sex", "race",
    "indication", "split", *map(str, FINDINGS),
)  # fmt: skip
GROUP: Final = "group:"


class ManifestCohort(Cohort):
    """Studies from one file, with or without pictures.

    Columns (CSV) or keys (JSONL): `study_id`, `patient_id`, `findings` and/or `impression`;
    optional `images` (paths beside the file, `;`-separated in CSV, each with `PA:`, `AP:` or
    `LATERAL:` before it if known), `age`, `sex` (F, M), `race`, `indication`, `split`, any
    `group:NAME` (becomes the slice NAME), and the 14 CheXpert names with 1, 0, -1 or blank. A
    finding without a column is not covered: nothing is judged by it.

    Studies without text and without labels are left out and counted.

    Args:
        path: the file.
        split: only rows whose `split` is this; None for all.

    Raises:
        CohortError: with the line and the remedy; see the messages.
    """

    name = "manifest"

    def __init__(self, path: Path, split: str | None = None) -> None:
        self.path = path
        self._file = RecordFile(path, CohortError)
        rows: dict[str, tuple[int, int]] = {}
        """Study id -> its line, and where it begins."""
        splits: dict[str, tuple[str, int]] = {}
        columns: dict[str, None] = {}
        for line, place, row in self._file.scan():
            columns |= dict.fromkeys(row)
            study, patient = (_text(row, name) for name in ("study_id", "patient_id"))
            for name, value in (("study_id", study), ("patient_id", patient)):
                if not value:
                    raise CohortError(
                        f"{path}:{line}: no {name}; every study needs one"
                        + ("; resampling is by patient" if name == "patient_id" else "")
                    )
            if study in rows:
                raise CohortError(
                    f"{path}:{line}: study_id stands twice, first on line {rows[study][0]}; keep one"
                )
            part = sys.intern(_text(row, "split"))
            before = splits.setdefault(patient, (part, line))
            if before[0] != part:
                raise CohortError(
                    f"{path}:{line}: this patient is in split {part!r} here and in {before[0]!r} on "
                    f"line {before[1]}; a patient must lie in one split"
                )
            rows[study] = (line, place)
        if not rows:
            raise CohortError(f"{path}: holds no study")
        self._check_columns(list(columns))
        self.covered = tuple(finding for finding in FINDINGS if finding in columns)
        self.labels_source = "labels of the manifest" if self.covered else "none"
        if split is not None:
            names = sorted({part for part, _ in splits.values()})
            if split not in names:
                raise CohortError(f"{path}: no study in split {split!r}; there: {', '.join(names) or 'none'}")
        self.eligible = 0
        reasons: Counter[str] = Counter()
        self._studies: list[str] = []
        self._patients: list[str] = []
        self._splits: list[str] = []
        self._places: list[tuple[int, int]] = []
        # Each row is read again here, in order, so that whatever is wrong is told before a run begins.
        for study in sorted(rows):
            line, place = rows[study]
            row = self._file.at(place)
            part = sys.intern(_text(row, "split"))
            if split is not None and part != split:
                continue
            self.eligible += 1
            case = self._case(study, line, row)
            if case is None:
                reasons["no reference text and no labels"] += 1
                continue
            self._studies.append(study)
            self._patients.append(case.patient_id)
            self._splits.append(part)
            self._places.append((line, place))
        self.exclusions = tuple(Exclusion(reason, count) for reason, count in reasons.items())
        if not self._studies:
            raise CohortError(f"{path}: no study has a reference text or labels")

    def __len__(self) -> int:
        return len(self._studies)

    def __getitem__(self, index: int) -> Case:
        line, place = self._places[index]
        case = self._case(self._studies[index], line, self._file.at(place))
        if case is None:
            raise CohortError(f"{self.path}:{line}: was changed since the cohort was opened")
        return case

    def study_ids(self) -> list[str]:
        """Study ids, sorted as text."""
        return list(self._studies)

    def patient_ids(self) -> list[str]:
        """The patient of each study."""
        return list(self._patients)

    def splits(self) -> list[str] | None:
        """The split of each study, "none" where it has none; None where no study has one."""
        return [part or "none" for part in self._splits] if any(self._splits) else None

    def _check_columns(self, columns: list[str]) -> None:
        for name in columns:
            if name in _KNOWN or name.startswith(GROUP):
                continue
            near = difflib.get_close_matches(name, _KNOWN, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_KNOWN[:10])}, ..."
            raise CohortError(f"{self.path}: unknown column {name}; {hint} Prefix your own with {GROUP}")

    def _case(self, study: str, line: int, row: Record) -> Case | None:
        place = f"{self.path}:{line}"
        findings, impression = _text(row, "findings"), _text(row, "impression")
        states = [
            _label(place, finding, row.get(finding)) if finding in self.covered else State.NOT_COVERED
            for finding in FINDINGS
        ]
        if not findings and not impression and _TOLD.isdisjoint(states):
            return None
        images = tuple(_image(place, self.path.parent, item) for item in _images(place, row))
        age, sex = _age(place, row), _sex(place, row)
        groups = {
            "sex": sex.value if sex else UNKNOWN_GROUP,
            "age": age_group(age),
            "race": _text(row, "race") or UNKNOWN_GROUP,
            "view": "+".join(image.view.value for image in images) or "none",
        }
        for name in row:
            if name.startswith(GROUP):
                groups[name.removeprefix(GROUP)] = _text(row, name) or UNKNOWN_GROUP
        context = Context(age=age, sex=sex, indication=_text(row, "indication"))
        reference = Reference(findings, impression, np.array(states, dtype=np.int8))
        return Case(Study(study, images, context), _text(row, "patient_id"), reference, groups)


def _text(row: Record, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()


def _label(place: str, finding: Finding, value: Any) -> State:
    if isinstance(value, str) and value in _CODES:
        return _CODES[value]
    text = "" if value is None else str(value).strip().removesuffix(".0")
    if text not in _CODES:
        raise CohortError(f"{place}: {finding} must be 1, 0, -1 or blank")
    return _CODES[text]


def _images(place: str, row: Record) -> list[str]:
    value = row.get("images")
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(";") if part.strip()]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return value
    raise CohortError(f"{place}: images must be paths, as a list or separated by ;")


def _image(place: str, folder: Path, item: str) -> Image:
    prefix, colon, rest = item.partition(":")
    known = bool(colon) and prefix.upper() in tuple(View)
    path = folder / (rest if known else item)
    if not path.is_file():
        raise CohortError(f"{place}: no picture at {path}; paths are relative to the manifest")
    return Image(path, View(prefix.upper()) if known else View.OTHER)


def _age(place: str, row: Record) -> int | None:
    text = _text(row, "age").removesuffix(".0")
    if not text:
        return None
    if not text.isdigit() or int(text) > 130:
        raise CohortError(f"{place}: age must be whole years, 0 to 130, or blank")
    return int(text)


def _sex(place: str, row: Record) -> Sex | None:
    text = _text(row, "sex").upper()
    if text in ("F", "FEMALE"):
        return Sex.FEMALE
    if text in ("M", "MALE"):
        return Sex.MALE
    if text in ("", "U", "UNKNOWN", "O", "OTHER"):
        return None
    raise CohortError(f"{place}: sex must be F, M or blank")
