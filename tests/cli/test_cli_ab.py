"""The command as a user types it: verdicts, exit codes, and that a refusal loses nothing."""

import json
import sys
from pathlib import Path

import pytest

from harness.cli import main
from runs import SUITES

sys.path.insert(0, str(SUITES.parent / "fixtures"))

from simulate_ratings import main as simulate

PAIRED, RANDOMISED = (str(SUITES / "clinical" / f"{name}.yaml") for name in ("paired", "randomised"))


@pytest.fixture
def ratings(tmp_path):
    path = tmp_path / "ratings.csv"
    command = ["--design", PAIRED, "--studies", "60", "--seed", "1", "--out", str(path)]
    assert simulate(command) == 0
    return path


def test_data_give_a_page_and_an_exit_code(tmp_path, ratings, capsys):
    assert main(["ab", str(ratings), "--design", PAIRED]) == 3  # 60 of 1,000 planned
    out = capsys.readouterr().out
    assert "Decision: NOT EVALUATED" in out
    folder = tmp_path / "ratings-ab"
    assert sorted(path.name for path in folder.iterdir()) == ["ab.html", "ab.json", "ab.pdf"]
    assert json.loads((folder / "ab.json").read_text())["exit_code"] == 3
    assert (tmp_path / "looks.jsonl").exists()
    for text in ("P00001", "Heart size"):
        assert text not in out


def test_bad_data_leave_nothing_behind(tmp_path, ratings, capsys):
    text = ratings.read_text().splitlines()
    ratings.write_text("\n".join([*text, text[1]]))
    assert main(["ab", str(ratings), "--design", PAIRED]) == 2
    told = capsys.readouterr()
    assert f"ratings.csv:{len(text) + 1}: the same study, arm and reader as line 2" in told.err
    assert "Traceback" not in told.err
    assert {path.name for path in tmp_path.iterdir()} == {"ratings.csv"}  # no look was spent, no page begun


def test_plan_says_whether_it_is_enough(tmp_path, capsys):
    assert main(["ab", "plan", "--design", PAIRED]) == 0
    assert "1,000 studies are enough" in capsys.readouterr().out
    few = tmp_path / "few.yaml"
    few.write_text(Path(PAIRED).read_text().replace("planned_studies: 1000", "planned_studies: 100"))
    assert main(["ab", "plan", "--design", str(few)]) == 3
    assert "too few" in capsys.readouterr().out


def test_assign_writes_a_list(tmp_path, capsys):
    (tmp_path / "list.csv").write_text("patient\nP1\nP7\n")
    assert main(["ab", "assign", str(tmp_path / "list.csv"), "--design", RANDOMISED]) == 0
    assert capsys.readouterr().out == "patient,arm\nP1,production\nP7,candidate\n"
    out = tmp_path / "dealt.csv"
    assert main(["ab", "assign", str(tmp_path / "list.csv"), "--design", RANDOMISED, "--out", str(out)]) == 0
    assert out.read_text() == "patient,arm\nP1,production\nP7,candidate\n"


@pytest.mark.parametrize("words", [["assign"], ["a", "b"], ["plan", "x"], ["none.csv"]])
def test_bad_usage_ends_with_2(words, capsys):
    assert main(["ab", *words, "--design", PAIRED]) == 2
    assert "harness: " in capsys.readouterr().err
