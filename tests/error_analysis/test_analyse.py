import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from error_runs import text_run, write_suite
from harness.cohorts.phantom import PhantomCohort
from harness.error_analysis import ErrorClass, analyse
from harness.error_analysis.examples import PER_CLASS, examples
from harness.error_analysis.files import ERRORS, write_files
from harness.errors import LedgerError
from harness.report import CRITICAL, Finding, join_sections
from harness.testing import Damage, Oracle, Saboteur
from real_reports import FOLDER, WHY_NOT, write_manifest, write_predictions
from runs import run
from runs import write_suite as write_plain_suite


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, phantom_root):
    folder = tmp_path_factory.mktemp("damaged")
    cases = list(PhantomCohort(phantom_root))
    faults = Damage(miss=0.4, fail=0.05, hallucinate=0.1, swap_sides=0.3, change_severity=0.3)
    run(write_plain_suite(folder), phantom_root, Saboteur(cases, faults), folder / "run")
    return folder / "run"


def test_planted_faults_are_found_and_nothing_else(tmp_path, phantom_root, damaged):
    analysis = analyse(damaged, pictures=False)
    found = {item.error_class: item for item in analysis.overall}
    assert found[ErrorClass.WRONG_LATERALITY].errors > 5
    assert found[ErrorClass.WRONG_SEVERITY].errors > 2
    missed = {
        error.finding
        for error in analysis.errors
        if error.error_class is ErrorClass.MISSED and error.status == "ok"
    }
    assert missed == {Finding.PNEUMOTHORAX}
    invented = {error.finding for error in analysis.errors if error.error_class is ErrorClass.HALLUCINATED}
    assert invented == {Finding.PNEUMOTHORAX}
    oracle = Oracle(list(PhantomCohort(phantom_root)))
    run(write_plain_suite(tmp_path), phantom_root, oracle, tmp_path / "run")
    clean = analyse(tmp_path / "run", pictures=False)
    assert [item.errors for item in clean.overall] == [0] * 5
    assert clean.errors == ()


def test_rates_of_the_run_are_the_verdicts(damaged):
    analysis = analyse(damaged, pictures=False)
    results = json.loads((damaged / "results.json").read_text())
    for item in results["estimates"]:
        if item["measure"] == "critical_sensitivity" and item["slice"] is None and item["value"] != "pooled":
            own = next(row for row in analysis.findings if row.finding == item["value"])
            assert own.missed.denominator == item["denominator"]
            assert own.missed.numerator == item["denominator"] - item["numerator"]
            assert own.missed.estimate == pytest.approx(1 - item["estimate"])
            assert own.missed.low == pytest.approx(1 - item["high"], abs=1e-6)


def test_two_analyses_are_the_same_and_json_holds_no_text(damaged, tmp_path):
    first, second = (analyse(damaged) for _ in range(2))
    assert json.dumps(first.as_json(), allow_nan=False) == json.dumps(second.as_json(), allow_nan=False)
    text = json.dumps(first.as_json())
    assert "There is" not in text
    assert "is normal" not in text


def test_files_hold_every_error(damaged, tmp_path):
    analysis = analyse(damaged, pictures=False)
    json_path, parquet_path = write_files(tmp_path, analysis)
    record = json.loads(json_path.read_text())
    assert record["format"] == 1
    assert len(record["errors"]) == len(analysis.errors)
    table = pq.read_table(parquet_path)
    assert table.schema.equals(ERRORS)
    assert table.num_rows == len(analysis.errors)
    for row, error in zip(table.to_pylist(), analysis.errors, strict=True):
        assert (row["study_id"], row["finding"], row["error_class"]) == (
            error.study_id,
            error.finding.value,
            error.error_class.value,
        )
        assert [tuple(span.values()) for span in row["reference_spans"]] == [
            (span.start, span.end, span.kind) for span in error.reference_spans
        ]


def test_examples_take_turns_and_critical_findings_come_first(damaged):
    errors = analyse(damaged, pictures=False).errors
    chosen = examples(errors)
    assert chosen == examples(errors)
    for kind in ErrorClass:
        own = [error for error in chosen if error.error_class is kind]
        there = [error for error in errors if error.error_class is kind]
        assert len(own) == min(PER_CLASS, len(there))
        flags = [error.critical for error in own]
        assert flags == sorted(flags, reverse=True)
        findings = {error.finding for error in there if error.critical}
        assert len({error.finding for error in own if error.critical}) == min(len(findings), PER_CLASS)


# What cannot be evaluated


def test_without_a_positive_or_a_text_a_class_is_not_evaluated(tmp_path):
    rows = [
        {"findings": "", "report": "No effusion.", "labels": {str(f): "0" for f in CRITICAL}}
        for _ in range(4)
    ]
    analysis = analyse(text_run(tmp_path / "none", rows))
    for item in (*analysis.critical, *analysis.overall):
        assert item.errors is None
        assert np.isnan(item.rate.estimate)
        assert item.rate.reason
    reasons = [item.rate.reason for item in analysis.overall]
    assert reasons[0] == "no study is positive in the reference"
    assert reasons[1] == "the reports claim nothing that the reference can judge"
    assert reasons[2:] == ["the references have no text to compare with"] * 3
    assert analysis.quality.reason == "the study has no picture (4)"
    assert all(row.positives == 0 for row in analysis.confusion)


def test_findings_that_the_labels_do_not_cover_are_neither_right_nor_wrong(tmp_path):
    rows = [
        {"findings": "Clear.", "report": "Pulmonary edema.", "labels": {"Fracture": "1"}} for _ in range(3)
    ]
    analysis = analyse(text_run(tmp_path / "uncovered", rows))
    assert analysis.unverifiable == 3
    edema = next(item for item in analysis.findings if item.finding is Finding.EDEMA)
    assert not edema.covered
    assert not any(error.finding is Finding.EDEMA for error in analysis.errors)


def test_every_prediction_missing_is_every_finding_missed(tmp_path):
    rows = [
        {"findings": "Left rib fracture.", "report": "x" if n == 0 else None, "labels": {"Fracture": "1"}}
        for n in range(5)
    ]
    analysis = analyse(text_run(tmp_path / "lost", rows))
    assert analysis.failed == 4
    assert [error.error_class for error in analysis.errors] == [ErrorClass.MISSED] * 5
    fracture = next(row for row in analysis.confusion if row.finding is Finding.FRACTURE)
    assert (fracture.positives, fracture.no_report) == (5, 4)


def test_an_incomplete_or_changed_run_is_refused(damaged, tmp_path):
    copy = shutil.copytree(damaged, tmp_path / "run")
    (copy / "results.json").unlink()
    with pytest.raises(LedgerError, match="not complete"):
        analyse(copy)
    other = shutil.copytree(damaged, tmp_path / "changed")
    part = next((other / "rows").glob("*.parquet"))
    part.write_bytes(part.read_bytes() + b" ")
    with pytest.raises(LedgerError, match="changed"):
        analyse(other)
    with pytest.raises(LedgerError, match="no run here"):
        analyse(tmp_path)


@pytest.mark.parametrize(
    "report",
    [
        "word " * 2_000,
        "x" * 10_000,
        "<b>No</b> &amp; pneumothorax " * 300,
        "\ufeff\u0130 \U0001f600 pneumothorax",
    ],
)
def test_long_and_odd_texts_are_read(tmp_path, report):
    rows = [
        {"findings": "Left pneumothorax.", "report": report, "labels": {"Pneumothorax": "1"}}
        for _ in range(2)
    ]
    analysis = analyse(text_run(tmp_path / "odd", rows))
    for error in analysis.errors:
        assert all(0 <= span.start < span.end <= len(report) for span in error.candidate_spans)


def test_the_run_decides_which_section_is_compared(tmp_path):
    suite = write_suite(tmp_path)
    suite.write_text(
        suite.read_text().replace(
            "  - attributes\n", "  - {measure: attributes, options: {section: findings}}\n"
        )
    )
    rows = [
        {"findings": "Left pneumothorax.", "report": "Right pneumothorax.", "labels": {"Pneumothorax": "1"}}
    ]
    analysis = analyse(text_run(tmp_path / "section", rows, suite))
    assert analysis.attribute_section == "findings"
    assert [error.error_class for error in analysis.errors] == [ErrorClass.WRONG_LATERALITY]


@pytest.mark.skipif(not FOLDER.exists(), reason=WHY_NOT)
def test_real_reports_against_those_of_other_patients(tmp_path):
    from harness.candidates.predictions import PredictionsCandidate
    from harness.cohorts.manifest import ManifestCohort
    from harness.run import Request, execute

    rows = write_manifest(tmp_path / "studies.csv")
    write_predictions(tmp_path / "other.jsonl", rows, "shuffled")
    suite = write_suite(tmp_path)
    request = Request(
        suite=suite,
        cohort=ManifestCohort(tmp_path / "studies.csv"),
        cohort_locator="manifest:studies.csv",
        candidate=PredictionsCandidate(tmp_path / "other.jsonl"),
        candidate_locator="predictions:other.jsonl",
        out=tmp_path / "run",
    )
    execute(request)
    analysis = analyse(tmp_path / "run")
    missed = analysis.critical[0]
    assert missed.rate.estimate > 0.9, "another patient's report seldom has the finding"
    assert len({(error.study_id, error.finding) for error in analysis.errors}) == len(analysis.errors) > 1_000
    texts = {row["study_id"]: join_sections((row["findings"], row["impression"])) for row in rows}
    for error in analysis.errors:
        assert all(span.end <= len(texts[error.study_id]) for span in error.reference_spans)
