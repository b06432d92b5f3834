import stat
from datetime import UTC, datetime

import pytest

pytest.importorskip("cryptography")

from certificates import DAY, NOW, SERVER, Person
from harness.errors import HarnessError
from harness.evidence.keys import (
    common_name,
    load_log_key,
    load_signing_key,
    make_development_key,
    make_log_key,
    objections,
    same_name,
)


def nobody():
    raise AssertionError("no passphrase is needed")


def test_pem_and_pkcs12_hold_the_same_key(tmp_path):
    ann = Person("Ann Author")
    pem = load_signing_key(ann.pem(tmp_path / "ann.pem"), nobody)
    closed = load_signing_key(ann.pem(tmp_path / "closed.pem", "open sesame"), lambda: "open sesame")
    pkcs12 = load_signing_key(ann.pkcs12(tmp_path / "ann.p12", "open sesame"), lambda: "open sesame")
    for found in (pem, closed, pkcs12):
        assert found.certificate == ann.certificate
        assert common_name(found.certificate) == "Ann Author"
        assert not found.development


@pytest.mark.parametrize("kind", ["pem", "pkcs12"])
def test_a_wrong_passphrase_is_told(tmp_path, kind):
    path = getattr(Person("Ann Author"), kind)(tmp_path / "key", "open sesame")
    for wrong in ("", "open barley"):
        with pytest.raises(HarnessError, match="or the passphrase is wrong"):
            load_signing_key(path, lambda wrong=wrong: wrong)


def test_what_is_no_key_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    with pytest.raises(HarnessError, match="cannot be read"):
        load_signing_key(path, nobody)
    path.write_bytes(b"words")
    with pytest.raises(HarnessError, match=r"is no PKCS#12 or PEM file"):
        load_signing_key(path, lambda: "")
    ann, other = Person("Ann Author"), Person("Other")
    ann.trusted(path)
    with pytest.raises(HarnessError, match="holds no private key"):
        load_signing_key(path, nobody)
    key, _, certificate = ann.pem(path).read_bytes().partition(b"-----BEGIN CERT")
    path.write_bytes(key)
    with pytest.raises(HarnessError, match="holds no certificate"):
        load_signing_key(path, nobody)
    path.write_bytes(key + other.trusted(tmp_path / "other.pem").read_bytes())
    with pytest.raises(HarnessError, match="no certificate in it is that of the key"):
        load_signing_key(path, nobody)
    path.write_bytes(
        other.trusted(tmp_path / "other.pem").read_bytes() + key + b"-----BEGIN CERT" + certificate
    )
    assert load_signing_key(path, nobody).chain == (other.certificate,)


def test_a_development_key_names_itself_and_is_for_its_owner_alone(tmp_path):
    make_development_key(tmp_path / "dev.pem", "Ann Author")
    found = load_signing_key(tmp_path / "dev.pem", nobody)
    assert found.development
    assert common_name(found.certificate) == "Ann Author"
    assert objections(found.certificate, datetime.now(UTC)) == []
    assert stat.S_IMODE((tmp_path / "dev.pem").stat().st_mode) == 0o600
    with pytest.raises(HarnessError, match="cannot be written: File exists"):
        make_development_key(tmp_path / "dev.pem", "Somebody Else")


@pytest.mark.parametrize(
    ("person", "why"),
    [
        (lambda: Person("A", begins=NOW - 2 * DAY, ends=NOW - DAY), "expired on"),
        (lambda: Person("A", begins=NOW + DAY), "is not valid before"),
        (lambda: Person("A", signs=False), "is not for signatures"),
        (lambda: Person("A", use=SERVER), "is not for documents"),
        (lambda: Person("A", ca=True), "is that of an authority"),
    ],
)
def test_what_may_not_sign(person, why):
    (found,) = objections(person().certificate, NOW)
    assert why in found


def test_one_person_has_one_name():
    assert same_name("Ann  Author", "ann author ")
    assert not same_name("Ann Author", "Ann Other")


def test_keys_of_logs(tmp_path):
    make_log_key(tmp_path / "log.pem")
    key = load_log_key(tmp_path / "log.pem", nobody)
    assert len(key.sign(b"x")) == 64
    with pytest.raises(HarnessError, match="signed with an Ed25519 key; this is another kind"):
        load_log_key(Person("A").pem(tmp_path / "a.pem"), nobody)
    (tmp_path / "log.pem").write_bytes(b"words")
    with pytest.raises(HarnessError, match="holds no private key"):
        load_log_key(tmp_path / "log.pem", nobody)
