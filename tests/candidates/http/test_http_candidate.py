import json

import pytest

from faulty_service import REPORT, FaultyService
from harness.candidates import open_candidate
from harness.candidates.http.candidate import HttpCandidate, idempotency_key
from harness.engines.local import run_local
from harness.errors import CandidateError
from harness.outcome import Status
from harness.report import Report
from harness.study import Context, Image, Sex, Study, View

NAME = "HARNESS_TEST_TOKEN"
SECRET = "s3cret" * 4


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "front.jpg"
    path.write_bytes(b"no DICOM")
    return path


@pytest.fixture
def service():
    with FaultyService() as service:
        yield service


def outcomes(candidate, picture, *ids, workers=1, timeout_s=20):
    context = Context(70, Sex.FEMALE, "cough", ("2020-01-01",))
    studies = [Study(study, (Image(picture, View.PA),), context) for study in ids]
    return {o.study_id: o for o in run_local(candidate, studies, workers=workers, timeout_s=timeout_s)}


def ready(service, **options):
    candidate = HttpCandidate(service.url, **options)
    candidate.digest()
    return candidate


def test_each_fault_is_a_failed_study_and_the_others_go_on(service, picture):
    expected = {
        "wrong-study": (Status.RAISED, "WrongStudyError"),
        "no-study": (Status.RAISED, "WrongStudyError"),
        "other-candidate": (Status.RAISED, "ChangedCandidateError"),
        "no-candidate": (Status.RAISED, "ChangedCandidateError"),
        "good": (Status.OK, ""),
        "other-version": (Status.RAISED, "ChangedCandidateError"),
        "error": (Status.RAISED, "RefusedError"),
        "candidate-late": (Status.LATE, "LateError"),
        "unknown": (Status.MISSING, "CandidateError"),
        "half": (Status.RAISED, "UnreachableError"),
        "half-once": (Status.OK, ""),
        "hang-up": (Status.RAISED, "UnreachableError"),
        "invalid-json": (Status.INVALID, "ValidationError"),
        "invalid-report": (Status.INVALID, "ValidationError"),
        "nan": (Status.INVALID, "ValidationError"),
        "empty": (Status.EMPTY, ""),
        "html": (Status.RAISED, "UnusableAnswerError"),
        "redirect": (Status.RAISED, "UnusableAnswerError"),
        "huge": (Status.RAISED, "TooLargeError"),
        "drip-body": (Status.LATE, "LateError"),
        "busy": (Status.OK, ""),
        "busy-for-long": (Status.LATE, "LateError"),
        "good-2": (Status.OK, ""),
    }
    found = outcomes(ready(service, deadline_s=4), picture, *expected)
    assert {study: outcome.status for study, outcome in found.items()} == {
        study: status for study, (status, _) in expected.items()
    }
    for study, (_, error) in expected.items():
        assert found[study].error.partition(" ")[0] == error
    assert found["good-2"].report == Report.model_validate(REPORT)


def test_one_key_a_study_and_run(service, picture):
    first, second = ready(service), ready(service)
    outcomes(first, picture, "busy", "good", workers=2)
    outcomes(second, picture, "good")
    assert len(set(service.keys["busy"])) == 1
    assert len(set(service.keys["good"])) == 2  # another run is answered anew
    assert service.keys["busy"][0] != service.keys["good"][0]
    assert all(len(key) == 64 and "good" not in key for key in service.keys["good"])
    assert idempotency_key("run", "1") != idempotency_key("run1", "")


def test_what_is_timed_has_a_key_for_every_question_and_for_its_retries_the_same(service, picture):
    first = ready(service)
    for _ in range(2):
        outcomes(first.afresh(), picture, "good", "busy")
    assert len(set(service.keys["good"])) == len(service.keys["good"]) == 2
    assert len(set(service.keys["busy"])) == 2 < len(service.keys["busy"])
    assert first.afresh().digest() == first.digest()
    assert first.remote


def test_the_request_is_the_contract_s(service, picture):
    outcomes(ready(service, report_template="standard", confidence_threshold="0.5"), picture, "good")
    assert service.bodies["good"] == {
        "study_id": "good",
        "images": [{**service.bodies["good"]["images"][0], "view": "PA"}],
        "clinical_context": {"age": 70, "sex": "F", "indication": "cough", "prior_studies": ["2020-01-01"]},
        "report_template": "standard",
        "confidence_threshold": 0.5,
    }


def test_a_study_without_pictures_is_missing_and_not_asked_for(service):
    studies = [Study("good", ())]
    (outcome,) = run_local(ready(service), studies)
    assert outcome.status is Status.MISSING
    assert not service.asked


def test_a_model_that_changes_in_the_middle_is_noticed(service, picture):
    candidate = ready(service)
    assert outcomes(candidate, picture, "good")["good"].status is Status.OK
    candidate.prepare()
    image = Image(picture, View.PA)
    candidate.report(Study("good", (image,)))
    service.version = "m2"
    with pytest.raises(Exception, match="one model_version"):
        candidate.report(Study("good", (image,)))


def test_a_service_that_comes_back_with_another_model_stops_the_run(service, picture):
    candidate = ready(service)
    service.ready["candidate_digest"] = "cd" * 32
    with pytest.raises(CandidateError, match="not answered by the same candidate"):
        outcomes(candidate, picture, "good")


def test_the_digest_is_of_what_answers_and_what_is_asked(service):
    digest = ready(service).digest()
    assert digest == ready(service).digest()
    assert digest != service.ready["candidate_digest"]
    with FaultyService() as elsewhere:
        assert ready(elsewhere).digest() == digest
    assert ready(service, report_template="standard").digest() != digest
    assert ready(service, confidence_threshold=0.5).digest() != digest
    service.ready["candidate_digest"] = "cd" * 32
    assert ready(service).digest() != digest


@pytest.mark.parametrize(
    ("health", "what"),
    [
        ({"candidate_digest": ""}, "does not say which candidate answers"),
        ({"status": "well"}, "GET /readyz is no Health"),
        ({"candidate": None}, "GET /readyz is no Health"),
    ],
)
def test_a_service_that_does_not_say_what_it_is_is_refused(health, what):
    with FaultyService(ready=health) as service, pytest.raises(CandidateError, match=what):
        ready(service)


def test_no_service_is_told_with_the_remedy():
    with pytest.raises(CandidateError, match=r"no service is ready there .*; start it first"):
        HttpCandidate("http://127.0.0.1:9").digest()


def test_the_token_comes_from_the_environment_only(monkeypatch, picture):
    with FaultyService(token=SECRET) as service:
        with pytest.raises(CandidateError, match=r"needs a token: token_env=NAME"):
            ready(service)
        monkeypatch.setenv(NAME, "wrong")
        with pytest.raises(CandidateError, match="does not know the token") as caught:
            ready(service, token_env=NAME)
        assert "wrong" not in str(caught.value)
        monkeypatch.setenv(NAME, SECRET)
        candidate = ready(service, token_env=NAME)
        assert outcomes(candidate, picture, "good")["good"].status is Status.OK
        assert SECRET not in json.dumps(candidate.__getstate__(), default=repr)


@pytest.mark.parametrize(
    ("locator", "what"),
    [
        ("http", "needs url; write http:URL"),
        ("http://127.0.0.1:1", "must read http://HOST:PORT"),
        ("http:http://h?deadline_s=0", "deadline_s must be above 0"),
        ("http:http://h?deadline_s=soon", "deadline_s must be a number"),
        ("http:http://h?confidence_threshold=1.5", "between 0 and 1"),
        ("http:http://h?tokn_env=X", "takes no tokn_env"),
        ("http:https://h?ca=/no/such.pem", "no such file"),
    ],
)
def test_what_cannot_be_meant_is_refused(locator, what):
    with pytest.raises(CandidateError, match=what):
        open_candidate(locator)


def test_it_opens_by_its_url(service):
    candidate = open_candidate(f"http:{service.url}?deadline_s=3&report_template=standard")
    assert (candidate.endpoint.url, candidate.deadline_s) == (service.url, 3.0)
    with pytest.raises(CandidateError, match=r"no report_template nosuch; it has standard"):
        open_candidate(f"http:{service.url}?report_template=nosuch").digest()


def test_ids_that_no_path_can_hold_are_refused_before_the_run():
    with pytest.raises(CandidateError, match="2 of 3 study ids") as caught:
        HttpCandidate("http://127.0.0.1:9").check(["s1", "../s2", ""])
    assert "s2" not in str(caught.value)
