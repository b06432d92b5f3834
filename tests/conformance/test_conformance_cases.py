import json

import pytest

from faulty_service import FaultyService
from harness.candidates.http.client import Endpoint
from harness.cli import main
from harness.conformance.cases import CASES, FUZZ
from harness.conformance.judge import judge_service, write_conformance
from harness.conformance.suite import ApiSuite, read_api_suite
from harness.errors import SuiteError
from harness.status import Status
from runs import SUITES


def suite(*cases, **options):
    parts = tuple({"case": case} for case in cases)
    return ApiSuite.model_validate({"name": "s", "version": 1, "cases": parts, "examples": 2, **options})


def test_the_suite_that_comes_along_asks_for_every_case():
    assert {part.case for part in read_api_suite(SUITES / "api.yaml").cases} == {*CASES, FUZZ}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "a conformance suite is a mapping"),
        ("name: a\nversion: 1\ncases: []", "needs at least one entry"),
        ("name: a\nversion: 1\ncases: [{case: helth}]", r"suite.yaml:3:10: .*did you mean health\?"),
        ("name: a\nversion: 1\ncases: [{case: health}, {case: health}]", "stands twice"),
        ("name: a\nversion: 1\nexample: 3\ncases: [{case: health}]", r"did you mean examples\?"),
    ],
)
def test_a_suite_that_cannot_be_meant_is_refused(tmp_path, text, what):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    with pytest.raises(SuiteError, match=what):
        read_api_suite(path)


def test_a_service_that_breaks_the_contract_fails_and_what_cannot_be_asked_is_not_evaluated():
    # It answers every study with a report, whatever was sent, and has neither metrics nor a description.
    with FaultyService() as service:
        found = judge_service(suite(*CASES, FUZZ), Endpoint(service.url), ())
    status = {item.case: item.status for item in found.cases}
    broken = {"bad-identifiers", "wrong-types", "study-mismatch", "unknown-study", "not-acceptable", "method"}
    assert {status[case] for case in broken} == {Status.FAIL}
    needs_study = {"report", "report-fhir", "report-text", "idempotency", "concurrency", "overload"}
    assert {status[case] for case in needs_study} == {Status.NOT_EVALUATED}
    assert found.status is Status.FAIL


def test_nobody_there_and_no_time_are_not_evaluated(tmp_path, capsys):
    found = judge_service(suite("health", "fuzz"), Endpoint("http://127.0.0.1:9"), ())
    assert [item.status for item in found.cases] == [Status.NOT_EVALUATED] * 2
    found = judge_service(suite("health", time_limit_s=1e-9), Endpoint("http://127.0.0.1:9"), ())
    assert found.cases[0].told == "the time was up; raise time_limit_s"
    path = tmp_path / "out" / "conformance.json"
    write_conformance(path, found)
    assert json.loads(path.read_text())["exit_code"] == 3
    assert main(["conformance", "http://127.0.0.1:9", "--json", str(path)]) == 3
    assert "NOT EVALUATED" in capsys.readouterr().out
    assert main(["conformance", "ftp://nowhere"]) == 2
