import json

import pytest

from harness.cohorts.phantom import PhantomCohort
from harness.digests import digest_value
from harness.errors import LedgerError, SuiteError
from harness.lock import check_lock, lock_account, lock_findings, write_lock
from harness.run import choose, manifest_digest
from harness.suite import read_suite
from harness.testing import ConstantReport
from runs import SUITE, run, write_suite


@pytest.fixture
def suite(tmp_path):
    return read_suite(write_suite(tmp_path))


def test_a_lock_holds_suite_cohort_and_thresholds(tmp_path, suite):
    lock = write_lock(tmp_path / "new" / "lock", suite, "c" * 64, 150)
    assert lock["suite"] == suite.digest()
    assert lock["criteria"]["sensitivity"] == "critical_sensitivity.pooled above 0.9"
    assert check_lock(tmp_path / "new" / "lock", suite, "c" * 64) == lock
    assert check_lock(None, suite, "anything") is None


def test_a_lock_is_never_rewritten(tmp_path, suite):
    write_lock(tmp_path / "lock", suite, "c" * 64, 150)
    before = (tmp_path / "lock").read_bytes()
    with pytest.raises(SuiteError, match="never rewritten"):
        write_lock(tmp_path / "lock", suite, "d" * 64, 150)
    assert (tmp_path / "lock").read_bytes() == before


def test_what_was_changed_after_the_lock_is_refused(tmp_path, suite):
    write_lock(tmp_path / "lock", suite, "c" * 64, 150)
    with pytest.raises(SuiteError, match="the cohort was changed after it was locked"):
        check_lock(tmp_path / "lock", suite, "d" * 64)
    easier = read_suite(write_suite(tmp_path, SUITE.replace("above: 0.9", "above: 0.8")))
    with pytest.raises(SuiteError, match="suite small was changed after it was locked"):
        check_lock(tmp_path / "lock", easier, "c" * 64)


def test_a_lock_that_was_edited_is_refused(tmp_path, suite):
    path = tmp_path / "lock"
    lock = write_lock(path, suite, "c" * 64, 150)
    path.write_text(json.dumps({**lock, "cohort": "d" * 64}))
    with pytest.raises(SuiteError, match="was changed after it was written"):
        check_lock(path, suite, "d" * 64)
    # A lock may be forged whole: it is evidence together with where and when it was kept.
    del lock["digest"]
    forged = {**lock, "cohort": "d" * 64}
    path.write_text(json.dumps({**forged, "digest": digest_value(forged)}))
    assert check_lock(path, suite, "d" * 64)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null"])
def test_what_is_no_lock_is_refused(tmp_path, suite, content):
    (tmp_path / "lock").write_text(content)
    with pytest.raises(SuiteError, match="not a readable lock"):
        check_lock(tmp_path / "lock", suite, None)


def digests(*names):
    return [name * 64 for name in names]


def test_a_changed_cohort_is_told_study_by_study(tmp_path, suite):
    path = tmp_path / "lock"
    write_lock(path, suite, "c" * 64, 3, study_digests=digests("1", "2", "3"))
    with pytest.raises(SuiteError, match="of 3 locked studies 1 are changed or gone, and 2 are new"):
        check_lock(path, suite, "d" * 64, study_digests=digests("1", "3", "4", "5"))


def test_a_lock_may_hold_for_one_candidate_alone(tmp_path, suite):
    path = tmp_path / "lock"
    write_lock(path, suite, "c" * 64, 3, candidate="a" * 64)
    assert check_lock(path, suite, "c" * 64, candidate="a" * 64)
    with pytest.raises(SuiteError, match="holds for another candidate"):
        check_lock(path, suite, "c" * 64, candidate="b" * 64)
    write_lock(tmp_path / "any", suite, "c" * 64, 3)
    assert check_lock(tmp_path / "any", suite, "c" * 64, candidate="b" * 64)


def test_a_lock_from_before_looks_were_counted_still_holds(tmp_path, suite):
    lock = write_lock(tmp_path / "lock", suite, "c" * 64, 150)
    for key in ("candidate", "family", "planned_looks", "manifest", "digest"):
        del lock[key]
    old = tmp_path / "old"
    old.write_text(json.dumps({**lock, "digest": digest_value(lock)}))
    assert check_lock(old, suite, "c" * 64, study_digests=digests("1"), candidate="b" * 64)


@pytest.fixture(scope="module")
def locked(tmp_path_factory, phantom_root):
    """A folder with two locks of the same studies, and the suite."""
    folder = tmp_path_factory.mktemp("locked")
    path = write_suite(folder, SUITE.replace("{split: test}", "{split: test, studies: 12}"))
    suite, cohort = read_suite(path), PhantomCohort(phantom_root, split="test")
    chosen = choose(suite, cohort)
    digest, each = manifest_digest(cohort, chosen)
    for name in ("lock.json", "again.json"):
        write_lock(folder / name, suite, digest, len(chosen), study_digests=each, looks=2, family="readers")
    return folder


def look(locked, phantom_root, text, out, lock="lock.json"):
    return run(locked / "suite.yaml", phantom_root, ConstantReport(text), out, lock=locked / lock)


def test_every_run_under_a_lock_is_counted_and_looks_beyond_the_plan_are_told(locked, phantom_root, tmp_path):
    first = look(locked, phantom_root, "Clear lungs.", tmp_path / "1")
    assert lock_findings(first) == []
    account = lock_account(first)
    assert (account["look"], account["planned_looks"], account["family"]) == (1, 2, "readers")
    assert account["digest"] == first.identity["lock"]["digest"]
    assert not account["candidate_locked"]
    # The very same again, elsewhere or taken up: no new look.
    assert lock_account(look(locked, phantom_root, "Clear lungs.", tmp_path / "1"))["look"] == 1
    assert lock_account(look(locked, phantom_root, "Clear lungs.", tmp_path / "2"))["look"] == 1
    # Another lock beside it does not begin a new count.
    second = look(locked, phantom_root, "No change.", tmp_path / "3", lock="again.json")
    assert lock_account(second)["look"] == 2
    third = look(locked, phantom_root, "Normal.", tmp_path / "4")
    assert lock_findings(third) == [
        "This is look 3 at these studies with candidates of the family readers; 2 planned."
    ]
    assert json.loads((tmp_path / "4" / "lock.json").read_text())["manifest"]
    assert "manifest" not in third.identity["lock"]


@pytest.mark.parametrize("what", ["gone", "another"])
def test_a_lock_without_its_ledger_of_looks_judges_nothing(locked, phantom_root, tmp_path, what):
    (tmp_path / "lock.json").write_bytes((locked / "lock.json").read_bytes())
    (tmp_path / "suite.yaml").write_bytes((locked / "suite.yaml").read_bytes())
    if what == "another":
        write_lock(tmp_path / "other.json", read_suite(locked / "suite.yaml"), "c" * 64, 3)
    with pytest.raises(LedgerError, match=r"looks\.jsonl: does not hold lock\.json"):
        look(tmp_path, phantom_root, "Clear lungs.", tmp_path / "run")
    assert not (tmp_path / "run" / "predictions").exists()


def test_a_run_without_a_lock_and_one_that_differs_from_it_are_told(locked, phantom_root, tmp_path):
    free = run(locked / "suite.yaml", phantom_root, ConstantReport("Clear lungs."), tmp_path / "free")
    assert lock_findings(free) == [
        "No protocol lock: suite, thresholds and studies were not fixed before this run."
    ]
    assert lock_account(free)["locked_at"] is None
    lock = json.loads((locked / "lock.json").read_text())
    lock["criteria"]["failures"] = "failure_rate.value below 0.05"
    free.identity["lock"] = {
        **lock,
        "cohort": "0" * 64,
        "candidate": "1" * 64,
        "locked_at": "2999-01-01T00:00:00+00:00",
    }
    found = lock_findings(free)
    assert found[:2] == [
        "The set of studies of this run is not the one that was locked.",
        "The candidate of this run is not the one that was locked.",
    ]
    assert found[2] == (
        "Criterion failures: locked as failure_rate.value below 0.05, judged as failure_rate.value below 0.1."
    )
    assert "after the run began" in found[3]
    assert found[4] == "How often these studies have judged such candidates was not counted."
