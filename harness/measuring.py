"""Texts to rows: labels read from them, and what every measure makes of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.annotations import Annotators, open_annotators, read_graphs
from harness.engines.base import Engine
from harness.errors import HarnessError, SuiteError
from harness.ledger import LABELS, Ledger
from harness.measures.base import Measure, Pairs, Side
from harness.outcome import Status
from harness.report import FINDINGS, State
from harness.suite import Suite

Block = tuple[pa.Table, pa.Table]
"""Cases and predictions of the same studies, sorted by study."""


@dataclass(slots=True)
class Rows:
    """Works out a block's rows, in whatever process; the annotators are opened anew in each."""

    suite: Suite
    cohort: str
    """Its kind."""
    cache: Path | None
    annotators: Annotators | None = field(repr=False)
    identity: Mapping[str, str] = field(init=False)
    measures: dict[str, Measure] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        assert self.annotators is not None  # noqa: S101  # left out by those that unpickle only
        self.identity = self.annotators.identity()
        self.measures = self.suite.build_measures()

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.suite, self.cohort, self.cache, dict(self.identity))

    @property
    def heavy(self) -> bool:
        """Whether a model reads the texts, of which one a machine or GPU is enough."""
        parts = (self.annotators.labeler, self.annotators.graphs) if self.annotators else ()
        return any(part is not None and part.heavy for part in parts)

    def __call__(self, block: Block) -> list[dict[str, Any]]:
        """A record a study, for the ledger's `rows`."""
        assert self.annotators is not None  # noqa: S101
        cases, predictions = block
        pairs = pairs_of(cases, predictions, self.suite, self.annotators)
        return _row_records(cases.column("study_id").to_pylist(), pairs, self.measures)


def _opened(suite: Suite, cohort: str, cache: Path | None, identity: dict[str, str]) -> Rows:
    found = Rows(suite, cohort, cache, open_annotators(suite, cohort, cache))
    if found.identity != identity:
        raise HarnessError("a worker has other annotators than this machine; install the same weights there")
    return found


def measure(ledger: Ledger, rows: Rows, engine: Engine) -> Iterator[int]:
    """Works out and writes the rows that are not there yet; gives how many studies have theirs.

    Raises:
        SuiteError: cases and predictions are not of the same studies.
    """
    schema = pa.schema(
        [
            ("study_id", pa.string()),
            ("reference_labels", LABELS),
            ("candidate_labels", LABELS),
            *((key, pa.list_(pa.int64())) for key in rows.measures),
        ]
    )
    done = ledger.done("rows")
    count = len(done)
    for records in engine.map(rows, _blocks(ledger, done), heavy=rows.heavy):
        ledger.write("rows", records, schema)
        count += len(records)
        yield count


def _blocks(ledger: Ledger, done: set[str]) -> Iterator[Block]:
    for cases, predictions in zip_longest(ledger.blocks("cases"), ledger.blocks("predictions")):
        ids = [None if block is None else block.column("study_id") for block in (cases, predictions)]
        if ids[0] != ids[1]:
            raise SuiteError(["the ledger's cases and predictions are not of the same studies"])
        if cases.column("study_id")[0].as_py() not in done:
            yield cases, predictions


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
