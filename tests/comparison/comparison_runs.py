"""Run folders made by hand: a ledger of one measure's rows, without texts or a candidate."""

import json

import numpy as np
import pyarrow as pa

from harness.ledger import Ledger
from harness.run import CASES, PREDICTIONS
from harness.suite import read_suite

SUITE = """\
name: pair
version: 1
cohort: {studies: STUDIES}
inference: {replicates: 2000, seed: 1}
measures: [critical_sensitivity, failure_rate, findings_f1]
criteria:
  - {id: failures, measure: failure_rate, below: 0.5}
"""
COMPARISON = """\
comparison:
  alpha: 0.01
  family:
    - {measure: critical_sensitivity, value: pooled}
    - {measure: findings_f1, value: micro-14}
  guardrails:
    - {measure: critical_sensitivity, value: Pneumothorax, margin: 0.05}
    - {measure: failure_rate, margin: 0.05}
"""


def make_run(folder, hits, patients, suite=SUITE + COMPARISON, candidate="x", failed=None, ids=None):
    """A run in which every study has a pneumothorax, found in `hits`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    n = len(hits)
    text = suite.replace("STUDIES", str(n))
    path = folder.with_suffix(".yaml")
    path.write_text(text)
    asked = read_suite(path)
    measures = asked.build_measures()
    failed = np.zeros(n, dtype=bool) if failed is None else np.asarray(failed)
    ids = [f"s{k:05d}" for k in range(n)] if ids is None else ids
    rows = {key: np.zeros((n, len(measure.columns)), dtype=np.int64) for key, measure in measures.items()}
    columns = measures["critical_sensitivity"].columns
    for cell, column in (("tp", hits), ("pos", np.ones(n, dtype=bool))):
        for value in ("Pneumothorax", "pooled"):
            rows["critical_sensitivity"][:, columns.index(f"{value}:{cell}")] = column
    rows["failure_rate"][:, 0], rows["failure_rate"][:, 1] = failed, 1
    for cell, column in (("tp", hits), ("fn", ~np.asarray(hits))):
        rows["findings_f1"][:, measures["findings_f1"].columns.index(f"Pneumothorax:{cell}")] = column
    identity = {
        "suite": asked.digest(), "cohort": json.dumps([ids, list(patients)]), "candidate": candidate,
        "candidate_kind": "made", "labeler": "none",
    }  # fmt: skip
    empty = {field.name: "" if field.type == pa.string() else [] for field in [*CASES, *PREDICTIONS]}
    schema = pa.schema([("study_id", pa.string()), *((key, pa.list_(pa.int64())) for key in rows)])
    with Ledger.writing(folder, identity, text.encode()) as ledger:
        cases = [
            {
                **{f.name: empty[f.name] for f in CASES},
                "study_id": study,
                "patient_id": patient,
                "groups": "{}",
            }
            for study, patient in zip(ids, patients, strict=True)
        ]
        ledger.write("cases", cases, CASES)
        ledger.write(
            "predictions",
            [{**{f.name: "" for f in PREDICTIONS}, "study_id": study, "status": "ok"} for study in ids],
            PREDICTIONS,
        )
        records = [
            {"study_id": study, **{key: table[k].tolist() for key, table in rows.items()}}
            for k, study in enumerate(ids)
        ]
        ledger.write("rows", records, schema)
        ledger.write_results({"ledger": ledger.digest(), "verdict": {"status": "PASS"}})
    return folder


def pair(folder, current, challenger, per_patient=2, **options):
    """Two runs of the same studies, from the hits of each."""
    patients = [f"p{k // per_patient}" for k in range(len(current))]
    return (
        make_run(folder / "a", np.asarray(current), patients, candidate="old", **options),
        make_run(folder / "b", np.asarray(challenger), patients, candidate="new", **options),
    )
