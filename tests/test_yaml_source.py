import pytest

from harness.errors import SuiteError
from harness.yaml_source import key_path, read_yaml


def write(tmp_path, text):
    path = tmp_path / "suite.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_places_of_keys_and_values(tmp_path):
    source = read_yaml(write(tmp_path, "name: x\ncriteria:\n  - id: a\n    above: 0.9\n"))
    assert source.data == {"name": "x", "criteria": [{"id": "a", "above": 0.9}]}
    assert source.problem(("criteria", 0, "above"), "wrong").endswith(
        "suite.yaml:4:5: criteria[0].above: wrong"
    )
    # What is not there is told of at the nearest place that is.
    assert source.problem(("criteria", 0, "measure"), "missing").endswith(
        ":3:5: criteria[0].measure: missing"
    )
    assert source.problem((), "wrong").endswith("suite.yaml:1:1: wrong")


def test_key_path():
    assert key_path(("criteria", 2, "above")) == "criteria[2].above"
    assert key_path(()) == ""


def test_every_duplicate_key_is_named(tmp_path):
    with pytest.raises(SuiteError) as caught:
        read_yaml(write(tmp_path, "name: x\nname: y\ncohort:\n  split: a\n  split: b\n"))
    assert [problem.split("suite.yaml")[1] for problem in caught.value.problems] == [
        ":2:1: name: duplicate key, first on line 1; keep one",
        ":5:3: cohort.split: duplicate key, first on line 4; keep one",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [1, 2", r"suite\.yaml:\d+:\d+: not valid YAML"),
        (b"\xff\xfe", "cannot be read as UTF-8"),
        ("a: &a\n  b: *a\n", "refers to itself"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(tmp_path, text, told):
    with pytest.raises(SuiteError, match=told):
        read_yaml(write(tmp_path, text))


def test_a_missing_file(tmp_path):
    with pytest.raises(SuiteError, match="no such file"):
        read_yaml(tmp_path / "absent.yaml")
