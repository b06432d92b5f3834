import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from release import TODAY
from test_promotion_decide import failing, with_waivers

from harness.promotion import decide
from harness.promotion.outputs import annotation_lines, junit, markdown, write_promotion
from harness.promotion.policy import Statement
from harness.promotion_record import RECORD, read_promotion
from harness.status import Status

EVIL = "<script>alert(1)</script> | a\n::error::b | 50 %"


@pytest.fixture(scope="module")
def mixed(whole):
    """One of each word: FAIL, NOT EVALUATED, WAIVED, STATED, PASS; and a waiver that does nothing."""
    policy, evidence = whole
    statement = Statement(by="Ann Lead", date=TODAY, reason=EVIL)
    part = policy.asked.non_inferiority.model_copy(update={"run": None, "first_release": statement})
    policy = replace(policy, asked=policy.asked.model_copy(update={"non_inferiority": part}))
    policy = with_waivers(policy, ["regulatory.failures", "nothing"])
    evidence = replace(
        failing(evidence, ["failures", "hallucination"]), latency=None, production=None, comparison=None
    )
    return policy, decide(policy, evidence, TODAY)


def test_each_word_is_there(mixed):
    _, promotion = mixed
    assert {item.word for item in promotion.conditions} == {
        "FAIL", "NOT EVALUATED", "WAIVED", "STATED", "PASS",
    }  # fmt: skip
    assert promotion.status is Status.FAIL
    assert promotion.headline == "FAIL with 1 waiver"


def test_markdown_says_everything_and_cannot_be_broken(mixed):
    _, promotion = mixed
    page = markdown(promotion)
    assert page.startswith("## Promotion: FAIL with 1 waiver\n")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for item in promotion.conditions:
        (row,) = (line for line in rows if line.startswith(f"| {item.id} | **{item.word}** |"))
        assert item.reason.replace("|", "").split("<")[0] in row.replace("\\|", "")
    assert "waived by Ann Lead until 2026-06-01: Known." in page
    assert "does nothing: there is no such condition" in page
    assert "<script>" not in page
    assert all(len(row.replace("\\|", "").split("|")) in (5, 7, 8) for row in rows), "cells stay cells"
    for cited in promotion.evidence:
        assert cited.ledger[:12] in page
    assert promotion.digest in page


def test_junit_counts_a_waived_condition_as_no_pass(mixed):
    _, promotion = mixed
    whole = ElementTree.fromstring(junit(promotion))
    words = [item.word for item in promotion.conditions]
    assert {key: whole.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": str(len(words)),
        "failures": str(words.count("FAIL")),
        "errors": "1",
        "skipped": "2",
    }
    assert len(whole.findall(".//failure")) == words.count("FAIL") > 0
    assert [item.get("message")[:6] for item in whole.findall(".//skipped")] == ["WAIVED", "STATED"]
    assert len(whole.findall(".//testcase")) == len(words)


def test_annotations_lead_to_the_line_that_asks(mixed):
    policy, promotion = mixed
    lines = list(annotation_lines(promotion, policy))
    assert len(lines) == sum(item.word != "PASS" for item in promotion.conditions) + 1
    assert all(line.startswith(f"{policy.path}:") and "\n" not in line for line in lines)
    assert (
        f"{policy.path}:{policy.lines['latency']}: latency: NOT EVALUATED: no run of the latency"
        in "\n".join(lines)
    )
    assert "waiver of nothing by Ann Lead does nothing" in lines[-1]


def test_workflow_commands_of_github(mixed):
    policy, promotion = mixed
    lines = list(annotation_lines(promotion, policy, github=True))
    levels = [line.split(" ")[0] for line in lines]
    assert set(levels) == {"::error", "::warning", "::notice"}
    for line in lines:
        head, _, text = line[2:].partition("::")
        assert [part.partition("=")[0] for part in head.partition(" ")[2].split(",")] == [
            "file",
            "line",
            "title",
        ]
        assert text
        assert "\n" not in line
        assert "%" not in text.replace("%25", "")
    waived = next(line for line in lines if "WAIVED" in line)
    assert waived.startswith("::warning ")


def test_the_json_file_bears_its_digest(mixed, tmp_path):
    policy, promotion = mixed
    paths = write_promotion(tmp_path / "gate", promotion, policy)
    assert [path.name for path in paths] == [
        "promotion.json", "promotion.md", "promotion.xml", "promotion.txt",
    ]  # fmt: skip
    record = read_promotion(tmp_path / "gate" / RECORD)
    assert record == promotion.as_json()
    assert record["exit_code"] == 1
    assert json.loads(paths[0].read_text())["digest"] == promotion.digest
