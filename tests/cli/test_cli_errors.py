import json
import shutil

import pyarrow.parquet as pq
import pytest

from error_runs import text_run
from harness.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rows = [
        {
            "findings": "Small left pneumothorax.",
            "report": "No pneumothorax.",
            "labels": {"Pneumothorax": "1"},
        },
        {"findings": "Left rib fracture.", "report": "Right rib fracture.", "labels": {"Fracture": "1"}},
        {"findings": "Clear.", "report": None, "labels": {"Fracture": "1"}},
    ]
    return text_run(tmp_path_factory.mktemp("cli"), rows)


def test_errors_writes_four_files_and_a_table(folder, capsys, tmp_path):
    assert main(["errors", str(folder), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "errors.json", "errors.parquet", "errors.html", "errors.pdf",
    }  # fmt: skip
    assert "missed finding" in told
    assert "3 errors in 3 of 3 studies; studies without a usable report: 1." in told
    assert "not evaluated" in told
    assert "Picture quality: not evaluated: the study has no picture (3)" in told
    assert "pneumothorax." not in told, "no report text on the terminal"
    assert len(json.loads((tmp_path / "out" / "errors.json").read_text())["errors"]) == 3
    assert pq.read_table(tmp_path / "out" / "errors.parquet").num_rows == 3


def test_the_default_place_is_in_the_run(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "run")
    assert main(["errors", str(copy)]) == 0
    assert (copy / "errors" / "errors.pdf").read_bytes().startswith(b"%PDF")
    assert main(["gate", str(copy)]) != 2, "the run is still whole"


def test_bad_input_is_told_without_a_traceback(folder, capsys, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "run")
    (copy / "results.json").unlink()
    assert main(["errors", str(copy)]) == 3
    assert "not complete" in capsys.readouterr().err
    assert main(["errors", str(tmp_path / "nothing")]) == 2
    assert "no run here" in capsys.readouterr().err
    predictions = folder.parent / "predictions.jsonl"
    assert main(["errors", str(folder), "--candidate", f"predictions:{predictions}"]) == 2
    told = capsys.readouterr().err
    assert "cannot explain itself" in told
    assert "--candidate" in told
    assert not (folder / "errors").exists()
    assert main(["errors", str(folder), "--candidate", "nosuch"]) == 2


def test_the_help_says_where_the_texts_are(capsys):
    with pytest.raises(SystemExit):
        main(["errors", "--help"])
    told = capsys.readouterr().out
    assert "hold report texts and pictures" in told
    assert "no texts" in told
