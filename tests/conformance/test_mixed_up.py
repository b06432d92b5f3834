"""Services that mix up what they are asked together, or leave out of their description what they serve."""

import contextlib
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from harness.candidates.http import requests
from harness.candidates.http.client import Endpoint
from harness.candidates.http.requests import request_of
from harness.cli import main
from harness.cohorts.phantom import PhantomCohort
from harness.conformance.judge import judge_service
from harness.conformance.suite import ApiSuite
from harness.errors import CandidateError
from harness.service.contract import PATH
from harness.status import Status
from services import asked

AT_ONCE = 4


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        try:
            study = json.loads(self.rfile.read(int(self.headers["content-length"])))["study_id"]
        except (ValueError, TypeError, KeyError):
            return self.send({}, status=422)
        return self.send(self.server.text_for(study), study)

    def do_GET(self):
        self.send(self.server.description if self.path == "/openapi.json" else {})

    def send(self, value, study="", status=200):
        report = {"report_id": "r", "findings_text": value} if study else value
        body = json.dumps(report).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-study-id", study)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """Works on what comes close together as one batch; `reports` makes a batch's texts of its studies."""

    reports, description = None, None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.turn, self.waiting = threading.Condition(), []

    def text_for(self, study):
        entry = SimpleNamespace(study=study, text=None)
        with self.turn:
            self.waiting.append(entry)
            self.turn.notify_all()
            self.turn.wait_for(lambda: entry.text or len(self.waiting) == AT_ONCE, timeout=0.1)
            if entry.text is None:
                batch, self.waiting = self.waiting, []
                for one, text in zip(batch, self.reports([one.study for one in batch]), strict=True):
                    one.text = text
                self.turn.notify_all()
        return entry.text


@contextlib.contextmanager
def serving(**attributes):
    with Server() as server:
        vars(server).update(attributes)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def judge(case, url, *studies):
    suite = {"name": "s", "version": 1, "cases": ({"case": case},), "examples": 3, "at_once": AT_ONCE}
    found = judge_service(ApiSuite.model_validate(suite), Endpoint(url), [asked(study) for study in studies])
    return found.cases[0].status, found.cases[0].told


def own(studies):
    return [f"Study {study}." for study in studies]


counter = itertools.count()


@pytest.mark.parametrize(
    ("reports", "studies", "status", "told"),
    [
        (own, 4, Status.PASS, "200 x 12; 6 pairs of 4 studies told apart by their reports"),
        (own, 2, Status.PASS, "200 x 12; 1 pairs of 2 studies told apart by their reports"),
        (lambda batch: own(batch[::-1]), 4, Status.FAIL, "are the report of another study"),
        (lambda batch: own(batch[::-1]), 2, Status.FAIL, "are the report of another study"),
        (lambda batch: [str(len(batch)) + text for text in own(batch)], 4, Status.FAIL,
         "are not the report that their study gets alone; 0 of them"),
        (lambda batch: [f"{next(counter)}" for _ in batch], 4, Status.NOT_EVALUATED,
         "a study asked alone does not get the same report twice"),
        (lambda batch: ["Normal." for _ in batch], 4, Status.NOT_EVALUATED,
         "no two of 4 studies get different reports"),
        (own, 1, Status.NOT_EVALUATED, "no two of 1 studies get different reports"),
    ],
)  # fmt: skip
def test_each_of_several_studies_gets_its_own_report(reports, studies, status, told):
    with serving(reports=reports) as url:
        found = judge("concurrency", url, *(f"s{number}" for number in range(studies)))
    assert found[0] is status
    assert told in found[1]


def test_studies_of_the_same_report_are_passed_over_for_those_of_another():
    with serving(reports=lambda batch: own(study[:2] for study in batch)) as url:
        told = judge("concurrency", url, "s1-a", "s1-b", "s2-a", "s2-b", "s3-a", "s3-b")
    assert told == (Status.PASS, "200 x 12; 3 pairs of 3 studies told apart by their reports")


def test_the_command_asks_for_several_studies_and_passes_over_one_that_cannot_be_asked_for(
    tmp_path, service_root, monkeypatch, capsys
):
    second = PhantomCohort(service_root)[1].study.study_id
    tried = []

    def refusing(study):
        tried.append(study.study_id)
        if study.study_id == second:
            raise CandidateError("no picture")
        return request_of(study)

    monkeypatch.setattr(requests, "request_of", refusing)
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"{{name: s, version: 1, at_once: {AT_ONCE}, cases: [{{case: concurrency}}]}}")
    with serving(reports=own) as url:
        assert main(["conformance", url, "--cohort", f"phantom:{service_root}", "--suite", str(suite)]) == 0
    assert second in tried
    assert "6 pairs of 4 studies" in " ".join(capsys.readouterr().out.split())


def described(*paths):
    answer = {"description": "", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "x", "version": "1"},
        "paths": {
            path: {method: {"responses": {"200": answer, "422": answer}, **more}}
            for path, method, more in paths
        },
    }


OTHER = ("/healthz", "get", {})
STUDY = {"name": "study_id", "in": "path", "required": True, "schema": {"type": "string"}}


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ([OTHER], f"/openapi.json does not describe POST {PATH}"),
        ([OTHER, (PATH, "get", {"parameters": [STUDY]})], f"/openapi.json does not describe POST {PATH}"),
    ],
)
def test_a_description_without_the_report_operation_fails(paths, told):
    with serving(description=described(*paths)) as url:
        assert judge("fuzz", url) == (Status.FAIL, told)


def posted(schema):
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return [OTHER, (PATH, "post", {"parameters": [STUDY], "requestBody": body})]


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        # Nothing is both: no request can be made that keeps to it.
        ({"allOf": [{"type": "integer"}, {"type": "string"}]}, f"within the schema of POST {PATH}"),
        ({}, "without the fields that it needs"),
        ({"type": "object"}, "without the fields that it needs"),
    ],
)
def test_a_report_operation_described_so_that_it_cannot_be_asked_fails(schema, told):
    with serving(description=described(*posted(schema)), reports=own) as url:
        status, found = judge("fuzz", url)
    assert status is Status.FAIL
    assert told in found
