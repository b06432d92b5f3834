import hashlib
import hmac
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError, LedgerError
from harness.evidence.identifiers import KEY_NAME, Identifiers, check_ages, open_identifiers


def test_ids_are_hmacs_under_the_key():
    names = Identifiers(b"k" * 32)
    expected = hmac.new(b"k" * 32, b"study:s1", hashlib.sha256).hexdigest()[:32]
    assert names.study("s1") == expected
    assert names.study("s1") != names.patient("s1")
    assert Identifiers(b"l" * 32).study("s1") != expected


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_studies_have_different_names(one, other):
    names = Identifiers(b"k" * 32)
    assert (names.study(one) == names.study(other)) == (one == other)
    assert names.patient(one) != names.study(other)


def test_a_key_is_made_once_and_kept_from_others(tmp_path):
    first = open_identifiers(tmp_path)
    assert open_identifiers(tmp_path).study("s1") == first.study("s1")
    assert stat.S_IMODE((tmp_path / KEY_NAME).stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    assert open_identifiers(tmp_path / "other").study("s1") != first.study("s1")
    assert open_identifiers(tmp_path / "other", tmp_path / KEY_NAME).study("s1") == first.study("s1")


@pytest.mark.parametrize("content", ["", "word", "abcd", "zz" * 32])
def test_what_is_no_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_text(content)
    with pytest.raises(HarnessError, match="must hold 64 hexadecimal digits"):
        open_identifiers(tmp_path, tmp_path / "key")
    with pytest.raises(HarnessError, match="must hold 64 hexadecimal digits"):
        open_identifiers(tmp_path, tmp_path / "absent")
    with pytest.raises(LedgerError, match="cannot be written"):
        open_identifiers(tmp_path / "absent")


@pytest.mark.parametrize("age", ["90", "104"])
def test_single_ages_above_89_are_refused(age):
    with pytest.raises(HarnessError, match="single ages above 89"):
        check_ages([{"sex": "F"}, {"age": age}])


def test_groups_of_age_are_no_single_ages():
    check_ages([{"age": "80+"}, {"age": "65-79"}, {"age": "89"}, {"age": "unknown"}, {}])
