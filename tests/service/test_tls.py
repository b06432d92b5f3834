"""`harness serve` with TLS and with mutual TLS: who gets in, who does not, and what they are told."""

import json
import socket
import ssl

import pytest

pytest.importorskip("httpx")
pytest.importorskip("cryptography")
pytest.importorskip("fastapi")
pytest.importorskip("pydicom")

import httpx

from certificates import CLIENT, DAY, NOW, SERVER, Person
from harness.candidates import open_candidate
from harness.cli import main
from harness.engines.local import run_local
from harness.errors import CandidateError
from harness.outcome import Status
from harness.service.contract import PATH
from harness.study import Image, Study, View
from serve_process import started
from services import body_of, dicom_file

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A picture, a report, and everybody's certificates."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "dicom").mkdir()
    dicom_file(folder / "dicom" / "a.dcm")
    (folder / "p.jsonl").write_text(json.dumps({"study_id": "s1", "report": "Report of s1."}) + "\n")
    authority = Person("Hospital Authority", ca=True)
    another = Person("Another Authority", ca=True)
    namesake = Person("Hospital Authority", ca=True)  # another key under the same name
    people = {
        "server": Person("server", issuer=authority, use=SERVER, hosts=[HOST]),
        "elsewhere": Person("server", issuer=authority, use=SERVER, hosts=["127.0.0.2"]),
        "client": Person("client", issuer=authority, use=CLIENT),
        "stranger": Person("client", issuer=another, use=CLIENT),
        "impostor": Person("client", issuer=namesake, use=CLIENT),
        "expired": Person("client", issuer=authority, use=CLIENT, begins=NOW - 3 * DAY, ends=NOW - DAY),
        "for-servers": Person("client", issuer=authority, use=SERVER),
        "of-nobody": Person("client", use=CLIENT),
    }
    for name, person in people.items():
        person.pem(folder / f"{name}.pem")
    people["client"].pem(folder / "client-with-passphrase.pem", "secret")
    authority.trusted(folder / "ca.pem")
    another.trusted(folder / "another-ca.pem")
    return folder


def options(place, certificate="server", authority="ca"):
    told = ["--images", f"folder:{place / 'dicom'}"]
    told += ["--tls-certificate", f"{place / certificate}.pem", "--tls-key", f"{place / certificate}.pem"]
    return told + (["--tls-client-ca", f"{place / authority}.pem"] if authority else [])


@pytest.fixture(scope="module")
def url(place):
    """Of a service that asks for certificates of its authority. Afterwards, its log is looked at."""
    candidate, log = f"predictions:{place / 'p.jsonl'}", place / "log"
    with started(*options(place), candidate=candidate, log=log) as (process, url):
        assert url.startswith(f"https://{HOST}:")
        yield url
        assert process.poll() is None
    assert process.returncode == 0
    told = log.read_text()
    assert f"POST {PATH} 200" in told
    assert "Traceback" not in told
    assert "s1" not in told
    assert "ERROR" not in told


def context(place, certificate=None, *, newest=ssl.TLSVersion.TLSv1_3):
    made = ssl.create_default_context(cafile=place / "ca.pem")
    made.maximum_version = newest
    if certificate:
        made.load_cert_chain(place / f"{certificate}.pem")
    return made


def locator(place, url, certificate="client", ca="ca"):
    files = {"ca": ca, "certificate": certificate}
    return f"http:{url}?" + "&".join(f"{name}={place / file}.pem" for name, file in files.items() if file)


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr("harness.candidates.http.client._BACKOFF_S", 0.01)


def test_a_client_with_the_right_certificate_gets_a_report(place, url):
    candidate = open_candidate(locator(place, url))
    candidate.digest()
    study = Study("s1", (Image(place / "dicom" / "a.dcm", View.PA),))
    (outcome,) = run_local(candidate, [study], timeout_s=60)
    assert outcome.status is Status.OK
    assert outcome.report.findings_text == "Report of s1."


@pytest.mark.parametrize(
    "certificate", [None, "stranger", "impostor", "expired", "for-servers", "of-nobody"]
)  # fmt: skip
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_others_get_nothing_at_all(place, url, certificate, newest):
    right = context(place, "client", newest=newest)
    assert httpx.get(f"{url}/healthz", verify=right, trust_env=False).status_code == 200
    wrong = context(place, certificate, newest=newest)
    with httpx.Client(base_url=url, verify=wrong, trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            client.post(PATH.format(study_id="s1"), json=body_of())
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
            with pytest.raises(httpx.TransportError):
                client.get(path)


def test_plain_http_gets_nothing_at_all(url):
    port = int(url.rpartition(":")[2])
    with socket.create_connection((HOST, port), timeout=30) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.shutdown(socket.SHUT_WR)
        told = plain.recv(4096)
    assert b"HTTP" not in told
    assert b"ready" not in told


@pytest.mark.parametrize(
    ("certificate", "told"),
    [(None, "certificate=FILE&key=FILE"), ("stranger", "it may not take this one")],
)
def test_a_candidate_that_is_not_let_in_is_told_what_may_be_missing(place, url, at_once, certificate, told):
    with pytest.raises(CandidateError, match=rf"no service is ready there .* {told}"):
        open_candidate(locator(place, url, certificate)).digest()


def test_a_candidate_that_speaks_plain_http_is_told_so(url, at_once):
    with pytest.raises(CandidateError, match="or use https://"):
        open_candidate(f"http:{url.replace('https', 'http')}").digest()


@pytest.mark.parametrize("ca", ["another-ca", None])
def test_a_service_of_an_unknown_authority_is_not_trusted(place, url, ca):
    with pytest.raises(CandidateError, match=r"certificate is not trusted .*; name its authority: ca=FILE"):
        open_candidate(locator(place, url, ca=ca)).digest()


def test_a_service_under_another_address_is_not_trusted_and_tls_alone_asks_for_nothing(place):
    candidate = f"predictions:{place / 'p.jsonl'}"
    with started(*options(place, "elsewhere", None), candidate=candidate) as (_, url):
        with pytest.raises(CandidateError, match=r"certificate is not trusted .*not valid for '127.0.0.1'"):
            open_candidate(locator(place, url, None)).digest()
        anybody = context(place)
        anybody.check_hostname = False
        assert httpx.get(f"{url}/healthz", verify=anybody, trust_env=False).status_code == 200


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(place, url):
    with pytest.raises(CandidateError, match="certificates cannot be used"):
        open_candidate(locator(place, url, "client-with-passphrase")).digest()


@pytest.mark.parametrize(
    ("certificate", "authority"), [("p.jsonl", "ca"), ("server", "broken"), ("ca", "ca")]
)
def test_files_that_are_none_do_not_start_it(place, capsys, certificate, authority):
    (place / "broken.pem").write_text("no certificate")
    (place / "p.jsonl.pem").write_text("no certificate")
    candidate = ["--candidate", f"predictions:{place / 'p.jsonl'}", "--port", "0"]
    assert main(["serve", *candidate, *options(place, certificate, authority)]) == 2
    assert "--tls-client-ca holds what cannot be used" in capsys.readouterr().err
