"""Estimates and verdict: what follows from a ledger's rows, without model, texts or cohort."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.annotations import with_annotators
from harness.annotators.accuracy import labeler_accuracy
from harness.cohorts.base import Cohort
from harness.disparities import estimate_disparities
from harness.estimates import estimate_all, slice_columns
from harness.ledger import Readable, matrix
from harness.measures.base import Measure, WeightedMeasure
from harness.outcome import Status
from harness.report import FINDINGS, State
from harness.resampling_ids import resampling_ids
from harness.suite import Suite
from harness.verdict import decide, settings_of

_OF_CASES: Final = ("patient_id", "cluster", "groups", "labels")
"""What is needed of the cases; evidence of a packet has `cluster`, a ledger has not."""


def conclude(ledger: Readable, suite: Suite, cohort: Cohort | None = None) -> dict[str, Any]:
    """Estimates and verdict from the ledger's rows, as plain values for results.json.

    Without a cohort the account of eligible and excluded studies is taken from the results that
    are there.
    """
    measures = suite.build_measures()
    cases = _cases(ledger)
    predictions = ledger.read("predictions", ["study_id", "status"])
    groups = _groups(cases)
    columns, unknown = slice_columns(suite.slices, groups)
    tables, candidate_labels = _rows(ledger, measures)
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
        "labels": _label_counts(matrix(cases, "labels")),
        "groups": {
            name: dict(sorted(Counter(group.get(name, "unknown") for group in groups).items()))
            for name in sorted({name for group in groups for name in group})
        },
        "slices_without_data": unknown,
        "labeler_accuracy": labeler_accuracy(ledger.identity["labeler"], candidate_labels),
    }


def _cases(ledger: Readable) -> pa.Table:
    """The cases, sorted by study, without their texts."""
    blocks = ledger.blocks("cases")
    return pa.concat_tables(
        [block.select([name for name in _OF_CASES if name in block.column_names]) for block in blocks]
    )


def _groups(cases: pa.Table) -> list[dict[str, str]]:
    """The groups of each study; those of the same groups share an object."""
    coded = cases.column("groups").combine_chunks().dictionary_encode()
    told = [json.loads(text) for text in coded.dictionary.to_pylist()]
    return [told[code] for code in coded.indices.to_numpy()]


def _rows(ledger: Readable, measures: dict[str, Measure]) -> tuple[dict[str, NDArray[Any]], NDArray[np.int8]]:
    """The rows of each measure, as narrow as they fit, and the candidate's labels; sorted by study."""
    parts: dict[str, list[NDArray[Any]]] = {key: [] for key in measures}
    labels = []
    for block in ledger.blocks("rows"):
        labels.append(matrix(block, "candidate_labels").astype(np.int8))
        for key, measure in measures.items():
            table = matrix(block, key)
            # Only sums are made of the others, and those are made wide.
            parts[key].append(table if isinstance(measure, WeightedMeasure) else _narrow(table))
    return {key: np.concatenate(parts.pop(key)) for key in measures}, np.concatenate(labels)


def _narrow(table: NDArray[np.int64]) -> NDArray[Any]:
    ends = (table.min(initial=0), table.max(initial=0))
    return table.astype(np.result_type(*(np.min_scalar_type(-1 - abs(int(end))) for end in ends)))


def _flow(cohort: Cohort) -> dict[str, Any]:
    return {
        "eligible": cohort.eligible,
        "excluded": [[item.reason, item.studies] for item in cohort.exclusions],
        "included": len(cohort),
    }


def _label_counts(table: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    return {
        str(finding): {state.name.lower(): int((table[:, column] == state).sum()) for state in State}
        for column, finding in enumerate(FINDINGS)
    }
