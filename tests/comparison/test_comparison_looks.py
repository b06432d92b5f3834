import pytest
from scipy.stats import norm

from harness.chain import Chain
from harness.comparison.looks import take_look
from harness.errors import LedgerError


def look(path, data, studies, question="q", alpha=0.05):
    return take_look(path, question, data, studies, 1000, alpha, "obrien-fleming")


def test_a_single_look_at_all_studies_has_all_of_alpha(tmp_path):
    found = look(tmp_path / "looks.jsonl", "d", 1000)
    assert (found.number, found.fraction, found.level) == (1, 1.0, 0.05)


def test_looks_are_counted_and_spend_alpha(tmp_path):
    # Lan-DeMets O'Brien-Fleming at 0.05: |z| of 4.8769, 3.3569, 2.6803, 2.2898, 2.0310.
    path = tmp_path / "looks.jsonl"
    levels = [look(path, f"d{k}", 200 * k).level for k in range(1, 6)]
    z = [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]
    assert levels == pytest.approx([2 * norm.sf(limit) for limit in z], rel=1e-3)
    assert [entry["event"] for entry in Chain(path).entries()] == ["look"] * 5


def test_the_same_data_are_the_same_look(tmp_path):
    path = tmp_path / "looks.jsonl"
    first, second = look(path, "half", 500), look(path, "all", 1000)
    again = look(path, "half", 500)
    assert (again.number, again.level) == (1, first.level)
    assert look(path, "all", 1000) == second
    assert len(list(Chain(path).entries())) == 2


def test_nothing_is_left_after_the_last_look(tmp_path):
    path = tmp_path / "looks.jsonl"
    look(path, "all", 1000)
    assert look(path, "others", 1000).level == 0
    assert look(path, "more", 5000).level == 0


def test_another_question_has_its_own_alpha(tmp_path):
    path = tmp_path / "looks.jsonl"
    look(path, "all", 1000)
    assert look(path, "all", 1000, question="r").level == 0.05


def test_a_look_that_was_taken_out_of_the_log_is_found(tmp_path):
    path = tmp_path / "looks.jsonl"
    look(path, "half", 500)
    look(path, "all", 1000)
    lines = path.read_text().splitlines()
    path.write_text(lines[1] + "\n")
    with pytest.raises(LedgerError, match="does not follow"):
        look(path, "all", 1000)
