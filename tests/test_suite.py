import json
import shutil

import jsonschema
import pytest
import yaml

from harness.errors import SuiteError
from harness.suite import read_suite, suite_schema
from runs import REPORT_SUITES, SUITE, SUITES, write_suite


def problems(tmp_path, text):
    with pytest.raises(SuiteError) as caught:
        read_suite(write_suite(tmp_path, text))
    return [problem.split("suite.yaml:")[1] for problem in caught.value.problems]


@pytest.mark.parametrize("path", REPORT_SUITES, ids=lambda path: path.stem)
def test_shipped_suites_are_right_and_fit_their_schema(path):
    suite = read_suite(path)
    assert suite.name == path.stem
    jsonschema.validate(yaml.safe_load(path.read_text()), suite_schema())


def test_the_regulatory_suite_asks_what_the_protocol_asks():
    suite = read_suite(SUITES / "regulatory.yaml")
    assert suite.cohort.studies == 2000
    found = {(c.measure, c.value): (c.comparison, c.threshold) for c in suite.criteria}
    for finding in ("Pneumothorax", "Fracture", "Lung Lesion", "Pleural Effusion"):
        assert found["critical_sensitivity", finding] == ("above", 0.98)
    assert found["hallucination_rate", "per-claim"] == ("below", 0.03)


def test_the_rehearsal_asks_what_the_regulatory_suite_asks():
    kept = {"name", "title", "description", "graphs"}
    regulatory, phantom = (
        read_suite(SUITES / f"{name}.yaml").model_dump(exclude=kept) for name in ("regulatory", "phantom")
    )
    assert phantom == regulatory


def test_the_digest_is_of_what_is_asked_not_of_the_layout(tmp_path):
    digest = read_suite(write_suite(tmp_path)).digest()
    again = "# a comment\n" + SUITE.replace("name: small\n", "name:   small   # more\n")
    assert read_suite(write_suite(tmp_path, again)).digest() == digest
    for old, new in (("0.9}", "0.91}"), ("seed: 1", "seed: 2"), ("[sex]", "[sex, age]"), ("bleu4, ", "")):
        assert old in SUITE
        assert read_suite(write_suite(tmp_path, SUITE.replace(old, new))).digest() != digest


def test_all_problems_come_at_once_with_place_and_remedy(tmp_path):
    text = SUITE.replace("above: 0.9", "at_leats: 0.9").replace("version: 1", "version: one")
    text = text.replace("below: 0.1", "below: 98").replace("timeout_s: 20", "timeout_s: 0")
    assert problems(tmp_path, text) == [
        "2:1: version: input should be a valid integer (it is 'one')",
        "5:13: execution.timeout_s: input should be greater than 0 (it is 0)",
        "9:69: criteria[0].at_leats: unknown key; did you mean at_least?",
        "10:43: criteria[1].below: 98 is not a fraction between 0 and 1; for 98 % write 0.98",
    ]


def test_empty_lists_are_told(tmp_path):
    head, _, _ = SUITE.partition("measures:")
    assert problems(tmp_path, head + "measures: []\ncriteria: []\n") == [
        "6:1: measures: needs at least one entry",
        "7:1: criteria: needs at least one entry",
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("above: 0.9", "above: 98", "98 is not a fraction between 0 and 1; for 98 % write 0.98"),
        ("above: 0.9", "above: 0", "0 is not a fraction"),
        ("above: 0.9", "above: .nan", "criteria[0].above"),
        ("above: 0.9", "above: 0.9, below: 0.99", "exactly one of above, at_least, below, at_most"),
        (", above: 0.9", "", "exactly one of"),
        ("value: pooled", "value: Pneumothoraks", "no value 'Pneumothoraks'; did you mean Pneumothorax?"),
        ("measure: failure_rate", "measure: failure_rat", "did you mean failure_rate?"),
        ("rougeL]", "rougel]", "rougel: no such measure; did you mean rougeL?"),
        ("rougeL]", "rougeL, rougeL]", "rougeL stands twice"),
        ("rougeL]", "{measure: rougeL, options: {token: raw}}]", "unknown option; did you mean tokens?"),
        ("rougeL]", "{measure: rougeL, options: {section: plan}}]", "section must be"),
        ("id: failures", "id: sensitivity", "sensitivity stands twice"),
        ("above: 0.9", "above: 0.9, slice: age=65-79", "age=65-79 is not under slices"),
        ("above: 0.9", "above: 0.9, slice: sex", "slice must read name=group"),
        ("replicates: 200", "replicates: 10", "greater than or equal to 200"),
        ("seed: 1", "seed: -1", "greater than or equal to 0"),
        ("name: small", "name: ../x", "name: string should match pattern"),
        ("name: small", "labeler: chexpertt\nname: small", "chexpertt: no such annotator"),
        ("criteria:", "criterias:", "unknown key; did you mean criteria?"),
    ],
)
def test_each_mistake_is_told(tmp_path, old, new, told):
    assert old in SUITE
    assert told in "\n".join(problems(tmp_path, SUITE.replace(old, new)))


@pytest.mark.parametrize("text", ["", "- 1\n", "just words\n"])
def test_what_is_no_mapping_is_no_suite(tmp_path, text):
    assert "a suite is a mapping" in problems(tmp_path, text)[0]


def test_the_schema_refuses_what_the_reader_refuses(tmp_path):
    schema = json.loads(json.dumps(suite_schema()))
    jsonschema.validate(yaml.safe_load(SUITE), schema)
    for old, new in (
        ("above: 0.9", "abowe: 0.9"),
        ("above: 0.9", "above: 98"),
        ("version: 1", "version: one"),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(SUITE.replace(old, new)), schema)


def test_a_suite_can_be_copied_away_from_its_folder(tmp_path):
    copy = shutil.copy(SUITES / "ci.yaml", tmp_path / "mine.yaml")
    assert read_suite(tmp_path / "mine.yaml").digest() == read_suite(SUITES / "ci.yaml").digest()
    assert copy
