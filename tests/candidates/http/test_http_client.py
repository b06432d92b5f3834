import datetime
import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faulty_service import FaultyService
from harness.candidates.http.client import (
    ANSWER_LIMIT,
    ATTEMPTS,
    Client,
    Endpoint,
    LateError,
    TooLargeError,
    UnreachableError,
    UnusableAnswerError,
    is_loopback,
    retry_after,
)
from harness.errors import CandidateError

NAME = "HARNESS_TEST_TOKEN"


@pytest.fixture(scope="module")
def service():
    with FaultyService() as service:
        yield service


def ask(service, study, deadline_s=5.0):
    client = Client(Endpoint(service.url), deadline_s)
    try:
        return client.ask("POST", f"/api/v1/studies/{study}/report", b'{"x": 1}', {"idempotency-key": "k"})
    finally:
        client.close()


def test_an_answer_is_whole(service):
    answer = ask(service, "good")
    assert (answer.status, answer.headers["x-study-id"]) == (200, "good")
    assert answer.body.startswith(b'{"report_id"')


@pytest.mark.parametrize("fault", ["half-once", "hang-up-once", "gateway-once"])
def test_a_lost_connection_is_tried_again_with_the_same_key(service, fault):
    assert ask(service, fault).status == 200
    assert service.keys[fault] == ["k", "k"]


@pytest.mark.parametrize("fault", ["half", "hang-up"])
def test_what_is_lost_each_time_is_given_up(service, fault):
    with pytest.raises(UnreachableError, match=f"{ATTEMPTS} attempts"):
        ask(service, fault)
    assert service.asked[fault] == ATTEMPTS


def test_nobody_there_is_unreachable():
    client = Client(Endpoint("http://127.0.0.1:9"), 5)
    with pytest.raises(UnreachableError, match="ConnectError"):
        client.ask("GET", "/readyz")
    client.close()


@pytest.mark.parametrize("fault", ["error", "unknown"])
def test_a_refusal_is_an_answer_and_asked_once(service, fault):
    assert ask(service, fault).status in (500, 404)
    assert service.asked[fault] == 1


def test_later_is_asked_again_when_the_service_says(service):
    assert ask(service, "busy").status == 200
    assert service.asked["busy"] == 3


def test_a_body_that_did_not_come_in_time_is_sent_again(service):
    assert ask(service, "slow-body-once").status == 200
    assert service.keys["slow-body-once"] == ["k", "k"]


def test_later_than_the_deadline_is_not_waited_for(service):
    with pytest.raises(LateError, match="longer than there is time"):
        ask(service, "busy-for-long", deadline_s=60)
    assert service.asked["busy-for-long"] == 1


@pytest.mark.parametrize("fault", ["drip-body", "drip-head", "silent"])
def test_the_deadline_holds_for_the_whole_answer(service, fault):
    with pytest.raises(LateError, match="no answer within 1 s"):
        ask(service, fault, deadline_s=1)
    assert service.asked[fault] == 1


def test_what_comes_late_is_no_answer_to_the_next_question(service):
    client = Client(Endpoint(service.url), 1)
    with pytest.raises(LateError):
        client.ask("POST", "/api/v1/studies/slow/report", b'{"x": 1}')
    time.sleep(1.5)  # the late answer has been sent by now
    answer = client.ask("POST", "/api/v1/studies/good/report", b'{"x": 1}')
    client.close()
    assert answer.headers["x-study-id"] == "good"
    assert b"LATE" not in answer.body


@pytest.mark.parametrize("fault", ["huge", "huge-chunked"])
def test_an_answer_of_100_mb_is_refused_early(service, fault):
    service.sent = 0
    with pytest.raises(TooLargeError, match=str(ANSWER_LIMIT)):
        ask(service, fault)
    assert service.sent < 20_000_000  # what fits into the buffers of two sockets


@pytest.mark.parametrize(("fault", "what"), [("redirect", "redirect"), ("gzip", "encoded")])
def test_what_was_not_asked_for_is_refused(service, fault, what):
    good = service.asked["good"]
    with pytest.raises(UnusableAnswerError, match=what):
        ask(service, fault)
    assert service.asked["good"] == good  # where the redirect leads to


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("ftp://host", "must read http://"),
        ("127.0.0.1:8000", "must read http://"),
        ("//127.0.0.1:8000", "must read http://"),
        ("http://", "must read http://"),
        ("http://host:port", "must read http://"),
        ("http://me:secret@host", "token_env=NAME"),
        ("http://host/#a", "neither a query nor a fragment"),
    ],
)
def test_an_url_that_cannot_be_used_is_refused(url, what):
    with pytest.raises(CandidateError, match=what) as caught:
        Endpoint(url)
    assert "secret" not in str(caught.value)


def test_a_token_does_not_travel_in_the_open():
    with pytest.raises(CandidateError, match="over https only"):
        Endpoint("http://hospital.example", token_env=NAME)
    assert Endpoint("https://hospital.example", token_env=NAME).token_env == NAME
    assert Endpoint("http://[::1]:80", token_env=NAME).token_env == NAME


@pytest.mark.parametrize("value", [None, "", "two words", "bad\nline", "ümlaut"])
def test_a_token_that_is_none_is_refused_and_not_shown(monkeypatch, value):
    monkeypatch.delenv(NAME, raising=False)
    if value is not None:
        monkeypatch.setenv(NAME, value)
    with pytest.raises(CandidateError, match=NAME) as caught:
        Endpoint("https://host", token_env=NAME).token()
    assert not value or value not in str(caught.value)


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(CandidateError, match=r"ca\.pem: no such file"):
        Endpoint("https://host", ca=tmp_path / "ca.pem")
    key = tmp_path / "key.pem"
    key.write_text("no key")
    with pytest.raises(CandidateError, match="key needs certificate"):
        Endpoint("https://host", key=key)
    with pytest.raises(CandidateError, match="certificates cannot be used"):
        Endpoint("https://host", ca=key).verify()


def test_retry_after_is_seconds_or_a_date():
    assert retry_after("7") == 7
    assert retry_after(" 0 ") == 0.05
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    assert 95 < retry_after(email.utils.format_datetime(soon, usegmt=True)) <= 100
    assert retry_after("Sun, 06 Nov 1994 08:49:37 GMT") == 0.05
    for nonsense in (None, "", "soon", "-1", "1e400", "²"):
        assert retry_after(nonsense) == 1


@given(st.text())
def test_retry_after_takes_anything(text):
    assert retry_after(text) >= 0.05


def test_loopback():
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1"))
    assert not any(is_loopback(host) for host in ("host", "10.0.0.1", "localhost.example"))
