import re

from hypothesis import given
from hypothesis import strategies as st

from harness.dicom import UID
from harness.service.uids import derived_uid

NAMES = st.lists(st.text(), min_size=1, max_size=3)


@given(NAMES, NAMES)
def test_an_identifier_of_its_own_for_every_name(one, other):
    uid = derived_uid(*one)
    assert re.fullmatch(UID.strip("^$"), uid)
    assert len(uid) <= 64
    assert (derived_uid(*other) == uid) == ("\0".join(other) == "\0".join(one))
