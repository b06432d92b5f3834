import json
from xml.etree import ElementTree

import pytest

from harness.chain import Chain
from harness.cohorts.phantom import PhantomCohort
from harness.digests import digest_file
from harness.errors import LedgerError
from harness.gate import judge, write_summaries
from harness.testing import ConstantReport, Oracle
from harness.verdict import Status
from runs import SUITE, SUITES, run, write_suite

# One of each: on 150 studies nothing shows a sensitivity above 0.999.
THREE = SUITE.replace("above: 0.9}", "above: 0.9}\n  - {id: sure, measure: critical_sensitivity, value: "
                      "Fracture, above: 0.999}")  # fmt: skip


@pytest.fixture(scope="module")
def perfect(tmp_path_factory, phantom_root):
    folder = tmp_path_factory.mktemp("perfect")
    oracle = Oracle(list(PhantomCohort(phantom_root)))
    run(write_suite(folder, THREE), phantom_root, oracle, folder / "run")
    return folder / "run"


@pytest.fixture
def failing(tmp_path, phantom_root):
    run(write_suite(tmp_path, THREE), phantom_root, ConstantReport("No pneumothorax."), tmp_path / "run")
    return tmp_path / "run"


def test_the_verdict_is_derived_again_from_the_rows(perfect):
    results, verdict = judge(perfect)
    assert {item.id: item.status for item in verdict.decisions} == {
        "sensitivity": Status.PASS, "sure": Status.NOT_EVALUATED, "failures": Status.PASS,
    }  # fmt: skip
    assert verdict.status is Status.NOT_EVALUATED
    assert verdict.status.exit_code == 3
    assert results["verdict"]["exit_code"] == 3


def test_a_failing_run(failing):
    _, verdict = judge(failing)
    assert verdict.status is Status.FAIL
    assert verdict.status.exit_code == 1


def test_junit_counts_neither_a_failure_nor_an_open_criterion_as_passed(perfect, failing):
    for folder, failures, errors in ((perfect, 0, 1), (failing, 2, 0)):
        results, verdict = judge(folder)
        paths = {path.name: path for path in write_summaries(folder / "gate", results, verdict)}
        whole = ElementTree.parse(paths["junit.xml"]).getroot()
        assert (whole.get("tests"), whole.get("failures"), whole.get("errors")) == (
            "3", str(failures), str(errors),
        )  # fmt: skip
        assert len(whole.findall(".//testcase")) == 3
        assert len(whole.findall(".//failure")) == failures
        assert len(whole.findall(".//error")) == errors


def test_markdown_and_json_say_what_was_decided_and_on_what(failing):
    results, verdict = judge(failing)
    paths = {path.name: path for path in write_summaries(failing / "gate", results, verdict)}
    page = paths["summary.md"].read_text()
    assert page.startswith("## Verdict: FAIL")
    for item in verdict.decisions:
        assert f"| {item.id} |" in page
        assert f"{item.numerator:,} / {item.denominator:,}" in page
    told = json.loads(paths["verdict.json"].read_text())
    assert told["status"] == "FAIL"
    assert told["exit_code"] == 1
    assert told["ledger"] == results["ledger"]
    assert [item["id"] for item in told["decisions"]] == ["sensitivity", "sure", "failures"]


def forge(folder, change):
    """Changes results.json and enters the new digest in the log, as somebody with the code could."""
    path = folder / "results.json"
    results = json.loads(path.read_text())
    change(results)
    path.write_text(json.dumps(results))
    Chain(folder / "log.jsonl").append("results", sha256=digest_file(path), verdict="PASS")


def test_a_verdict_that_does_not_follow_from_the_rows_is_refused(failing):
    def pass_all(results):
        for item in results["verdict"]["decisions"]:
            item["status"] = "PASS"
        results["verdict"]["status"] = "PASS"

    forge(failing, pass_all)
    with pytest.raises(LedgerError, match=r"verdict\.status does not follow from the rows"):
        judge(failing)


def test_a_number_that_does_not_follow_from_the_rows_is_refused(failing):
    def polish(results):
        results["verdict"]["decisions"][0]["numerator"] += 1

    forge(failing, polish)
    with pytest.raises(
        LedgerError, match=r"verdict\.decisions\[0\]\.numerator does not follow from the rows"
    ):
        judge(failing)


def test_a_ledger_digest_that_does_not_follow_is_refused(failing):
    forge(failing, lambda results: results.update(ledger="0" * 64))
    with pytest.raises(LedgerError, match="the ledger digest does not follow"):
        judge(failing)


def test_an_easier_suite_put_in_afterwards_is_refused(failing):
    (failing / "suite.yaml").write_text((SUITES / "ci.yaml").read_text())
    with pytest.raises(LedgerError, match="is not the suite that this run was asked"):
        judge(failing)


def test_nothing_there(tmp_path):
    with pytest.raises(LedgerError, match="no run here"):
        judge(tmp_path)


def test_markdown_lists_every_group_of_a_criterion_over_groups(tmp_path, phantom_root):
    over = ("  - {id: worst, measure: critical_sensitivity, value: pooled, above: 0.8, over: [sex], "
            "statistic: worst, minimum_trials: 10}\n")  # fmt: skip
    run(
        write_suite(tmp_path, SUITE + over),
        phantom_root,
        ConstantReport("No pneumothorax."),
        tmp_path / "run",
    )
    results, verdict = judge(tmp_path / "run")
    paths = {path.name: path for path in write_summaries(tmp_path / "gate", results, verdict)}
    page = paths["summary.md"].read_text()
    worst = verdict.decisions[-1]
    assert {group.group for group in worst.groups} == {"sex=F", "sex=M"}
    for group in worst.groups:
        assert f"| {group.group} |" in page
        assert group.reason in page
