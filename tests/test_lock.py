import json

import pytest

from harness.digests import digest_value
from harness.errors import SuiteError
from harness.lock import check_lock, write_lock
from harness.suite import read_suite
from runs import SUITE, write_suite


@pytest.fixture
def suite(tmp_path):
    return read_suite(write_suite(tmp_path))


def test_a_lock_holds_suite_cohort_and_thresholds(tmp_path, suite):
    lock = write_lock(tmp_path / "lock", suite, "c" * 64, 150)
    assert lock["suite"] == suite.digest()
    assert lock["criteria"]["sensitivity"] == "critical_sensitivity.pooled above 0.9"
    assert check_lock(tmp_path / "lock", suite, "c" * 64) == lock
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
