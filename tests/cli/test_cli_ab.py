"""The command as a user types it: verdicts, exit codes, and that a refusal loses nothing."""

import json
import re
import sys

import pytest

from harness.cli import main
from runs import SUITES

sys.path.insert(0, str(SUITES.parent / "fixtures"))

from simulate_ratings import main as simulate

RANDOMISED = str(SUITES / "clinical" / "randomised.yaml")
SHIPPED = SUITES / "clinical" / "paired.yaml"


@pytest.fixture
def paired(tmp_path):
    """A trial's design in a folder of its own; the log of looks lies beside it."""
    path = tmp_path / "trial" / "paired.yaml"
    path.parent.mkdir()
    path.write_text(SHIPPED.read_text())
    return str(path)


@pytest.fixture
def ratings(tmp_path):
    path = tmp_path / "ratings.csv"
    command = ["--design", str(SHIPPED), "--studies", "60", "--seed", "1", "--out", str(path)]
    assert simulate(command) == 0
    return path


def test_data_give_a_page_and_an_exit_code(tmp_path, ratings, paired, capsys):
    assert main(["ab", str(ratings), "--design", paired]) == 3  # 60 of 2,000 planned
    out = capsys.readouterr().out
    assert "Decision: NOT EVALUATED" in out
    folder = tmp_path / "ratings-ab"
    assert sorted(path.name for path in folder.iterdir()) == ["ab.html", "ab.json", "ab.pdf"]
    assert json.loads((folder / "ab.json").read_text())["exit_code"] == 3
    assert (tmp_path / "trial" / "looks.jsonl").exists()
    assert not (tmp_path / "looks.jsonl").exists()
    for text in ("P00001", "Heart size"):
        assert text not in out


def test_exports_in_folders_of_their_own_share_alpha(tmp_path, ratings, paired, monkeypatch):
    monkeypatch.setattr("harness.ab.page.write_page", lambda *_: [])
    lines = ratings.read_text().splitlines()
    for number, count in enumerate((121, 161, len(lines)), 1):
        week = tmp_path / f"week{number}" / "ratings.csv"
        week.parent.mkdir()
        week.write_text("\n".join(lines[:count]))
        main(["ab", str(week), "--design", paired])
        found = json.loads((week.parent / "ratings-ab" / "ab.json").read_text())
        assert found["look"]["number"] == number


def test_bad_data_leave_nothing_behind(tmp_path, ratings, paired, capsys):
    text = ratings.read_text().splitlines()
    ratings.write_text("\n".join([*text, text[1]]))
    assert main(["ab", str(ratings), "--design", paired]) == 2
    told = capsys.readouterr()
    assert f"ratings.csv:{len(text) + 1}: the same study, arm and reader as line 2" in told.err
    assert "Traceback" not in told.err
    assert {path.name for path in tmp_path.iterdir()} == {"ratings.csv", "trial"}  # no page was begun
    assert {path.name for path in (tmp_path / "trial").iterdir()} == {"paired.yaml"}  # no look was spent


def test_plan_says_whether_it_is_enough(tmp_path, capsys):
    assert main(["ab", "plan", "--design", str(SHIPPED)]) == 0
    told = capsys.readouterr().out
    assert "2,000 studies are enough" in told
    assert "This assumes one look" in told
    assert re.search(r"Pneumothorax +not worse +0\.\d\d +\d", told)
    few = tmp_path / "few.yaml"
    few.write_text(SHIPPED.read_text().replace("planned_studies: 2000", "planned_studies: 100"))
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
    assert main(["ab", *words, "--design", str(SHIPPED)]) == 2
    assert "harness: " in capsys.readouterr().err
