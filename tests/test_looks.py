import multiprocessing

import pytest

from harness.chain import Chain
from harness.errors import LedgerError
from harness.looks import count_look


def test_looks_at_one_question_are_counted(tmp_path):
    log = tmp_path / "looks.jsonl"
    assert count_look(log, "cohort A", "model 1").number == 1
    assert count_look(log, "cohort A", "model 2", family="vit").number == 2
    assert count_look(log, "cohort B", "model 2").number == 1
    assert Chain(log).seq == 3
    assert count_look(log, "cohort A", "model 3").looks[1]["family"] == "vit"


def test_the_same_data_again_are_the_same_look(tmp_path):
    log = tmp_path / "looks.jsonl"
    for number, model in enumerate(("1", "2", "3"), 1):
        assert count_look(log, "A", model).number == number
    before = log.read_bytes()
    assert count_look(log, "A", "2").number == 2
    assert log.read_bytes() == before


def _look(log, model):
    count_look(log, "A", model)


def test_looks_at_the_same_time_are_all_counted(tmp_path):
    log = tmp_path / "looks.jsonl"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_look, args=(log, model)) for model in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert count_look(log, "A", "another").number == 9


def test_a_cut_or_changed_ledger_is_refused(tmp_path):
    log = tmp_path / "looks.jsonl"
    for model in range(3):
        count_look(log, "A", model)
    whole = log.read_bytes()
    log.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    with pytest.raises(LedgerError, match=r"looks\.jsonl:3: is missing"):
        count_look(log, "A", 9)
    log.write_bytes(whole.replace(b'"look"', b'"lock"', 1))
    with pytest.raises(LedgerError, match=r"looks\.jsonl:1: was changed"):
        count_look(log, "A", 9)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="looks cannot be counted"):
        count_look(tmp_path / "file" / "looks.jsonl", "A", 1)
