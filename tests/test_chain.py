import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chain import START, Chain
from harness.chain_head import Head, write_head
from harness.digests import canonical_json, digest_value
from harness.errors import LedgerError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("chain") / "log.jsonl"
    chain = Chain(path)
    for number in range(6):
        chain.append("part", part=f"{number:05d}", studies=number)
    return path.read_bytes()


def check(path, content, whole):
    """Reads a log under the head of the log that was written."""
    path.write_bytes(content)
    last = json.loads(whole.splitlines()[-1])
    write_head(path, Head(last["seq"], last["digest"], last["time"]))
    return list(Chain(path).entries())


def test_each_line_holds_the_digest_of_the_line_before(tmp_path, written):
    entries = check(tmp_path / "log", written, written)
    assert [entry["seq"] for entry in entries] == list(range(6))
    assert entries[0]["previous"] == START
    for one, following in itertools.pairwise(entries):
        assert following["previous"] == one["digest"]
    stated = {key: value for key, value in entries[3].items() if key != "digest"}
    assert digest_value(stated) == entries[3]["digest"]


def test_writing_goes_on_where_it_ended(tmp_path, written):
    path = tmp_path / "log"
    check(path, written, written)
    Chain(path).append("results", sha256="x")
    assert list(Chain(path).entries())[-1]["seq"] == 6


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found(tmp_path_factory, written, data):
    place = data.draw(st.integers(0, len(written) - 2))  # the last newline is another test
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != written[place]))
    changed = written[:place] + bytes([byte]) + written[place + 1 :]
    path = tmp_path_factory.mktemp("changed") / "log"
    try:
        entries = check(path, changed, written)
    except LedgerError:
        return
    # JSON allows the same value to be written in other ways; then nothing has changed.
    assert [canonical_json(entry) for entry in entries] == [
        canonical_json(json.loads(line)) for line in written.splitlines()
    ]


@pytest.mark.parametrize("dropped", range(5))
def test_a_dropped_line_is_found(tmp_path, written, dropped):
    lines = written.splitlines(keepends=True)
    with pytest.raises(LedgerError, match=rf"log:{dropped + 1}: does not follow"):
        check(tmp_path / "log", b"".join(lines[:dropped] + lines[dropped + 1 :]), written)


def test_moved_and_repeated_lines_are_found(tmp_path, written):
    lines = written.splitlines(keepends=True)
    with pytest.raises(LedgerError, match="log:2: does not follow"):
        check(tmp_path / "log", b"".join([lines[0], lines[2], lines[1], *lines[3:]]), written)
    with pytest.raises(LedgerError, match="log:4: does not follow"):
        check(tmp_path / "log", b"".join([*lines[:3], lines[2], *lines[3:]]), written)


def test_a_rewritten_line_with_a_digest_of_its_own_breaks_the_next(tmp_path, written):
    lines = written.splitlines(keepends=True)
    entry = json.loads(lines[2])
    entry["studies"] = 99
    del entry["digest"]
    entry["digest"] = digest_value(entry)
    lines[2] = canonical_json(entry).encode() + b"\n"
    with pytest.raises(LedgerError, match="log:4: does not follow"):
        check(tmp_path / "log", b"".join(lines), written)


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_line_that_a_crash_cut_short_is_not_yet_written(tmp_path, written, kept):
    lines = written.splitlines(keepends=True)
    path = tmp_path / "log"
    assert len(check(path, b"".join(lines[:5]) + lines[5][:kept], b"".join(lines[:5]))) == 5
    chain = Chain(path)
    chain.repair()
    assert path.read_bytes() == b"".join(lines[:5])
    chain.append("part", part="again")
    assert len(list(Chain(path).entries())) == 6


def test_a_full_disk_is_told(tmp_path):
    with pytest.raises(LedgerError, match="cannot be written"):
        Chain(tmp_path / "absent" / "log").append("part")
