"""Runs with known errors, for tests of the error analysis."""

import json

from harness.candidates.predictions import PredictionsCandidate
from harness.cohorts.manifest import ManifestCohort
from harness.report import CRITICAL
from harness.run import Request, execute

SUITE = """\
name: texts
version: 1
inference: {{replicates: 200, seed: 1}}
measures:
  - {{measure: critical_sensitivity, options: {{uncertain: {missed}}}}}
  - {{measure: hallucination_rate, options: {{uncertain: {hallucinated}}}}}
  - {{measure: findings_detection, options: {{uncertain: {missed}}}}}
  - attributes
{extra}
criteria:
  - {{id: sensitivity, measure: critical_sensitivity, value: pooled, above: 0.9}}
"""


def write_suite(folder, missed="positive", hallucinated="positive", extra=""):
    path = folder / "suite.yaml"
    path.write_text(SUITE.format(missed=missed, hallucinated=hallucinated, extra=extra), encoding="utf-8")
    return path


def text_run(folder, rows, suite=None):
    """A run over texts alone.

    rows: dicts of `findings`, `report` (None: no prediction), optional `labels`, `patient`, `images`.
    """
    folder.mkdir(exist_ok=True)
    manifest, predictions = [], []
    for number, row in enumerate(rows):
        study = f"s{number:04d}"
        manifest.append(
            {
                "study_id": study,
                "patient_id": row.get("patient", f"p{number}"),
                "findings": row["findings"],
                "images": row.get("images", []),
                **{str(name): "" for name in CRITICAL},
                **row.get("labels", {}),
            }
        )
        if row["report"] is not None:
            predictions.append({"study_id": study, "report": row["report"]})
    for name, records in (("cohort", manifest), ("predictions", predictions)):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    execute(
        Request(
            suite=suite or write_suite(folder),
            cohort=ManifestCohort(folder / "cohort.jsonl"),
            cohort_locator=f"manifest:{folder / 'cohort.jsonl'}",
            candidate=PredictionsCandidate(folder / "predictions.jsonl"),
            candidate_locator=f"predictions:{folder / 'predictions.jsonl'}",
            out=folder / "run",
        )
    )
    return folder / "run"
