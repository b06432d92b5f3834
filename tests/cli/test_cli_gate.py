"""`harness gate --policy` as a pipeline calls it."""

import json
import re
from xml.etree import ElementTree

import pytest

from harness.cli import main
from harness.testing import ConstantReport
from runs import SUITE, SUITES, run, write_suite

PHANTOM = SUITES / "promotion_phantom.yaml"


@pytest.fixture(scope="module")
def judged(tmp_path_factory, phantom_root):
    """A run of another suite than the policy's, without a lock."""
    folder = tmp_path_factory.mktemp("judged")
    run(write_suite(folder, SUITE), phantom_root, ConstantReport("No pneumothorax."), folder / "run")
    return folder / "run"


def gate(capsys, *words):
    code = main(["gate", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_missing_evidence_blocks_and_everything_is_written(judged, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    code, out, _ = gate(capsys, judged, "--policy", PHANTOM, "--out", tmp_path / "out")
    assert code == 1, "what failed is told before what is missing"
    assert "Promotion: FAIL" in out
    for option in ("--latency", "--fairness", "--parity", "--production"):
        assert re.search(rf"promotion_phantom\.yaml:\d+: \w+: NOT EVALUATED: .*{option}", out)
    record = json.loads((tmp_path / "out" / "promotion.json").read_text())
    assert record["exit_code"] == 1
    found = {item["id"]: item["word"] for item in record["conditions"]}
    assert found["protocol.suite"] == found["protocol.lock"] == "NOT EVALUATED"
    assert found["regulatory.sensitivity"] == "FAIL"
    assert ElementTree.parse(tmp_path / "out" / "promotion.xml").getroot().get("errors") != "0"
    assert "::error" not in out
    assert (tmp_path / "out" / "promotion.txt").read_text().strip() in out


def test_a_damaged_run_ends_in_3_with_the_page_written(judged, tmp_path, capsys):
    import shutil

    damaged = shutil.copytree(judged, tmp_path / "run")
    (damaged / "results.json").write_text("{}")
    code, out, _ = gate(capsys, damaged, "--policy", PHANTOM)
    assert code == 3
    assert "evidence.run: NOT EVALUATED" in out
    assert "was changed after it was written" in (damaged / "gate" / "promotion.md").read_text()


def test_workflow_commands_where_github_runs_it(judged, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, out, _ = gate(capsys, judged, "--policy", PHANTOM, "--out", tmp_path)
    lines = [line for line in out.splitlines() if line.startswith("::")]
    assert lines
    assert all(
        re.match(r"::(error|warning|notice) file=[^,]+,line=\d+,title=[^:]+::.+", line) for line in lines
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("RUN", "--latency", "x"), "--latency goes with --policy"),
        (("RUN", "--policy", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("RUN", "--policy", SUITES / "phantom.yaml"), "unknown key"),
        (("nowhere", "--policy", PHANTOM), "no run here"),
    ],
)
def test_bad_usage_ends_in_2(judged, capsys, words, told):
    code, _, err = gate(capsys, *(judged if word == "RUN" else word for word in words))
    assert code == 2
    assert told in err
    assert "Traceback" not in err


def test_a_policy_is_checked_like_a_suite(tmp_path, capsys):
    assert main(["check", str(PHANTOM)]) == 0
    assert "policy promotion_phantom, version 1, is well formed" in capsys.readouterr().out
    bad = tmp_path / "bad.yaml"
    bad.write_text("regulatory: {suite: none.yaml}\n")
    assert main(["check", str(bad)]) == 2
    assert "bad.yaml:1:1: name: missing; every policy needs it" in capsys.readouterr().err
