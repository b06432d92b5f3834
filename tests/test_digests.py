import hashlib
import math
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.digests import (
    canonical_json,
    code_digest,
    code_revision,
    digest_file,
    digest_items,
    digest_object,
    digest_tree,
    digest_value,
    environment,
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_the_order_of_keys_does_not_matter(value):
    turned = dict(reversed(list(value.items())))
    assert digest_value(turned) == digest_value(value)
    assert canonical_json(value).isascii()


@given(plain, plain)
def test_other_values_have_other_digests(one, other):
    assert (digest_value(one) == digest_value(other)) == (canonical_json(one) == canonical_json(other))


@pytest.mark.parametrize("value", [math.nan, {"a": [math.inf]}])
def test_nan_has_no_digest(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_value(value)


def test_files_and_trees(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    assert digest_file(tmp_path / "a") == hashlib.sha256(b"one").hexdigest()
    before = digest_tree(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert digest_tree(tmp_path) != before, "names count, not only bytes"


def test_the_code_and_the_environment_are_named():
    assert len(code_digest()) == 64
    told = environment()
    assert told["packages"]["numpy"]
    assert told["packages"]["harness"]
    revision = code_revision()
    assert revision == "" or len(revision.removesuffix("+changes")) == 40


def test_outside_git_there_is_no_revision(monkeypatch):
    def no_git(*args, **options):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert code_revision() == ""


@given(st.lists(st.lists(st.text(max_size=3), max_size=3), max_size=5), st.text(max_size=3))
def test_what_comes_bit_by_bit_has_the_digest_of_the_whole(items, name):
    assert digest_items(iter(items)) == digest_value(items)
    assert digest_object({"b": name, "a": iter(items)}) == digest_value({"a": items, "b": name})
