"""Pictures by WADO-RS from a server that keeps the standard, and from one that breaks it."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import quote

import pytest

pytest.importorskip("dicomweb_client")
pytest.importorskip("fastapi")

import httpx
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, DeflatedExplicitVRLittleEndian
from starlette.testclient import TestClient

from dicom_phantoms import DicomPhantoms
from harness.candidates.http.requests import request_of
from harness.errors import ServiceError
from harness.report import Report
from harness.service.app import build_app
from harness.service.contract import PATH, Problem
from harness.service.service import Service
from harness.service.sources import open_source
from harness.service.sources.base import ImageMissing, SourceFailure
from harness.service.uids import derived_uid
from serve_process import serving
from services import Scripted
from wado_server import ROOT, WadoServer

UNCOMPRESSED = "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory, service_root):
    """Requests for one picture each, and its file."""
    cohort = DicomPhantoms(service_root, tmp_path_factory.mktemp("dicom") / "dicom")
    found = []
    for case in cohort:
        asked = request_of(case.study)
        image = asked.images[0]
        asked = asked.model_copy(
            update={"study_id": derived_uid(case.study.study_id), "images": asked.images[:1]}
        )
        path = cohort.dicom / f"{image.instance_uid}.dcm"
        found.append(SimpleNamespace(asked=asked, image=image, path=path, uid=image.instance_uid))
    return found


@pytest.fixture
def phantom(phantoms):
    return phantoms[0]


@pytest.fixture
def server():
    with WadoServer() as server:
        yield server


@pytest.fixture
def source(server):
    source = open_source(f"dicomweb:{server.url}")
    source.open()
    return source


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("harness.service.sources.dicomweb._TIMEOUT_S", 0.5)


def fetch(source, phantom, folder, study_id=None):
    return source.fetch(study_id or phantom.asked.study_id, phantom.image, folder)


def wado_lines(server):
    return [line.split()[1] for line in server.lines if "/series/" in line]


def changed(phantom, path, **fields):
    """The phantom's file with other fields."""
    file = pydicom.dcmread(phantom.path)
    for name, value in fields.items():
        setattr(file, name, value)
    file.save_as(path)
    return path


def compressed(phantom, path):
    """As a syntax that no decoder reads."""
    file = pydicom.dcmread(phantom.path)
    file.file_meta.TransferSyntaxUID = MPEG2MPML
    file.PixelData = encapsulate([b"\x00" * 100])
    file["PixelData"].is_undefined_length = True
    file.save_as(path)
    return path


def deflated(phantom, path):
    """Ten million bytes in some ten thousand."""
    file = pydicom.dcmread(phantom.path)
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file.PixelData = bytes(10_000_000)
    file.save_as(path)
    assert path.stat().st_size < 100_000
    return path


# --- what is fetched

WHOLE = ("bare", "compressed_only", "compressed_only_as_orthanc")


@pytest.mark.parametrize("fault", [None, *WHOLE])
def test_an_instance_is_fetched_as_it_is(server, source, phantom, tmp_path, fault):
    server.put(phantom.path, fault)
    path = fetch(source, phantom, tmp_path)
    assert path.parent == tmp_path
    assert pydicom.dcmread(path) == pydicom.dcmread(phantom.path)
    assert set(wado_lines(server)) == {
        f"{ROOT}/studies/{phantom.asked.study_id}/series/{phantom.image.series_uid}/instances/{phantom.uid}"
    }


def test_uncompressed_pixels_are_asked_for_and_the_whole_host(server, source, phantom, tmp_path):
    server.put(phantom.path)
    fetch(source, phantom, tmp_path)
    told = server.heads[-1]
    assert told["accept"] == f'multipart/related; type="application/dicom"; transfer-syntax={UNCOMPRESSED}'
    assert told["accept-encoding"] == "identity"
    assert told["host"] == server.host


def test_a_study_by_its_accession_number_is_searched(server, source, phantom, tmp_path):
    server.put(phantom.path)
    assert fetch(source, phantom, tmp_path, "A-1").is_file()
    assert f"/studies/{phantom.asked.study_id}/" in wado_lines(server)[0]
    assert "A-1" not in "".join(server.lines)
    server.found[phantom.uid] = []
    with pytest.raises(ImageMissing):
        fetch(source, phantom, tmp_path, "A-1")
    server.found[phantom.uid] = ["1.2.3", "1.2.4"]
    with pytest.raises(SourceFailure, match="several studies"):
        fetch(source, phantom, tmp_path, "A-1")


def test_every_study_of_a_number_is_found(server, source, monkeypatch):
    assert source.studies("A-1") == set()
    server.bearers = {
        "AccessionNumber": [("1.2.3", "A-1 "), ("1.2.4", "A-12"), ("1.2.5", None)],  # a loose comparison
        "StudyID": [("1.2.3", "A-1"), ("1.2.6", "A-1")],
    }
    assert source.studies("A-1") == {"1.2.3", "1.2.6"}
    monkeypatch.setattr("harness.service.sources.dicomweb._MOST_STUDIES", 3)
    with pytest.raises(SourceFailure, match="too many studies"):
        source.studies("A-1")


def test_a_number_of_several_studies_gets_no_report(server, client, phantom, tmp_path):
    server.put(changed(phantom, tmp_path / "changed", AccessionNumber="A-1", StudyID="1"))
    study = phantom.asked.study_id
    asked = SimpleNamespace(asked=phantom.asked.model_copy(update={"study_id": "A-1"}), uid="k")
    for bearers in ([], [(study, "A-1"), ("1.2.3", "A-1")], [("1.2.3", "A-1")]):
        server.bearers = {"AccessionNumber": bearers}
        answer = post(client, asked)
        assert (answer.status_code, problem(answer)[0]) == (422, "identity-mismatch")
        assert "A-1" not in answer.text
        assert "2.25." not in answer.text
    server.bearers = {"AccessionNumber": [(study, "A-1")]}
    assert post(client, asked).status_code == 200


@pytest.mark.parametrize("told", ["../../admin", "1.2/../..", "1.2?x=1", "1.2#", "", "1.2\r\nX: y", 7, None])
def test_an_identifier_of_the_server_that_is_none_reaches_no_url(server, source, phantom, tmp_path, told):
    server.put(phantom.path)
    server.found[phantom.uid] = [told]
    with pytest.raises(SourceFailure):
        fetch(source, phantom, tmp_path, "A-1")
    assert wado_lines(server) == []


def test_login(server, phantom, tmp_path):
    server.put(phantom.path)
    source = open_source(f"dicomweb:http://me:p%40ss@{server.host}{ROOT}")
    source.open()
    fetch(source, phantom, tmp_path)
    assert {told["authorization"] for told in server.heads} == {"Basic bWU6cEBzcw=="}


# --- what is not


REASONS = {
    "unauthorised": "answers 401; it must let this service in",
    "forbidden": "answers 403; it must let this service in",
    "error": "answers 500$",
    "busy_once": "answers 503$",
    "half": r"breaks off \(RemoteProtocolError\)",
    "half_chunked": "breaks off before the closing boundary",
    "half_of_unknown_length": "breaks off before the closing boundary",
    "hang_up": "breaks off",
    "html": "no multipart/related answer",
    "no_type": "no multipart/related answer",
    "no_dicom": "no DICOM instance",
    "no_part": "none or several instances",
    "two": "none or several instances",
    "gzip": "encoded answer",
    "redirect": "redirect; name the service by the URL",
    "huge": "more than 88,388,608 bytes",
    "drip": "not given its whole answer within 0.5 s",
    "drip_head": "not given its whole answer within 0.5 s",
    "silent": "not given its whole answer within 0.5 s",
}


@pytest.mark.parametrize("fault", REASONS)
def test_a_fault_is_told_and_leaves_no_file(server, source, phantom, tmp_path, impatient, fault):
    server.put(phantom.path, fault)
    with pytest.raises(SourceFailure, match=REASONS[fault]) as caught:
        fetch(source, phantom, tmp_path)
    assert not isinstance(caught.value, ImageMissing)
    assert phantom.uid not in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert server.asked[phantom.uid] == (2 if fault == "error" else 1)  # then for whatever it can send


def test_every_fault_of_the_server_is_tried():
    faults = {name.removeprefix("fault_") for name in dir(WadoServer) if name.startswith("fault_")}
    assert faults == {*REASONS, *WHOLE, "huge_chunked", "missing", "slow"}


def test_what_is_not_there_is_missing(server, source, phantom, tmp_path):
    for path in ("never put", phantom.path):
        if path == phantom.path:
            server.put(path, "missing")
        with pytest.raises(ImageMissing, match="no such instance"):
            fetch(source, phantom, tmp_path)


def test_a_redirect_leads_nowhere(server, source, phantom, tmp_path):
    server.put(phantom.path, "redirect")
    with WadoServer() as elsewhere:
        elsewhere.put(phantom.path)
        server.elsewhere = elsewhere.url
        with pytest.raises(SourceFailure):
            fetch(source, phantom, tmp_path)
        assert elsewhere.lines == []


def test_100_mb_that_are_announced_are_not_read(server, source, phantom, tmp_path):
    server.put(phantom.path, "huge")
    with pytest.raises(SourceFailure):
        fetch(source, phantom, tmp_path)
    assert server.sent < 20_000_000  # what fits into the buffers of two sockets


def test_100_mb_that_are_not_announced_are_read_up_to_the_limit(
    server, source, phantom, tmp_path, monkeypatch
):
    monkeypatch.setattr("harness.service.sources.dicomweb.MOST_BYTES", 1_000_000)
    server.put(phantom.path, "huge_chunked")
    with pytest.raises(SourceFailure, match="more than 1,000,000 bytes"):
        fetch(source, phantom, tmp_path)
    assert server.sent < 20_000_000


def test_another_instance_is_the_server_s_fault(server, source, phantoms, tmp_path):
    server.put(phantoms[1].path, uid=phantoms[0].uid)
    with pytest.raises(SourceFailure, match="another instance"):
        fetch(source, phantoms[0], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_could_inflate_to_any_size_is_not_inflated(server, source, phantom, tmp_path):
    server.put(deflated(phantom, tmp_path / "deflated"))
    with pytest.raises(SourceFailure, match="deflated"):
        fetch(source, phantom, tmp_path)


def test_nobody_there(phantom, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    source = open_source(f"dicomweb:http://127.0.0.1:{port}{ROOT}")
    with pytest.raises(SourceFailure, match="cannot be reached"):
        fetch(source, phantom, tmp_path)
    with pytest.raises(ServiceError, match=rf"127.0.0.1:{port}{ROOT}: .* cannot be reached; is it running"):
        source.open()


def test_a_server_of_another_kind_is_not_opened(server):
    with pytest.raises(ServiceError, match="answers 404"):
        open_source(f"dicomweb:http://{server.host}/another").open()
    server.studies = b"<html>"
    with pytest.raises(ServiceError, match="no DICOM"):
        open_source(f"dicomweb:{server.url}").open()


@pytest.mark.parametrize(
    "place", ["host/dicom-web", "ftp://host", "http://", "http://h:x", "http://h:99999", "http://h/?a", "http://["]
)  # fmt: skip
def test_a_place_that_is_none(place):
    with pytest.raises(ServiceError, match="by its URL"):
        open_source(f"dicomweb:{place}")


def test_an_address_of_version_6(phantom, tmp_path):
    try:
        server = WadoServer("::1").__enter__()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    server.put(phantom.path)
    source = open_source(f"dicomweb:{server.url}")
    source.open()
    assert fetch(source, phantom, tmp_path).is_file()
    assert server.heads[-1]["host"] == server.host
    server.__exit__()


# --- what whoever asks the service sees


ANSWERS = {
    None: (200, ""),
    **dict.fromkeys(WHOLE, (200, "")),
    "missing": (404, "image-not-found"),
    **dict.fromkeys(REASONS, (502, "image-source")),
}


@pytest.fixture
def client(source):
    service = Service(Scripted(), source, timeout_s=60)
    service.start()
    with TestClient(build_app(service)) as client:
        yield client


def post(client, phantom):
    body = phantom.asked.model_dump_json(exclude_none=True)
    return client.post(
        PATH.format(study_id=phantom.asked.study_id),
        content=body,
        headers={"Content-Type": "application/json", "Idempotency-Key": phantom.uid},
    )


def problem(response):
    told = Problem.model_validate_json(response.content)
    return told.type.rpartition(":")[2], told.detail


def test_each_study_fails_alone_and_with_its_reason(server, client, phantoms, impatient, caplog):
    chosen = dict(zip(ANSWERS, phantoms, strict=False))
    for fault, phantom in chosen.items():
        server.put(phantom.path, fault)
    with caplog.at_level("DEBUG"), ThreadPoolExecutor(8) as threads:
        came = threads.map(lambda phantom: post(client, phantom), chosen.values())
        answers = dict(zip(chosen, came, strict=True))
    for fault, (status, kind) in ANSWERS.items():
        answer, phantom = answers[fault], chosen[fault]
        assert answer.status_code == status, fault
        if status == 200:
            assert answer.headers["x-study-id"] == phantom.asked.study_id
            assert Report.model_validate_json(answer.content).report_id == f"r-{phantom.asked.study_id}"
            continue
        assert problem(answer)[0] == kind
        assert ("retry-after" in answer.headers) == (status == 502)
        assert "2.25." not in answer.text
    told = "\n".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert f" {PATH} 502 " in told
    assert "2.25." not in told
    assert "SECRET" not in told


def test_a_server_that_was_busy_is_asked_again_under_the_same_key(server, client, phantom):
    server.put(phantom.path, "busy_once")
    first = post(client, phantom)
    assert (first.status_code, problem(first)) == (502, ("image-source", "the DICOMweb server answers 503"))
    assert 1 <= int(first.headers["retry-after"]) <= 60
    assert post(client, phantom).status_code == 200


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"StudyInstanceUID": "1.2.3"}, "belongs to another study"),
        ({"SeriesInstanceUID": "1.2.3"}, "of another series"),
        ({"NumberOfFrames": 2}, "several frames"),
        ({"Rows": 60_000, "Columns": 60_000}, "at most 8192"),
        ({"Rows": 8_000, "Columns": 8_000}, "at most 40,000,000"),
        ({"Rows": 1_000}, "truncated or damaged"),
        ({"Modality": "CT"}, "modality CT"),
    ],
)
def test_a_file_that_is_no_radiograph_of_this_study(server, client, phantoms, tmp_path, fields, told):
    server.put(changed(phantoms[0], tmp_path / "changed", **fields))
    server.put(phantoms[1].path)
    bad, good = post(client, phantoms[0]), post(client, phantoms[1])
    assert good.status_code == 200
    assert bad.status_code == 422
    kind, detail = problem(bad)
    assert kind == "unusable-image"
    assert told in detail
    assert "2.25." not in bad.text


def test_a_compression_that_no_decoder_reads(server, client, phantom, tmp_path):
    server.put(compressed(phantom, tmp_path / "compressed"), "compressed_only")
    answer = post(client, phantom)
    assert answer.status_code == 422
    assert "compressed as MPEG2" in problem(answer)[1]
    assert server.asked[phantom.uid] == 2  # uncompressed first


def test_identifiers_like_paths_reach_no_url(server, client, phantom):
    server.put(phantom.path)
    whole = phantom.asked.model_dump(mode="json", exclude_none=True)
    for bad in ("../../../etc/passwd", "1.2/../3", "1.2%2f..", "1.2?x", "1.2\n", "1..2", "/", ""):
        for field in ("series_uid", "instance_uid"):
            body = {**whole, "images": [{**whole["images"][0], field: bad}]}
            answer = client.post(PATH.format(study_id=whole["study_id"]), json=body)
            assert answer.status_code == 422
        answer = client.post(PATH.format(study_id=quote(bad, safe="")), json={**whole, "study_id": bad})
        assert answer.status_code in (404, 422)
    for line in server.lines:  # "1..2" may be an Accession Number: it is looked for in the file alone
        assert ".." not in line
        assert "etc" not in line


def test_pictures_that_nobody_waits_for_are_not_fetched(monkeypatch, server, client, phantoms):
    """A study of many pictures that come slowly must not keep the others from being fetched."""
    monkeypatch.setattr("harness.service.service._FETCH_S", 0.5)
    monkeypatch.setattr("harness.service.sources.dicomweb._TIMEOUT_S", 5)
    for phantom in phantoms:
        server.put(phantom.path)
    server.faults[phantoms[0].uid] = "slow"
    first = phantoms[0].image
    others = [phantom.image for phantom in phantoms[1:10]]
    asked = phantoms[0].asked.model_copy(update={"images": (first, *others)})
    answer = client.post(
        PATH.format(study_id=asked.study_id), json=asked.model_dump(mode="json", exclude_none=True)
    )
    assert answer.status_code == 502
    assert problem(answer)[1] == "the pictures did not come in time"
    server.let_go.set()
    assert post(client, phantoms[11]).status_code == 200
    assert [server.asked[image.instance_uid] for image in others] == [0] * len(others)


@pytest.mark.filterwarnings("ignore:Invalid value")  # of this process
def test_the_log_of_the_process_holds_nothing_of_patients(server, phantoms, tmp_path):
    """Also where values break the standard, of which pydicom warns by quoting them."""
    good, odd, broken = phantoms[:3]
    study = "1.02." + "7" * 20
    path, log = tmp_path / "odd", tmp_path / "log"
    whole = odd.path.read_bytes()
    path.write_bytes(whole.replace(odd.asked.study_id.encode()[: len(study)], study.encode()))
    server.put(good.path)
    server.put(path)
    server.put(broken.path, "no_dicom")
    reports = tmp_path / "p.jsonl"  # loads faster than a model
    reports.write_text(json.dumps({"study_id": good.asked.study_id, "report": "Clear."}))
    options = ("--images", f"dicomweb:{server.url}")
    with (
        serving(*options, candidate=f"predictions:{reports}", log=log) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        answers = [post(client, each).status_code for each in (good, odd, broken)]
    assert answers == [200, 422, 502]
    told = log.read_text()
    assert f" {PATH} 422 " in told
    for secret in ("2.25.", study, "SECRET", "PHANTOM", "Warning", "Traceback"):
        assert secret not in told
