"""Writes a phantom cohort to disk in the very layout of MIMIC-CXR-JPG, with the truth beside it."""

from __future__ import annotations

import contextlib
import csv
import ctypes
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import tempfile
import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from harness.digests import digest_file
from harness.errors import CohortError
from harness.phantom.language import Description, describe
from harness.phantom.render import render_scene
from harness.phantom.sampling import Visit, patient_visits
from harness.report import FINDINGS, Finding, State
from harness.study import View

VERSION: Final = 2
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
    workers: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Generates a cohort: `studies` studies of as many patients as that takes.

    It is made beside `out` and moved there when it is whole: an interrupted make leaves nothing.
    The folder holds what MIMIC-CXR-JPG 2.0.0 and MIMIC-IV hold (tables, pictures, report texts),
    `truth.jsonl.gz` (states, signs, boxes, and the exact RadGraph of each report), and
    `phantom.json` (how it was made). The same arguments give the same bytes, on any number of
    workers; a larger cohort of the same seed begins with the same patients.

    Args:
        out: the folder; if it holds this very cohort already, nothing is done.
        studies: how many.
        seed: of everything.
        test_share: share of patients in the test split; an eighth of the rest is validation.
        image_size: pixels along one side.
        workers: processes; None for one a core.
        progress: called with the number of studies done so far.

    Raises:
        CohortError: the folder holds something else or cannot be written, or the numbers make no
            sense.
    """
    if studies < 1 or seed < 0 or not 0 <= test_share <= 1 or image_size < 64 or workers == 0:
        raise CohortError(
            "phantom: needs studies >= 1, seed >= 0, 0 <= test share <= 1, size >= 64, workers >= 1"
        )
    recipe = {"version": VERSION, "studies": studies, "seed": seed, "test_share": test_share,
              "image_size": image_size}  # fmt: skip
    if out.exists():
        if _holds(out, recipe):
            return
        raise CohortError(f"{out}: exists and is not this whole cohort; remove it or name another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            partial = Path(scratch) / "cohort"
            partial.mkdir()
            jobs = _jobs(partial, studies, seed, image_size, test_share)
            _write_cohort(partial, recipe, _run(jobs, workers or _cores()), progress)
            partial.rename(out)
    except OSError as error:
        raise CohortError(
            f"{out}: cannot be written: {error.strerror}; free space there or name another folder"
        ) from None


def _holds(folder: Path, recipe: dict[str, Any]) -> bool:
    """Whether the folder is the cohort of this recipe, with its truth unchanged and no picture gone."""
    try:
        made: dict[str, Any] = json.loads((folder / "phantom.json").read_text())
        return (
            {key: made[key] for key in recipe} == recipe
            and digest_file(folder / "truth.jsonl.gz") == made["truth_sha256"]
            and sum(1 for _ in folder.glob("files/*/*/*/*.jpg")) == made["counts"]["images"]
            and sum(1 for _ in folder.glob("files/*/*/*.txt")) == made["counts"]["studies"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_cohort(
    root: Path,
    recipe: dict[str, Any],
    records: Iterator[dict[str, Any]],
    progress: Callable[[int], None],
) -> None:
    rows = []
    truth = root / "truth.jsonl.gz"
    with _gzip(truth) as lines:
        for record in records:
            # Keys in their own order, not sorted: the first box is that of the first picture.
            line = json.dumps(record["truth"], separators=(",", ":"), allow_nan=False)
            lines.write(line.encode() + b"\n")
            del record["truth"]  # by far the largest part; the tables need none of it
            rows.append(record)
            progress(len(rows))
    _write_tables(root, rows)
    counts = {
        "studies": len(rows),
        "patients": len({row["subject_id"] for row in rows}),
        "images": sum(len(row["images"]) for row in rows),
    }
    made = {**recipe, "counts": counts, "truth_sha256": digest_file(truth)}
    (root / "phantom.json").write_text(json.dumps(made, indent=1) + "\n")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _jobs(root: Path, studies: int, seed: int, size: int, test_share: float) -> Iterator[_Job]:
    patients = (patient_visits(seed, patient) for patient in range(studies))
    visits = (visit for patient in patients for visit in patient)
    for number, visit in enumerate(islice(visits, studies)):
        yield _Job(root, seed, size, visit, 50000000 + 7 * number, test_share)


def _run(jobs: Iterator[_Job], workers: int) -> Iterator[dict[str, Any]]:
    if workers == 1:
        yield from map(_make_study, jobs)
        return
    # Spawned, not forked: the caller may have threads, and a fork of those can hang.
    context = multiprocessing.get_context("spawn")
    batches = iter(lambda: list(islice(jobs, _BATCH)), [])
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_keep_freed_memory) as pool:
        waiting = deque(pool.submit(_make_studies, batch) for batch in islice(batches, 3 * workers))
        try:
            while waiting:  # a batch goes in as one comes out: never more in flight than this
                yield from waiting.popleft().result()
                waiting.extend(pool.submit(_make_studies, batch) for batch in islice(batches, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _keep_freed_memory() -> None:
    """Has glibc keep what is freed: else each plane of a megabyte is new pages, a quarter of the time."""
    mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h
    with contextlib.suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, 1 << 28)
        libc.mallopt(trim_threshold, 1 << 30)


def _make_studies(jobs: Sequence[_Job]) -> list[dict[str, Any]]:
    return [_make_study(job) for job in jobs]


def _split(seed: int, patient: int, test_share: float) -> str:
    draw = np.random.default_rng([seed, 3, patient]).random()
    if draw < test_share:
        return "test"
    return "validate" if draw < test_share + 0.125 * (1 - test_share) else "train"


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
        "when": visit.when,
        "minute": int(np.random.default_rng([*seed, 98]).integers(24 * 60)),
        "size": job.size,
        "images": images,
        "examination": _examination(scene.views),
        "person": (scene.sex, scene.age, scene.race),
        "states": states,
        "truth": {
            "study_id": job.study_id,
            "subject_id": subject,
            "states": states,
            "present": [sign.finding for sign in scene.signs],
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


def _examination(views: Sequence[View]) -> str:
    if View.AP in views:
        return "CHEST (PORTABLE AP)"
    return "CHEST (PA AND LAT)" if View.LATERAL in views else "CHEST (PA)"


def _report_text(words: Description, views: Sequence[View]) -> str:
    sections = [
        ("EXAMINATION", _examination(views)),
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
             r["examination"], image["view"], r["size"], r["size"], f"{r['when']:%Y%m%d}",
             f"{r['minute'] // 60:02d}{r['minute'] % 60:02d}00.000", r["examination"],
             _VIEW_NAMES[View(image["view"])], "Recumbent" if image["view"] == "AP" else "Erect")
            for r, image in pictures
        ),
    )  # fmt: skip
    labels = [
        (r["subject_id"], r["study_id"], *(_label(r["states"][name]) for name in LABELS)) for r in records
    ]
    for labeler in ("chexpert", "negbio"):
        path = root / f"mimic-cxr-2.0.0-{labeler}.csv.gz"
        _write_csv(path, ("subject_id", "study_id", *LABELS), labels)
    first: dict[int, dict[str, Any]] = {}
    for record in records:
        first.setdefault(record["subject_id"], record)
    _write_csv(
        root / "patients.csv.gz",
        _PATIENTS,
        ((subject, *r["person"][:2], r["when"].year, "2014 - 2016", "") for subject, r in first.items()),
    )
    _write_csv(root / "admissions.csv.gz", _ADMISSIONS, map(_admission, records))


def _admission(record: dict[str, Any]) -> tuple[Any, ...]:
    day, race = record["when"], record["person"][2]
    return (record["subject_id"], record["study_id"] - 30000000, f"{day} 00:00:00", f"{day} 23:59:00", "",
            "EW EMER.", "", "EMERGENCY ROOM", "HOME", "Other", "English", "", race, "", "", 0)  # fmt: skip


def _label(code: int | None) -> str:
    return "" if code is None else f"{code:.1f}"


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    with _gzip(path) as packed:
        packed.write(buffer.getvalue().encode())


@contextmanager
def _gzip(path: Path) -> Iterator[gzip.GzipFile]:
    """A gzip file whose bytes hold neither time nor name."""
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed:
        yield packed
