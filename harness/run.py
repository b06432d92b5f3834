"""The straight line: suite, cohort and candidate to a ledger with its estimates and verdict."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from harness import __version__
from harness.annotations import Annotators, open_annotators, read_graphs, with_annotators
from harness.annotators.accuracy import labeler_accuracy
from harness.candidates.base import Candidate
from harness.cohorts.base import Cohort, case_digest
from harness.digests import code_digest, code_revision, digest_file, digest_value, environment
from harness.disparities import estimate_disparities
from harness.engines.local import run_local
from harness.errors import CohortError, SuiteError
from harness.estimates import estimate_all, slice_columns
from harness.ledger import Ledger, Readable, matrix
from harness.lock import check_lock, in_identity, keep_lock
from harness.measures.base import Measure, Pairs, Side
from harness.outcome import Outcome, Status
from harness.report import FINDINGS, State
from harness.resampling_ids import resampling_ids
from harness.study import Case, case_record
from harness.suite import Suite, read_suite
from harness.verdict import decide, settings_of

Progress = Callable[[str, int, int], None]
"""Called with the name of a step, how much of it is done, and how much there is."""

BLOCK: Final = 500
"""Studies of one part of cases and rows: some MB."""
_PART_STUDIES, _PART_SECONDS = 256, 5.0

_LABELS = pa.list_(pa.int8())
CASES: Final = pa.schema(
    [
        ("study_id", pa.string()),
        ("patient_id", pa.string()),
        ("digest", pa.string()),
        ("findings", pa.string()),
        ("impression", pa.string()),
        ("indication", pa.string()),
        ("labels", _LABELS),
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
    annotators = open_annotators(
        suite, request.cohort.name, request.annotations or request.out / "annotations"
    )
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
        _predict(ledger, request, suite, chosen, progress)
        _measure(ledger, suite, annotators, progress)
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
    manifest = [[study, digest] for (study, _), digest in zip(chosen, digests, strict=True)]
    return digest_value(manifest), digests


def conclude(ledger: Readable, suite: Suite, cohort: Cohort | None = None) -> dict[str, Any]:
    """Estimates and verdict from the ledger's rows, as plain values for results.json.

    Without a cohort the account of eligible and excluded studies is taken from the results that
    are there.
    """
    cases, rows = ledger.read("cases"), ledger.read("rows")
    predictions = ledger.read("predictions", ["study_id", "status"])
    measures = suite.build_measures()
    groups = [json.loads(text) for text in cases.column("groups").to_pylist()]
    columns, unknown = slice_columns(suite.slices, groups)
    tables = {key: matrix(rows, key) for key in measures}
    patients = resampling_ids(cases, suite.inference.seed)
    settings = settings_of(suite)
    estimates = estimate_all(measures, tables, patients, columns, settings)
    if suite.fairness is not None:
        key = suite.fairness.measure
        estimates += estimate_disparities(
            key, measures[key], tables[key], patients, columns, suite.fairness.minimum_trials, settings
        )
    estimates = with_annotators(estimates, measures, ledger.identity, tables)
    verdict = decide(suite, estimates, cases.num_rows)
    statuses = Counter(predictions.column("status").to_pylist())
    flow = _flow(cohort) if cohort is not None else ledger.results()["flow"]
    return {
        "format": 1,
        "ledger": ledger.digest(),
        "verdict": verdict.as_json(),
        "estimates": [estimate.as_json() for estimate in estimates],
        "flow": {
            **flow,
            "judged": cases.num_rows,
            "patients": len(set(patients)),
        },
        "statuses": {status.value: statuses.get(status.value, 0) for status in Status},
        "labels": _label_counts(cases.column("labels").to_pylist()),
        "groups": {
            name: dict(sorted(Counter(group.get(name, "unknown") for group in groups).items()))
            for name in sorted({name for group in groups for name in group})
        },
        "slices_without_data": unknown,
        "labeler_accuracy": labeler_accuracy(
            ledger.identity["labeler"], rows.column("candidate_labels").to_pylist()
        ),
    }


def _flow(cohort: Cohort) -> dict[str, Any]:
    return {
        "eligible": cohort.eligible,
        "excluded": [[item.reason, item.studies] for item in cohort.exclusions],
        "included": len(cohort),
    }


def _label_counts(labels: Sequence[Sequence[int]]) -> dict[str, dict[str, int]]:
    table = np.array(labels, dtype=np.int8).reshape(len(labels), len(FINDINGS))
    return {
        str(finding): {state.name.lower(): int((table[:, column] == state).sum()) for state in State}
        for column, finding in enumerate(FINDINGS)
    }


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
    suite: Suite,
    chosen: Sequence[tuple[str, int]],
    progress: Progress,
) -> None:
    timed = ledger.done("timings")
    done = ledger.done("predictions")
    todo = [index for study, index in chosen if study not in done]
    if not todo:
        return
    outcomes = run_local(
        request.candidate,
        (request.cohort[index].study for index in todo),
        workers=min(request.workers, len(todo)),
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


def _measure(ledger: Ledger, suite: Suite, annotators: Annotators, progress: Progress) -> None:
    """Labels the texts and works out every measure's rows, in blocks of sorted studies."""
    measures = suite.build_measures()
    cases, predictions = ledger.read("cases"), ledger.read("predictions")
    if cases.column("study_id") != predictions.column("study_id"):
        raise SuiteError(["the ledger's cases and predictions are not of the same studies"])
    done = ledger.done("rows")
    schema = pa.schema(
        [
            ("study_id", pa.string()),
            ("reference_labels", _LABELS),
            ("candidate_labels", _LABELS),
            *((key, pa.list_(pa.int64())) for key in measures),
        ]
    )
    total = cases.num_rows
    for start in range(0, total, BLOCK):
        block = slice(start, min(start + BLOCK, total))
        size = block.stop - start
        ids = cases.column("study_id").slice(start, size).to_pylist()
        if ids[0] in done:
            continue
        pairs = pairs_of(cases.slice(start, size), predictions.slice(start, size), suite, annotators)
        ledger.write("rows", _row_records(ids, pairs, measures), schema)
        progress("measuring", block.stop, total)


def pairs_of(cases: pa.Table, predictions: pa.Table, suite: Suite, annotators: Annotators) -> Pairs:
    """What measures see of some studies: both tables hold the same studies in the same order."""
    reference_texts = (cases.column("findings").to_pylist(), cases.column("impression").to_pylist())
    candidate_texts = (
        predictions.column("findings").to_pylist(),
        predictions.column("impression").to_pylist(),
    )
    failed = np.array([status != Status.OK for status in predictions.column("status").to_pylist()])
    candidate = Side(*candidate_texts, labels=np.empty((0, len(FINDINGS)), dtype=np.int8))
    candidate_labels = annotators.labeler.label_reports(
        candidate.texts("report"), predictions.column("report").to_pylist()
    )
    candidate_labels[failed] = State.NOT_MENTIONED
    if suite.reference_labels == "labeler":
        reference = Side(*reference_texts, labels=np.empty((0, len(FINDINGS)), dtype=np.int8))
        reference_labels = annotators.labeler.label(reference.texts("report"))
    else:
        reference_labels = np.array(cases.column("labels").to_pylist(), dtype=np.int8)
    reference = Side(*reference_texts, labels=reference_labels)
    candidate = Side(*candidate_texts, labels=candidate_labels)
    if annotators.graphs_wanted:
        graphs = read_graphs(annotators.graphs, reference.texts("report"), candidate.texts("report"), failed)
        reference, candidate = replace(reference, graphs=graphs[0]), replace(candidate, graphs=graphs[1])
    return Pairs(reference=reference, candidate=candidate, failed=failed)


def _row_records(ids: Sequence[str], pairs: Pairs, measures: dict[str, Measure]) -> list[dict[str, Any]]:
    tables = {key: measure.rows(pairs) for key, measure in measures.items()}
    return [
        {
            "study_id": study,
            "reference_labels": pairs.reference.labels[row].tolist(),
            "candidate_labels": pairs.candidate.labels[row].tolist(),
            **{key: table[row].tolist() for key, table in tables.items()},
        }
        for row, study in enumerate(ids)
    ]
