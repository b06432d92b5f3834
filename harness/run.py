"""The straight line: suite, cohort and candidate to a ledger with its estimates and verdict."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from harness import __version__
from harness.annotations import open_annotators
from harness.candidates.base import Candidate
from harness.cohorts.base import Cohort, case_digest
from harness.conclude import conclude
from harness.digests import code_digest, code_revision, digest_file, digest_items, environment
from harness.engines.base import Engine
from harness.engines.local import LocalEngine
from harness.errors import CohortError
from harness.ledger import BLOCK, LABELS, Ledger
from harness.lock import check_lock, in_identity, keep_lock
from harness.measuring import Rows, measure
from harness.outcome import Outcome
from harness.report import FINDINGS, State
from harness.study import Case, case_record
from harness.suite import Suite, read_suite

Progress = Callable[[str, int, int], None]
"""Called with the name of a step, how much of it is done, and how much there is."""

_PART_STUDIES, _PART_SECONDS = 256, 5.0

CASES: Final = pa.schema(
    [
        ("study_id", pa.string()),
        ("patient_id", pa.string()),
        ("digest", pa.string()),
        ("findings", pa.string()),
        ("impression", pa.string()),
        ("indication", pa.string()),
        ("labels", LABELS),
        ("groups", pa.string()),
        ("images", pa.list_(pa.string())),
        ("image_digests", pa.list_(pa.string())),
        ("details", pa.string()),
    ]
)
PREDICTIONS: Final = pa.schema(
    [
        ("study_id", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("findings", pa.string()),
        ("impression", pa.string()),
        ("report", pa.string()),
    ]
)
TIMINGS: Final = pa.schema([("study_id", pa.string()), ("latency_s", pa.float64())])


@dataclass(frozen=True, slots=True)
class Request:
    """What a run is asked to do."""

    suite: Path
    cohort: Cohort
    cohort_locator: str
    candidate: Candidate
    candidate_locator: str
    out: Path
    lock: Path | None = None
    workers: int = 1
    annotations: Path | None = None
    """Folder of the annotation cache, to share it between runs; None: in the run folder."""
    engine: Engine | None = None
    """Where the work runs; None: in `workers` processes of this machine."""


def execute(request: Request, progress: Progress = lambda step, done, total: None) -> Ledger:
    """Runs a suite to its verdict; taken up where it stopped if the folder holds this very run.

    Raises:
        HarnessError: bad input of any kind; see the tree in `harness.errors`.
    """
    suite = read_suite(request.suite)
    check_lock(request.lock, suite, None)
    chosen = choose(suite, request.cohort)
    request.candidate.check([study for study, _ in chosen])
    cohort_digest, digests = manifest_digest(request.cohort, chosen, progress)
    candidate = request.candidate.digest()
    locked = check_lock(request.lock, suite, cohort_digest, study_digests=digests, candidate=candidate)
    engine = request.engine or LocalEngine(request.workers)
    # Other machines have no part in this folder, and words of reports stay where they are kept.
    local = isinstance(engine, LocalEngine)
    cache = request.annotations or request.out / "annotations" if local else None
    annotators = open_annotators(suite, request.cohort.name, cache)
    identity = {
        "format": 1,
        "harness": __version__,
        "code": code_digest(),
        "suite": suite.digest(),
        "suite_name": suite.name,
        "suite_version": suite.version,
        "cohort": cohort_digest,
        "cohort_kind": request.cohort.name,
        "candidate": candidate,
        "candidate_kind": request.candidate.name,
        "labels_source": request.cohort.labels_source,
        **annotators.identity(),
        "lock": in_identity(locked),
    }
    with Ledger.writing(request.out, identity, request.suite.read_bytes()) as ledger:
        if not any(entry["event"] == "context" for entry in ledger.log.entries()):
            ledger.log.append(
                "context",
                environment=environment(),
                revision=code_revision(),
                cohort=request.cohort_locator,
                candidate=request.candidate_locator,
            )
        keep_lock(request.lock, ledger)
        _write_cases(ledger, request.cohort, chosen, digests)
        _predict(ledger, request, engine, suite, chosen, progress)
        rows = Rows(suite, request.cohort.name, cache, annotators)
        for done in measure(ledger, rows, engine):
            progress("measuring", done, len(chosen))
        progress("estimating", 0, 1)
        results = conclude(ledger, suite, request.cohort)
        ledger.write_results(results)
        progress("estimating", 1, 1)
    return ledger


def choose(suite: Suite, cohort: Cohort) -> list[tuple[str, int]]:
    """The studies to judge: (id, index in the cohort), sorted by id.

    Where the suite asks for fewer than there are, those with the smallest keyed hash of their id.

    Raises:
        CohortError: the cohort is empty.
    """
    ids = cohort.study_ids()
    if not ids:
        raise CohortError("the cohort holds no study; nothing can be judged")
    key = suite.inference.seed.to_bytes(8, "little")

    def draw(item: tuple[str, int]) -> bytes:
        return hashlib.blake2b(item[0].encode(), digest_size=16, key=key).digest()

    items = [(study, index) for index, study in enumerate(ids)]
    if suite.cohort.studies is not None and suite.cohort.studies < len(items):
        items = sorted(items, key=draw)[: suite.cohort.studies]
    return sorted(items)


def manifest_digest(
    cohort: Cohort,
    chosen: Sequence[tuple[str, int]],
    progress: Progress = lambda step, done, total: None,
) -> tuple[str, list[str]]:
    """The digest of all chosen studies, and each one's own, pictures included.

    Raises:
        CohortError: a picture cannot be read.
    """
    digests = []
    for done, (_, index) in enumerate(chosen, 1):
        digests.append(_digest(cohort[index]))
        progress("reading studies", done, len(chosen))
    manifest = ([study, digest] for (study, _), digest in zip(chosen, digests, strict=True))
    return digest_items(manifest), digests


def _digest(case: Case) -> str:
    try:
        return case_digest(case)
    except OSError as error:
        raise CohortError(f"{error.filename}: cannot be read: {error.strerror}") from None


def _write_cases(
    ledger: Ledger, cohort: Cohort, chosen: Sequence[tuple[str, int]], digests: Sequence[str]
) -> None:
    done = ledger.done("cases")
    todo = [
        (index, digest) for (study, index), digest in zip(chosen, digests, strict=True) if study not in done
    ]
    for start in range(0, len(todo), BLOCK):
        block = todo[start : start + BLOCK]
        records = []
        for index, digest in block:
            case = cohort[index]
            labels = case.reference.labels
            records.append(
                {
                    "study_id": case.study.study_id,
                    "patient_id": case.patient_id,
                    "digest": digest,
                    "findings": case.reference.findings,
                    "impression": case.reference.impression,
                    "indication": case.study.context.indication,
                    "labels": [State.NOT_COVERED] * len(FINDINGS) if labels is None else labels.tolist(),
                    "groups": json.dumps(dict(case.groups), sort_keys=True),
                    "images": [str(image.path) for image in case.study.images],
                    "image_digests": [digest_file(image.path) for image in case.study.images],
                    "details": json.dumps(case_record(case)["details"]),
                }
            )
        ledger.write("cases", records, CASES)


def _predict(
    ledger: Ledger,
    request: Request,
    engine: Engine,
    suite: Suite,
    chosen: Sequence[tuple[str, int]],
    progress: Progress,
) -> None:
    timed = ledger.done("timings")
    done = ledger.done("predictions")
    todo = [index for study, index in chosen if study not in done]
    if not todo:
        return
    outcomes = engine.ask(
        request.candidate,
        (request.cohort[index].study for index in todo),
        timeout_s=suite.execution.timeout_s,
        start_timeout_s=suite.execution.start_timeout_s,
    )
    count = len(done)
    progress("asking the candidate", count, len(chosen))
    for part in _parts(outcomes):
        # Times first: a study whose prediction is written is never asked again.
        times = [
            {"study_id": item.study_id, "latency_s": item.latency_s}
            for item in part
            if item.study_id not in timed
        ]
        if times:
            ledger.write("timings", times, TIMINGS)
        ledger.write("predictions", [_prediction(item) for item in part], PREDICTIONS)
        count += len(part)
        progress("asking the candidate", count, len(chosen))


def _parts(outcomes: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    """Outcomes in parts of some seconds' work, so that a crash loses no more than that."""
    part: list[Outcome] = []
    began = time.monotonic()
    for outcome in outcomes:
        part.append(outcome)
        if len(part) >= _PART_STUDIES or time.monotonic() - began > _PART_SECONDS:
            yield part
            part, began = [], time.monotonic()
    if part:
        yield part


def _prediction(outcome: Outcome) -> dict[str, Any]:
    report = outcome.report
    return {
        "study_id": outcome.study_id,
        "status": outcome.status.value,
        "error": outcome.error,
        "findings": report.findings_text if report else "",
        "impression": report.impression if report else "",
        # The candidate's own account of its time is left out: it differs from run to run.
        "report": report.model_dump_json(exclude={"processing_time_ms"}) if report else "",
    }
