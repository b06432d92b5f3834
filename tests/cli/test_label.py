import csv
import io
import json
import os
import subprocess
import sys

import pytest

from harness.annotators.rules import RulesLabeler
from harness.cli import main
from harness.report import FINDINGS

ROWS = [
    {"id": "b", "findings": "Small left effusion.", "impression": "No pneumothorax."},
    {"id": "a", "findings": "", "impression": "Possible right lower lobe pneumonia."},
    {"id": "7", "findings": "The heart is enlarged.", "impression": ""},
    {"id": "é", "findings": "", "impression": "  "},
]
ARGUMENTS = ["--id", "id", "--text", "findings", "--text", "impression"]


def write(path, rows=ROWS):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return path


def label(capsys, path, *more):
    assert main(["label", str(path), *ARGUMENTS, *more]) == 0
    return capsys.readouterr().out


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "harness", "label", *map(str, arguments)], capture_output=True, **options
    )


@pytest.mark.parametrize("name", ["reports.csv", "reports.jsonl"])
def test_chexperts_csv(tmp_path, capsys, name):
    table = list(csv.reader(io.StringIO(label(capsys, write(tmp_path / name)))))
    assert table[0] == ["id", *FINDINGS]
    rows = {row[0]: dict(zip(FINDINGS, row[1:], strict=True)) for row in table[1:]}
    assert [row[0] for row in table[1:]] == ["b", "a", "7", "é"]
    filled = {name: {f.value: v for f, v in row.items() if v} for name, row in rows.items()}
    assert filled == {
        "b": {"Pleural Effusion": "1", "Pneumothorax": "0"},
        "a": {"Pneumonia": "-1"},
        "7": {"Cardiomegaly": "1"},
        "é": {},
    }


def test_json_lines_with_the_evidence(tmp_path, capsys):
    found = [json.loads(line) for line in label(capsys, write(tmp_path / "r.csv"), "--jsonl").splitlines()]
    texts = {row["id"]: row for row in ROWS}
    assert [row["id"] for row in found] == ["b", "a", "7", "é"]
    effusion, pneumothorax = found[0]["mentions"]
    assert (effusion["label"], effusion["severity"], effusion["laterality"]) == (1, "mild", "left")
    assert pneumothorax["label"] == 0
    assert found[1]["labels"]["Pneumonia"] == -1
    assert found[3]["labels"] == dict.fromkeys(map(str, FINDINGS))
    for row in found:
        for mention in row["mentions"]:
            column, start, end = mention["at"]
            assert texts[row["id"]][column][start:end] == mention["words"]


def test_a_pipe_in_and_out(tmp_path):
    path = write(tmp_path / "r.jsonl")
    whole = process(path, *ARGUMENTS)
    piped = process("-", *ARGUMENTS, input=path.read_bytes())
    assert whole.returncode == piped.returncode == 0
    assert whole.stdout == piped.stdout
    assert whole.stdout.decode().startswith("id,No Finding,")


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    path = write(tmp_path / "r.csv", [{**ROWS[0], "id": str(n)} for n in range(20_000)])
    with subprocess.Popen(
        [sys.executable, "-m", "harness", "label", str(path), *ARGUMENTS],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout.readline().startswith(b"id,")
        running.stdout.close()
        assert running.wait(60) == 141
        assert b"Traceback" not in running.stderr.read()


def test_a_file_is_there_whole_or_not_at_all(tmp_path, capsys):
    target = tmp_path / "labels.csv"
    assert label(capsys, write(tmp_path / "r.csv"), "--out", str(target)) == ""
    good = target.read_text()
    assert good.count("\n") == 5
    bad = write(tmp_path / "bad.csv", [*ROWS, ROWS[0]])
    assert main(["label", str(bad), *ARGUMENTS, "--out", str(target)]) == 2
    assert target.read_text() == good
    assert sorted(os.listdir(tmp_path)) == ["bad.csv", "labels.csv", "r.csv"]
    assert main(["label", str(bad), *ARGUMENTS, "--out", str(tmp_path / "none" / "x.csv")]) == 2
    assert "cannot be written" in capsys.readouterr().err


PRIVATE = "pneumothorax of Mrs Example"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("r.csv", "id,findings\na,x\n", "r.csv:2: no column impression (there: id, findings)"),
        (
            "r.csv",
            f"id,findings,impression\na,{PRIVATE},\na,,\n",
            "r.csv:3: id stands twice, first on line 2",
        ),
        ("r.csv", "id,findings,impression\n ,x,\n", "r.csv:2: no id"),
        ("r.csv", f"id,findings,impression\na,{PRIVATE}\n", "r.csv:2: 2 values under 3 columns"),
        ("r.csv", f"id,findings,impression\na,{PRIVATE}\x00,\n", "holds a NUL character"),
        ("r.jsonl", '{"id": 1, "findings": 3, "impression": ""}\n', "r.jsonl:1: findings is no text"),
        ("r.jsonl", '{"id": "\\ud800", "findings": "", "impression": ""}\n', "id holds half a character"),
        ("r.jsonl", '{"id": true, "findings": "", "impression": ""}\n', "no id"),
        ("r.txt", "x", "must be .csv or .jsonl"),
    ],
)
def test_bad_input_is_named_and_never_quoted(tmp_path, capsys, name, content, told):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert main(["label", str(path), *ARGUMENTS]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Example" not in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--labeler", "rule"], "did you mean rules?"),
        (["--labeler", "structured"], "reads structured reports, not texts"),
        (["--accuracy", "x.json"], "--accuracy needs --against"),
    ],
)
def test_bad_usage(tmp_path, capsys, more, told):
    assert main(["label", str(write(tmp_path / "r.csv")), *ARGUMENTS, *more]) == 2
    assert told in capsys.readouterr().err


def test_strange_texts_are_labelled_like_any_other(tmp_path, capsys):
    texts = ["", " ", "normal", "x" * 2_000_000, "\ud83d \udc00 effusion", "\u202eeffusion",
             "<script>effusion</script>", "No effusion.\r\nEffusion.", "肺炎",
             "effusion " * 2000]  # fmt: skip
    rows = [{"id": n, "findings": text, "impression": None} for n, text in enumerate(texts)]
    out = label(capsys, write(tmp_path / "r.jsonl", rows))
    table = list(csv.DictReader(io.StringIO(out)))
    assert len(table) == len(texts)
    assert [row["Pleural Effusion"] for row in table] == ["", "", "", "", "1", "1", "1", "1", "", "1"]


def people(path, rows):
    return write(path, rows)


def test_against_peoples_labels(tmp_path, capsys):
    truth = people(
        tmp_path / "people.csv",
        [{"id": "a", "Pneumonia": "", "Edema": "0"}, {"id": "b", "Pneumonia": "1", "Edema": "-1"},
         {"id": "7", "Pneumonia": "0.0", "Edema": ""}, {"id": "é", "Pneumonia": "", "Edema": ""},
         {"id": "not asked", "Pneumonia": "1", "Edema": "1"}],
    )  # fmt: skip
    target = tmp_path / "accuracy.json"
    out = label(capsys, write(tmp_path / "r.csv"), "--against", str(truth), "--accuracy", str(target))
    known = json.loads(target.read_text())
    assert known["labeler"] == RulesLabeler().signature()
    assert known["sections"] == ["findings", "impression"]
    assert known["reports"] == 4
    row = known["uncertain"]["positive"]["findings"]["Pneumonia"]
    assert [row[key] for key in ("tp", "fp", "fn", "tn")] == [0, 1, 1, 2]
    row = known["uncertain"]["negative"]["findings"]["Edema"]
    assert [row[key] for key in ("tp", "fp", "fn", "tn")] == [0, 0, 0, 3]
    assert row["sensitivity"]["value"] is None
    assert "Uncertain labels count as positive" in out
    assert "undefined: a finding has no F1" in out
    assert set(known["uncertain"]["positive"]["findings"]) == {"Pneumonia", "Edema"}


def test_the_same_figures_whenever_they_are_measured(tmp_path, capsys):
    truth = people(tmp_path / "people.csv", [{"id": row["id"], "Edema": "1"} for row in ROWS])
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file in files:
        label(capsys, write(tmp_path / "r.csv"), "--against", str(truth), "--accuracy", str(file))
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"id": "a", "Edema": "1"}], "3 of the 4 reports"),
        ([{"id": "a", "Edema": "yes"}], "Edema must be 1, 0, -1 or blank"),
        ([{"id": "a", "Edemas": "1"}], "none of CheXpert's 14 columns"),
        ([{"uid": "a", "Edema": "1"}], "no column id"),
        ([{"id": "a", "Edema": "1"}, {"id": "a", "Edema": "0"}], "stands twice"),
    ],
)
def test_bad_labels(tmp_path, capsys, rows, told):
    truth = people(tmp_path / "people.csv", rows)
    assert main(["label", str(write(tmp_path / "r.csv")), *ARGUMENTS, "--against", str(truth)]) == 2
    assert told in capsys.readouterr().err


def test_a_pipe_has_no_digest_to_keep(tmp_path, capsys):
    truth = people(tmp_path / "people.csv", [{"id": "a", "Edema": "1"}])
    assert main(["label", "-", *ARGUMENTS, "--against", str(truth)]) == 2
    assert "needs a file" in capsys.readouterr().err


def test_bad_input_leaves_no_header_behind(tmp_path, capsys):
    path, people = tmp_path / "reports.csv", tmp_path / "people.csv"
    path.write_text("uid,text\n1,No effusion.\n")
    assert main(["label", str(path), "--id", "study", "--text", "text"]) == 2
    assert main(["label", str(tmp_path / "absent.csv"), "--id", "uid", "--text", "text"]) == 2
    assert capsys.readouterr().out == ""
    people.write_text("uid,pneumothorax,Edema\n1,0,0\n")
    assert main(["label", str(path), "--id", "uid", "--text", "text", "--against", str(people)]) == 2
    assert "unknown column pneumothorax; did you mean Pneumothorax?" in capsys.readouterr().err
