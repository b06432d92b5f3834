import numpy as np
import pytest

from harness.annotators.rules import RulesLabeler
from harness.annotators.structured import StructuredLabeler
from harness.candidates.base import Candidate
from harness.errors import HarnessError, SuiteError
from harness.report import FINDINGS, INDEX, Finding, Report, ReportedFinding, State
from harness.suite import read_suite
from runs import SUITE, run, write_suite


class Claims(Candidate):
    name = "claims"

    def digest(self):
        return "0" * 64

    def report(self, study):
        return Report(
            report_id=study.study_id,
            findings=(ReportedFinding(finding=Finding.EDEMA, confidence=1.0),),
            findings_text="No edema. Large pneumothorax.",
        )


def labels_of(*found, text="Some text."):
    report = Report(
        report_id="r",
        findings=tuple(ReportedFinding(finding=f, confidence=c) for f, c in found),
        findings_text=text,
    )
    return StructuredLabeler().label_reports([text], [report.model_dump_json()])[0]


def test_confidence_decides_the_state():
    row = labels_of((Finding.PNEUMOTHORAX, 0.5), (Finding.EDEMA, 0.49), (Finding.FRACTURE, 0.0))
    assert row[INDEX[Finding.PNEUMOTHORAX]] == State.POSITIVE
    assert row[INDEX[Finding.EDEMA]] == State.UNCERTAIN
    assert row[INDEX[Finding.FRACTURE]] == State.NEGATIVE
    assert row[INDEX[Finding.ATELECTASIS]] == State.NOT_MENTIONED
    assert row[INDEX[Finding.NO_FINDING]] == State.NOT_MENTIONED


def test_the_most_confident_entry_of_a_finding_counts():
    row = labels_of((Finding.EDEMA, 0.9), (Finding.EDEMA, 0.1))
    assert row[INDEX[Finding.EDEMA]] == State.POSITIVE


def test_no_finding_must_be_borne_out_by_the_list():
    column = INDEX[Finding.NO_FINDING]
    assert labels_of((Finding.NO_FINDING, 0.8))[column] == State.POSITIVE
    assert labels_of((Finding.SUPPORT_DEVICES, 0.8))[column] == State.POSITIVE
    assert labels_of((Finding.EDEMA, 0.0))[column] == State.POSITIVE
    assert labels_of((Finding.NO_FINDING, 0.2))[column] == State.NOT_MENTIONED
    assert labels_of((Finding.NO_FINDING, 0.9), (Finding.EDEMA, 0.2))[column] == State.NOT_MENTIONED


def test_a_report_that_lists_nothing_says_nothing_whatever_its_text():
    assert (labels_of(text="Large right pneumothorax.") == State.NOT_MENTIONED).all()
    assert (labels_of(text="No acute abnormality.") == State.NOT_MENTIONED).all()
    assert (StructuredLabeler().label_reports([""], [""]) == State.NOT_MENTIONED).all()


def test_it_labels_no_texts():
    with pytest.raises(HarnessError, match="use rules for texts"):
        StructuredLabeler().label(["text"])


def test_other_labelers_read_the_texts_of_reports():
    texts = ["No pneumothorax.", "Rib fracture."]
    rules = RulesLabeler()
    assert np.array_equal(rules.label_reports(texts, ["", ""]), rules.label(texts))


def test_a_suite_may_name_it_but_not_for_references(tmp_path):
    assert read_suite(write_suite(tmp_path, SUITE + "labeler: structured\n"))
    path = write_suite(tmp_path, SUITE + "labeler: structured\nreference_labels: labeler\n")
    with pytest.raises(SuiteError, match="set reference_labels: cohort"):
        read_suite(path)


def test_a_run_reads_the_structured_findings(phantom_root, cases, tmp_path):
    ledger = run(
        write_suite(tmp_path, SUITE + "labeler: structured\n"), phantom_root, Claims(), tmp_path / "run"
    )
    labels = np.array(ledger.read("rows").column("candidate_labels").to_pylist())
    expected = [State.POSITIVE if f is Finding.EDEMA else State.NOT_MENTIONED for f in FINDINGS]
    assert (labels == expected).all()
    known = ledger.results()["labeler_accuracy"]
    assert known == {
        "labeler": "structured|v1|positive:0.5", "measured": False, "why": "not measured for this version"
    }  # fmt: skip
