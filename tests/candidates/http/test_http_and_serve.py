"""A candidate behind `harness serve`, judged through the http candidate, and the same one in process."""

import json

import pytest

from dicom_phantoms import DicomPhantoms, run_on
from harness.candidates import open_candidate
from harness.candidates.http.requests import request_of
from harness.candidates.template import TemplateCandidate
from harness.conformance.judge import judge_service
from harness.conformance.suite import read_api_suite
from harness.status import Status
from runs import SUITES, write_suite
from serve_process import serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, service_root):
    return DicomPhantoms(service_root, tmp_path_factory.mktemp("dicom") / "dicom")


@pytest.fixture(scope="module")
def url(cohort):
    with serving("--images", f"folder:{cohort.dicom}") as url:
        yield url


def test_the_same_verdict_and_the_same_reports(tmp_path, cohort, url):
    suite = write_suite(tmp_path)
    inside = run_on(cohort, suite, TemplateCandidate(), tmp_path / "inside")
    outside = run_on(cohort, suite, open_candidate(f"http:{url}"), tmp_path / "outside", workers=2)
    assert outside.read("predictions").num_rows == len(cohort) == 30
    assert outside.read("predictions") == inside.read("predictions")
    assert outside.read("rows") == inside.read("rows")
    assert outside.results()["verdict"] == inside.results()["verdict"]
    assert outside.results()["statuses"] == inside.results()["statuses"]
    differ = {key for key in inside.identity if inside.identity[key] != outside.identity[key]}
    assert differ == {"candidate", "candidate_kind"}


def test_the_service_keeps_its_contract(cohort, url):
    suite = read_api_suite(SUITES / "api.yaml").model_copy(update={"examples": 5})
    requests = [request_of(cohort[index].study) for index in range(2 * suite.at_once)]
    found = judge_service(suite, open_candidate(f"http:{url}").endpoint, requests)
    assert {
        item.case: (item.status, item.told) for item in found.cases if item.status is not Status.PASS
    } == {}
    assert found.status is Status.PASS
    assert json.dumps(found.as_json())
