"""The contract over HTTP, from a request's bytes to the answer's, with real worker processes."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("pydicom")

from starlette.testclient import TestClient

from harness.report import Report
from harness.service.app import MOST_BODY, accepted, build_app
from harness.service.contract import PATH, Health, Problem
from harness.service.refusals import Refusal
from harness.service.service import _FETCHERS, Service
from harness.service.sources.folder import FolderSource
from harness.service.uids import derived_uid
from services import Batched, Scripted, body_of, dicom_file

TOKEN = "t" * 32
NAMES = ("s1", "pneumothorax-5", "raise-1", "die-3", "empty-4", "hang-2")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for name in (*NAMES, *(f"n{number}" for number in range(40))):
        dicom_file(folder / f"{name}.dcm", name)
    dicom_file(folder / "one.dcm", "one", StudyID="1", PatientID="P-ONE")
    dicom_file(folder / "two.dcm", "two", StudyID="1", PatientID="P-TWO")
    for picture, patient, sex in (
        ("a", "P-ONE", "F"),
        ("b", "P-TWO", ""),
        ("c", "P-ONE", "M"),
        ("d", "", "F"),
    ):
        path = folder / f"mixed-{picture}.dcm"
        dicom_file(path, "mixed", picture, PatientID=patient, PatientSex=sex, AccessionNumber="1.2.3")
    return folder


@pytest.fixture
def serve(images):
    """Starts services; each is ended with the test."""
    clients = []

    def start(candidate, *, token=None, **options):
        service = Service(candidate, FolderSource(str(images)), **{"timeout_s": 60, **options})
        service.start()
        client = TestClient(build_app(service, token=token), raise_server_exceptions=True)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def client(images):
    service = Service(Scripted(), FolderSource(str(images)), timeout_s=60)
    service.start()
    with TestClient(build_app(service)) as client:
        yield client


def post(client, study="s1", body=None, query="", **headers):
    content = json.dumps(body or body_of(study)) if not isinstance(body, bytes) else body
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(
        PATH.format(study_id=study) + query,
        content=content,
        headers={"Content-Type": "application/json", **names},
    )


def refused(response, status, kind):
    problem = Problem.model_validate_json(response.content)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem.status) == (status, status)
    assert problem.type == f"urn:harness:problem:{kind}"
    return problem


def test_a_report(client):
    response = post(client)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-study-id"] == "s1"
    assert response.headers["x-candidate"] == "5" * 64
    assert response.headers["cache-control"] == "no-store"
    report = Report.model_validate_json(response.content)
    assert report.report_id == "r-s1"
    assert report.impression == "Study s1: 1 pictures."


def test_forms(client):
    fhir = post(client, Accept="application/fhir+json")
    assert fhir.headers["content-type"] == "application/fhir+json"
    assert fhir.json()["resourceType"] == "DiagnosticReport"
    text = post(client, query="?format=text", Accept="application/json")
    assert text.headers["content-type"].startswith("text/plain")
    assert text.text.startswith("CHEST X-RAY REPORT\nStudy: s1\n")
    refused(post(client, Accept="image/png"), 406, "not-acceptable")
    refused(post(client, query="?format=pdf"), 422, "invalid-request")


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("*/*", "json"), ("application/json", "json"), ("text/*", "text"), ("application/*", "json"),
        ("text/plain;q=0.5, application/fhir+json", "fhir"), ("image/png, text/plain;q=0.1", "text"),
        ("application/json;q=0, text/plain", "text"), ("TEXT/PLAIN", "text"),
        ("application/json;q=0, */*", "fhir"), ("*/*, application/json;q=0", "fhir"),
        ("application/*;q=0, */*", "text"), ("application/json;q=0.1, */*;q=0.5, text/*;q=0.9", "text"),
        ("application/json;q=0, application/*;q=0.2, text/plain;q=0.1", "fhir"),
    ],
)  # fmt: skip
def test_accept(header, form):
    assert accepted(header) == form


@pytest.mark.parametrize(
    "header", ["", "image/*", "application/json;q=0", "text/plain;q=x", ";;,", "*/*;q=nan"]
)
def test_nothing_accepted(header):
    with pytest.raises(Refusal):
        accepted(header)


def test_bodies_that_are_none(client):
    refused(post(client, body=b"{"), 400, "not-json")
    refused(post(client, body=b"\xff\xfe"), 400, "not-json")
    refused(post(client, body=b"[]"), 422, "invalid-request")
    refused(post(client, body=b" " * (MOST_BODY + 1)), 413, "body-too-large")
    refused(post(client, Content_Type="text/plain"), 415, "not-json-type")
    refused(post(client, Content_Encoding="gzip"), 415, "not-json-type")


def test_what_is_sent_is_not_quoted(client):
    body = body_of("s1", clinical_context={"age": "SECRET", "SECRET": "SECRET"}, SECRET=1)
    problem = refused(post(client, body=body), 422, "invalid-request")
    assert {error.field for error in problem.errors} >= {"clinical_context.age"}
    assert "SECRET" not in problem.model_dump_json()


def test_path_and_body_are_of_one_study(client):
    problem = refused(post(client, "other", body_of("s1")), 422, "invalid-request")
    assert problem.errors[0].field == "study_id"
    for name in ("..%2f..%2fetc", "a%00b", "x" * 65, "%20"):
        assert post(client, name, body_of("s1")).status_code in (404, 422)


def test_images_that_are_not_there_or_of_another_study(client):
    refused(post(client, body=body_of("s1", "none")), 404, "image-not-found")
    body = {**body_of("s1"), "images": body_of("n1")["images"]}
    problem = refused(post(client, body=body), 422, "unusable-image")
    assert "another study" in problem.errors[0].problem


def test_two_patients_get_no_report(client, caplog):
    with caplog.at_level("DEBUG"):
        two = {**body_of("1"), "images": [*body_of("one")["images"], *body_of("two")["images"]]}
        alone = {**body_of("1"), "images": body_of("two")["images"]}
        for body in (two, alone):  # another patient's study has the same Study ID
            problem = refused(post(client, "1", body), 422, "identity-mismatch")
            assert [error.field for error in problem.errors] == ["study_id"]
            assert "ask by Study Instance UID" in problem.detail
        named = {**alone, "study_id": derived_uid("two")}
        assert post(client, named["study_id"], named).status_code == 200
        both = {**two, "study_id": derived_uid("two")}
        assert "another study" in refused(post(client, both["study_id"], both), 422, "unusable-image").detail
        uid = derived_uid("mixed")
        for pictures, told in (
            ("ab", "another Patient ID"), ("ad", "another Patient ID"), ("ac", "another patient's sex")
        ):  # fmt: skip
            body = {**body_of("mixed", *pictures), "study_id": uid}
            problem = refused(post(client, uid, body), 422, "identity-mismatch")
            assert [error.field for error in problem.errors] == ["images.1"]
            assert told in problem.detail
    told = "\n".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert "P-ONE" not in told
    assert "2.25." not in told


def test_a_number_like_a_unique_identifier_names_no_study(client):
    body = {**body_of("mixed"), "study_id": "1.2.3"}
    assert "another study" in refused(post(client, "1.2.3", body), 422, "unusable-image").detail


def test_the_patient_s_sex_is_that_of_the_pictures(client):
    uid = derived_uid("mixed")
    for picture, sex, status in (("a", "M", 422), ("a", "F", 200), ("a", None, 200), ("b", "M", 200)):
        body = {**body_of("mixed", picture), "study_id": uid, "clinical_context": {"sex": sex}}
        answer = post(client, uid, body)
        assert answer.status_code == status
        if status == 422:
            problem = refused(answer, 422, "identity-mismatch")
            assert [error.field for error in problem.errors] == ["clinical_context.sex"]


@pytest.mark.parametrize("study", ["raise-1", "empty-4"])
def test_a_candidate_that_fails_is_an_answer(client, study):
    problem = refused(post(client, study), 500, "no-report")
    assert study.partition("-")[0] in problem.detail
    assert "SECRET" not in problem.model_dump_json()
    assert post(client).status_code == 200


def test_a_worker_that_dies_or_is_late_is_replaced(serve):
    client = serve(Scripted(), timeout_s=4)

    def settled(study):
        """The answer, once a worker is up: one may take longer to load than a turn is waited for."""
        until = time.monotonic() + 120
        while (answer := post(client, study)).status_code == 503 and time.monotonic() < until:
            assert int(answer.headers["retry-after"]) >= 1
        return answer

    refused(settled("die-3"), 500, "no-report")
    refused(settled("hang-2"), 504, "late")
    assert settled("s1").json()["report_id"] == "r-s1"


def test_other_paths_and_methods(client):
    assert client.get(PATH.format(study_id="s1")).headers["allow"] == "POST"
    refused(client.get(PATH.format(study_id="s1")), 405, "method-not-allowed")
    refused(client.get("/docs"), 404, "not-found")


def test_health_and_metrics(client):
    post(client)
    health = Health.model_validate_json(client.get("/readyz").content)
    assert (health.status, health.candidate, health.candidate_digest) == ("ready", "scripted", "5" * 64)
    assert client.get("/healthz").status_code == 200
    text = client.get("/metrics").text
    assert 'harness_service_requests_total{status="200"}' in text
    assert 'harness_service_outcomes_total{status="died"} 0.0' in text
    assert "harness_service_taken 0.0" in text
    assert "s1" not in text.replace("harness", "")


def test_the_same_key_the_same_answer_and_the_candidate_asked_once(serve, tmp_path):
    client = serve(Scripted(str(tmp_path / "log"), pause_s=0.3))
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: post(client, Idempotency_Key="k"), range(4)))
    answers.append(post(client, Idempotency_Key="k", Accept="application/json"))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("idempotent-replay" not in answer.headers for answer in answers) == 1
    assert (tmp_path / "log").read_text() == "s1\n"
    refused(post(client, "n1", Idempotency_Key="k"), 422, "key-reused")
    refused(post(client, Idempotency_Key="two words"), 422, "invalid-request")
    refused(post(client, "raise-1", Idempotency_Key="r"), 500, "no-report")
    refused(post(client, "raise-1", Idempotency_Key="r"), 500, "no-report")
    assert (tmp_path / "log").read_text().count("raise-1") == 1


def test_templates_and_thresholds_are_honoured(serve):
    client = serve(Batched())
    assert client.get("/readyz").json()["report_templates"] == ["standard", "brief"]
    assert post(client, body=body_of(report_template="brief")).json()["recommendations"] == "brief"
    problem = refused(post(client, body=body_of(report_template="SECRET")), 422, "unknown-template")
    assert "standard, brief" in problem.detail
    assert "SECRET" not in problem.model_dump_json()
    whole = post(client, "pneumothorax-5").json()
    assert [item["finding"] for item in whole["findings"]] == ["Pneumothorax"]
    cut = post(
        client, body=body_of("pneumothorax-5", confidence_threshold=0.85), study="pneumothorax-5"
    ).json()
    assert cut["findings"] == []
    assert cut["requires_radiologist_review"] is True


def test_a_second_reader_that_disagrees_asks_for_a_radiologist(serve):
    client = serve(Scripted(), second=Scripted())
    assert post(client, "pneumothorax-5").json()["requires_radiologist_review"] is False
    from harness.testing import ConstantReport

    other = serve(Scripted(), second=ConstantReport("No pneumothorax."))
    report = post(other, "pneumothorax-5").json()
    assert report["requires_radiologist_review"] is True
    assert "the second reader does not have it" in report["review_reason"]


def test_a_full_queue(serve):
    client = serve(Scripted(pause_s=1.0), queue=2)
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda n: post(client, f"n{n}"), range(6)))
    told = sorted(answer.status_code for answer in answers)
    assert told[0] == 200
    assert told[-1] == 429
    full = next(answer for answer in answers if answer.status_code == 429)
    refused(full, 429, "queue-full")
    assert 1 <= int(full.headers["retry-after"]) <= 60


def test_a_report_that_is_made_does_not_wait_behind_pictures(images, tmp_path):
    let_go, fetching, log = threading.Event(), threading.Semaphore(0), tmp_path / "log"

    class Slow(FolderSource):
        def fetch(self, study_id, image, folder):
            if study_id != "s1":
                fetching.release()
                let_go.wait(60)
            return super().fetch(study_id, image, folder)

    service = Service(Scripted(str(log), pause_s=1.0), Slow(str(images)), timeout_s=60)
    service.start()
    with TestClient(build_app(service)) as client, ThreadPoolExecutor(8) as threads:
        try:
            first = threads.submit(post, client)
            while not log.exists():  # its pictures are there
                time.sleep(0.01)
            slow = [threads.submit(post, client, f"n{number}") for number in range(_FETCHERS)]
            for _ in slow:
                assert fetching.acquire(timeout=30)
            assert first.result(timeout=30).status_code == 200
        finally:
            let_go.set()
        assert [each.result().status_code for each in slow] == [200] * _FETCHERS


def test_the_time_to_wait_is_of_batches_not_of_studies_one_by_one(images, monkeypatch):
    service = Service(Batched(), FolderSource(str(images)))
    now = [0.0]

    def ask(studies, template):
        now[0] += 2.0  # for as many as there are
        return list(studies)

    monkeypatch.setattr("harness.service.service.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(service._first.pool, "ask", ask)
    for _ in range(10):
        asyncio.run(service._first._work(None, ["study"] * 8))
    service.taken = 64  # eight batches, half of which take eight seconds
    assert 8 <= service._wait_s() <= 9
    service.end()


@pytest.mark.parametrize("candidate", [Scripted(), Batched()])
def test_many_at_once_none_lost_doubled_or_exchanged(serve, candidate):
    client = serve(candidate, workers=2)
    asked = [f"n{number % 40}" for number in range(200)]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda name: post(client, name), asked))
    assert [answer.status_code for answer in answers] == [200] * 200
    assert [answer.json()["report_id"] for answer in answers] == [f"r-{name}" for name in asked]
    assert [answer.headers["x-study-id"] for answer in answers] == asked
    text = client.get("/metrics").text
    assert 'harness_service_outcomes_total{status="ok"} 200.0' in text


def test_a_token(serve):
    client = serve(Scripted(), token=TOKEN)
    assert client.get("/readyz").status_code == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        response = post(client, **headers)
        refused(response, 401, "unauthorised")
        assert response.headers["www-authenticate"] == "Bearer"
        assert client.get("/metrics", headers=headers).status_code == 401
    assert post(client, Authorization=f"Bearer {TOKEN}").status_code == 200


def test_closing_finishes_what_was_taken(images):
    service = Service(Scripted(pause_s=1.0), FolderSource(str(images)), timeout_s=60)
    service.start()
    found = []
    with TestClient(build_app(service)) as client:
        threads = [
            threading.Thread(target=lambda n=n: found.append(post(client, f"n{n}").status_code))
            for n in range(3)
        ]
        for thread in threads:
            thread.start()
        while service.taken < 3:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert found == [200] * 3
    assert service.health().status == "stopping"


def test_no_study_and_no_words_in_the_log(client, caplog):
    with caplog.at_level("DEBUG"):
        post(client, "raise-1")
        post(client, "pneumothorax-5")
    told = "\n".join(
        record.getMessage() for record in caplog.records if record.name != "httpx"
    )  # the client's
    assert " 500 " in told
    for secret in ("SECRET", "raise-1", "pneumothorax-5"):
        assert secret not in told
