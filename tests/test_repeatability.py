import pytest

from harness.candidates.base import Candidate
from harness.ledger import Ledger
from harness.repeatability import compare_repeat
from harness.report import Report
from harness.testing import Faulty
from runs import run, write_suite


class Moody(Candidate):
    """Words half of its reports otherwise, if told to."""

    name = "moody"

    def __init__(self, mood=0):
        self.mood = mood

    def digest(self):
        return "0" * 64

    def report(self, study):
        changed = self.mood and int(study.study_id) % 2
        return Report(
            report_id=study.study_id,
            findings_text="There is a pneumothorax." if changed else "The lungs are clear.",
        )


class Other(Moody):
    def digest(self):
        return "1" * 64


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory, phantom_root):
    folder = tmp_path_factory.mktemp("repeat")
    suite = write_suite(folder)
    made = {"one": Moody(), "two": Moody(), "moody": Moody(1), "other": Other()}
    return {
        name: Ledger(run(suite, phantom_root, candidate, folder / name).root)
        for name, candidate in made.items()
    }


def test_the_same_again_passes(ledgers):
    found = compare_repeat(ledgers["one"], ledgers["two"])
    assert found["status"] == "PASS"
    assert found["identical"]["numerator"] == found["identical"]["denominator"] > 100
    assert found["identical"]["low"] < 1


def test_other_words_fail_and_say_how_many(ledgers):
    found = compare_repeat(ledgers["one"], ledgers["moody"])
    ids = ledgers["one"].read("cases", ["study_id"]).column("study_id").to_pylist()
    odd = sum(int(name) % 2 for name in ids)
    assert found["status"] == "FAIL"
    assert found["identical"]["denominator"] - found["identical"]["numerator"] == odd
    assert found["findings"]["Pneumothorax"]["numerator"] == len(ids) - odd
    assert found["findings"]["Fracture"]["estimate"] == 1


def test_what_is_no_repetition_is_not_evaluated(ledgers):
    other = compare_repeat(ledgers["one"], ledgers["other"])
    assert (other["status"], other["identical"]) == ("NOT EVALUATED", None)
    assert "candidate" in other["reason"]
    assert "very same run" in compare_repeat(ledgers["one"], ledgers["one"])["reason"]


def test_failures_are_no_agreement(tmp_path, phantom_root):
    suite = write_suite(tmp_path)
    made = [run(suite, phantom_root, Faulty("raises"), tmp_path / name).root for name in ("a", "b")]
    found = compare_repeat(*map(Ledger, made))
    assert (found["status"], found["reason"]) == ("NOT EVALUATED", "no study has a report to compare")


def test_reproducibility_needs_another_machine(ledgers):
    found = compare_repeat(ledgers["one"], ledgers["two"], elsewhere=True)
    assert found["status"] == "NOT EVALUATED"
    assert "nothing is shown of another machine" in found["reason"]
