"""Writes a phantom cohort to disk in the very layout of MIMIC-CXR-JPG, with the truth beside it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import multiprocessing
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from harness.digests import canonical_json, digest_file
from harness.errors import CohortError
from harness.phantom.language import Description, describe
from harness.phantom.render import render_scene
from harness.phantom.sampling import Visit, patient_visits
from harness.report import FINDINGS, Finding, State
from harness.study import View

VERSION: Final = 1
"""Rises whenever the same seed gives other bytes."""

LABELS: Final = tuple(sorted(FINDINGS))
"""MIMIC-CXR's label columns are in alphabetical order."""
_CODES: Final = {
    State.POSITIVE: 1,
    State.NEGATIVE: 0,
    State.UNCERTAIN: -1,
    State.NOT_MENTIONED: None,
}
_VIEW_NAMES: Final = {
    View.PA: "postero-anterior",
    View.AP: "antero-posterior",
    View.LATERAL: "lateral",
}
_BATCH: Final = 16

_METADATA: Final = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition",
    "Rows", "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
_PATIENTS: Final = ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod")
_ADMISSIONS: Final = (
    "subject_id", "hadm_id", "admittime", "dischtime", "deathtime", "admission_type",
    "admit_provider_id", "admission_location", "discharge_location", "insurance", "language",
    "marital_status", "race", "edregtime", "edouttime", "hospital_expire_flag",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Job:
    root: Path
    seed: int
    size: int
    visit: Visit
    study_id: int
    test_share: float


def make_phantom(
    out: Path,
    studies: int,
    seed: int,
    *,
    test_share: float = 0.2,
    image_size: int = 512,
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Generates a cohort: `studies` studies of as many patients as that takes.

    The folder holds what MIMIC-CXR-JPG 2.0.0 and MIMIC-IV hold (tables, pictures, report texts),
    `truth.jsonl.gz` (states, signs, boxes, and the exact RadGraph of each report), and
    `phantom.json` (how it was made). The same arguments give the same bytes, on any number of
    workers; a larger cohort of the same seed begins with the same patients.

    Args:
        out: the folder; if it holds this very cohort already, nothing is done.
        studies: how many.
        seed: of everything.
        test_share: share of patients in the test split; a tenth of the rest is validation.
        image_size: pixels along one side.
        workers: processes.
        progress: called with the number of studies done so far.

    Raises:
        CohortError: the folder holds something else, or the numbers make no sense.
    """
    if studies < 1 or seed < 0 or not 0 <= test_share <= 1 or image_size < 64:
        raise CohortError("phantom: needs studies >= 1, seed >= 0, 0 <= test share <= 1, size >= 64")
    recipe = {"version": VERSION, "studies": studies, "seed": seed, "test_share": test_share,
              "image_size": image_size}  # fmt: skip
    if out.exists():
        if _recipe_of(out) == recipe:
            return
        raise CohortError(f"{out}: exists and is not this cohort; remove it or name another folder")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    records = []
    jobs = _jobs(partial, studies, seed, image_size, test_share)
    for record in _run(jobs, workers):
        records.append(record)
        progress(len(records))
    _write_tables(partial, records)
    truth = partial / "truth.jsonl.gz"
    _write_gzip(truth, "".join(canonical_json(record["truth"]) + "\n" for record in records))
    recipe_text = json.dumps({**recipe, "truth_sha256": digest_file(truth)}, indent=1)
    (partial / "phantom.json").write_text(recipe_text + "\n")
    partial.rename(out)


def _recipe_of(folder: Path) -> dict[str, Any] | None:
    try:
        recipe: dict[str, Any] = json.loads((folder / "phantom.json").read_text())
    except (OSError, ValueError):
        return None
    recipe.pop("truth_sha256", None)
    return recipe


def _jobs(root: Path, studies: int, seed: int, size: int, test_share: float) -> Iterator[_Job]:
    patients = (patient_visits(seed, patient) for patient in range(studies))
    visits = (visit for patient in patients for visit in patient)
    for number, visit in enumerate(islice(visits, studies)):
        yield _Job(root, seed, size, visit, 50000000 + 7 * number, test_share)


def _run(jobs: Iterator[_Job], workers: int) -> Iterator[dict[str, Any]]:
    if workers <= 1:
        yield from map(_make_study, jobs)
        return
    # Spawned, not forked: the caller may have threads, and a fork of those can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(_make_study, list(jobs), chunksize=_BATCH)


def _split(seed: int, patient: int, test_share: float) -> str:
    draw = np.random.default_rng([seed, 3, patient]).random()
    if draw < test_share:
        return "test"
    return "validate" if draw < test_share + 0.1 * (1 - test_share) else "train"


def _make_study(job: _Job) -> dict[str, Any]:
    visit, scene = job.visit, job.visit.scene
    seed = (job.seed, 4, visit.patient, visit.visit)
    words = describe(scene, np.random.default_rng([*seed, 99]))
    subject = 10000000 + 11 * visit.patient
    folder = job.root / "files" / f"p{str(subject)[:2]}" / f"p{subject}" / f"s{job.study_id}"
    folder.mkdir(parents=True)
    folder.with_suffix(".txt").write_text(_report_text(words, scene.views))
    images, boxes = [], dict[Finding, dict[str, Any]]()
    for picture in render_scene(scene, seed, job.size):
        name = hashlib.sha256(f"{seed}{picture.view}".encode()).hexdigest()[:40]
        dicom = "-".join(name[start : start + 8] for start in range(0, 40, 8))
        Image.fromarray(picture.pixels).save(folder / f"{dicom}.jpg", quality=90)
        images.append({"dicom_id": dicom, "view": picture.view.value})
        for finding, box in picture.boxes.items():
            boxes.setdefault(finding, {})[picture.view.value] = list(box)
    states = {finding: _CODES[state] for finding, state in words.states.items()}
    return {
        "subject_id": subject,
        "study_id": job.study_id,
        "split": _split(job.seed, visit.patient, job.test_share),
        "when": visit.when.strftime("%Y%m%d"),
        "year": visit.when.year,
        "size": job.size,
        "images": images,
        "truth": {
            "study_id": job.study_id,
            "subject_id": subject,
            "states": states,
            "signs": [
                {
                    "finding": sign.finding,
                    "severity": sign.severity,
                    "laterality": sign.laterality,
                    "zone": sign.zone,
                    "certainty": sign.certainty,
                    "course": sign.course,
                    "kind": sign.kind,
                    "boxes": boxes.get(sign.finding, {}),
                }
                for sign in scene.signs
            ],
            "demographics": {"age": scene.age, "sex": scene.sex, "race": scene.race},
            "edge_case": scene.edge_case,
            "quality": {
                "exposure": scene.exposure,
                "noise": scene.noise,
                "rotation": scene.rotation,
            },
            "graph": words.graph,
        },
    }


def _report_text(words: Description, views: Sequence[View]) -> str:
    portable = View.AP in views
    name = "CHEST (PORTABLE AP)" if portable else "CHEST (" + " AND ".join(
        "LAT" if view is View.LATERAL else view.value for view in views) + ")"  # fmt: skip
    sections = [
        ("EXAMINATION", name),
        ("INDICATION", words.indication),
        ("COMPARISON", words.comparison),
    ]
    if words.findings:
        sections.append(("FINDINGS", words.findings))
    sections.append(("IMPRESSION", words.impression))
    body = "\n \n".join(
        textwrap.fill(f"{title}:  {text}", 78, initial_indent=" ", subsequent_indent=" ")
        for title, text in sections
    )
    return f"{' ' * 33}FINAL REPORT\n{body}\n"


def _write_tables(root: Path, records: Sequence[dict[str, Any]]) -> None:
    pictures = [(record, image) for record in records for image in record["images"]]
    _write_csv(
        root / "mimic-cxr-2.0.0-split.csv.gz",
        ("dicom_id", "study_id", "subject_id", "split"),
        ((image["dicom_id"], r["study_id"], r["subject_id"], r["split"]) for r, image in pictures),
    )
    _write_csv(
        root / "mimic-cxr-2.0.0-metadata.csv.gz",
        _METADATA,
        (
            (image["dicom_id"], r["subject_id"], r["study_id"],
             "CHEST (PORTABLE AP)" if image["view"] == "AP" else "CHEST (PA AND LAT)", image["view"],
             r["size"], r["size"], r["when"], "120000.000",
             "CHEST (PORTABLE AP)" if image["view"] == "AP" else "CHEST (PA AND LAT)",
             _VIEW_NAMES[View(image["view"])], "Erect")
            for r, image in pictures
        ),
    )  # fmt: skip
    labels = [
        (r["subject_id"], r["study_id"], *(_label(r["truth"]["states"][name]) for name in LABELS))
        for r in records
    ]
    for labeler in ("chexpert", "negbio"):
        path = root / f"mimic-cxr-2.0.0-{labeler}.csv.gz"
        _write_csv(path, ("subject_id", "study_id", *LABELS), labels)
    last = {record["subject_id"]: record for record in records}
    _write_csv(
        root / "patients.csv.gz",
        _PATIENTS,
        (
            (subject, r["truth"]["demographics"]["sex"], r["truth"]["demographics"]["age"], r["year"],
             "2014 - 2016", "")
            for subject, r in last.items()
        ),
    )  # fmt: skip
    _write_csv(root / "admissions.csv.gz", _ADMISSIONS, map(_admission, last.values()))


def _admission(record: dict[str, Any]) -> tuple[Any, ...]:
    day = f"{record['when'][:4]}-{record['when'][4:6]}-{record['when'][6:]}"
    subject = record["subject_id"]
    race = record["truth"]["demographics"]["race"]
    return (subject, subject + 10000000, f"{day} 08:00:00", f"{day} 20:00:00", "", "EW EMER.", "",
            "EMERGENCY ROOM", "HOME", "Other", "English", "", race, "", "", 0)  # fmt: skip


def _label(code: int | None) -> str:
    return "" if code is None else f"{code:.1f}"


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    _write_gzip(path, buffer.getvalue())


def _write_gzip(path: Path, text: str) -> None:
    with (
        path.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed,
    ):
        packed.write(text.encode())
