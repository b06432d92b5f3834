import json
from dataclasses import replace

import pytest

from harness.chain import Chain
from harness.chain_head import check_signature, head_account, head_path, read_head, sign_head, write_head
from harness.errors import LedgerError


@pytest.fixture
def log(tmp_path):
    chain = Chain(tmp_path / "log.jsonl")
    for number in range(6):
        chain.append("part", studies=number)
    return chain.path


def lines_of(log):
    return log.read_bytes().splitlines(keepends=True)


def test_the_head_follows_every_line(tmp_path):
    chain = Chain(tmp_path / "log.jsonl")
    assert read_head(chain.path) is None
    for number in range(3):
        entry = chain.append("part", studies=number)
        head = read_head(chain.path)
        assert (head.seq, head.digest, head.time) == (number, entry["digest"], entry["time"])
        assert not head.signed
    assert head_account(head)["lines"] == 3
    assert head_account(head)["signed_by"] is None


@pytest.mark.parametrize("kept", range(6))
def test_a_cut_tail_is_found_however_much_was_cut(log, kept):
    log.write_bytes(b"".join(lines_of(log)[:kept]))
    with pytest.raises(LedgerError, match=rf"log\.jsonl:{kept + 1}: is missing; the head names 6 lines"):
        Chain(log)


def test_half_a_line_cut_off_is_a_cut_tail_too(log):
    log.write_bytes(log.read_bytes()[:-10])
    with pytest.raises(LedgerError, match=r"log\.jsonl:6: is missing"):
        Chain(log)


def test_a_log_that_is_gone_is_found(log):
    log.unlink()
    with pytest.raises(LedgerError, match=r"log\.jsonl:1: is missing"):
        Chain(log)


def test_a_crash_between_line_and_head_bricks_nothing(log):
    head = read_head(log)
    Chain(log).append("part", studies=6)
    write_head(log, head)  # as if the power had failed before the head was renamed
    chain = Chain(log)
    assert chain.seq == 7
    chain.repair()
    assert read_head(log).seq == 6
    chain.append("part", studies=7)
    assert read_head(log).seq == 7
    assert len(list(Chain(log).entries())) == 8


def test_a_crash_before_the_first_head_bricks_nothing(tmp_path):
    chain = Chain(tmp_path / "log.jsonl")
    chain.append("started")
    head_path(chain.path).unlink()
    again = Chain(chain.path)
    again.repair()
    again.append("part")
    assert read_head(chain.path).seq == 1


def test_a_head_taken_away_is_found(log):
    head_path(log).unlink()
    with pytest.raises(
        LedgerError, match=r"log\.head\.json: is missing; the log cannot be shown to be whole"
    ):
        Chain(log)


def test_a_log_from_before_heads_is_still_read(tmp_path, log):
    from harness.chain import START
    from harness.digests import canonical_json, digest_value

    previous, written = START, []
    for number in range(3):
        entry = {"seq": number, "event": "part", "previous": previous}
        previous = digest_value(entry)
        written.append(canonical_json({**entry, "digest": previous}))
    old = tmp_path / "old.jsonl"
    old.write_text("\n".join(written) + "\n")
    assert Chain(old).seq == 3


def test_an_older_or_another_head_is_found(log, tmp_path):
    entry = list(Chain(log).entries())[2]
    head = read_head(log)
    write_head(log, replace(head, seq=2, digest=entry["digest"]))
    with pytest.raises(LedgerError, match="names 3 lines, but 6 are there"):
        Chain(log)
    write_head(log, replace(head, digest="0" * 64))
    with pytest.raises(LedgerError, match="is not the head of this log; line 6 has another digest"):
        Chain(log)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seq": "1"}', '{"seq":1,"digest":2,"time":"t"}'])
def test_what_is_no_head_is_refused(log, content):
    head_path(log).write_text(content)
    with pytest.raises(LedgerError, match=r"log\.head\.json: is no head"):
        Chain(log)


def test_a_signed_head(log):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    key = ed25519.Ed25519PrivateKey.generate()
    head = sign_head(log, key)
    assert head == read_head(log)
    assert head.signed
    assert head_account(head)["signed_by"] == head.public_key
    check_signature(log, head)
    for changed in (replace(head, seq=4), replace(head, time="2020-01-01"), replace(head, signature="00"),
                    replace(head, public_key="zz")):  # fmt: skip
        with pytest.raises(LedgerError, match="its signature does not hold"):
            check_signature(log, changed)
    # A forger with a key of his own is another signer, and is named as such.
    forged = sign_head(log, ed25519.Ed25519PrivateKey.generate())
    check_signature(log, forged)
    assert forged.public_key != head.public_key


def test_a_line_after_the_signature_takes_it_away(log):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    sign_head(log, ed25519.Ed25519PrivateKey.generate())
    Chain(log).append("part")
    assert not read_head(log).signed
    assert json.loads(head_path(log).read_text())["signature"] == ""
