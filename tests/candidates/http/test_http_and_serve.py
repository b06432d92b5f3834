"""A candidate behind `harness serve`, judged through the http candidate, and the same one in process."""

import json

import pytest

from harness.candidates import open_candidate
from harness.candidates.http.requests import request_of
from harness.candidates.template import TemplateCandidate
from harness.cohorts.phantom import PhantomCohort
from harness.conformance.judge import judge_service
from harness.conformance.suite import read_api_suite
from harness.phantom.dicom import write_dicom
from harness.status import Status
from runs import SUITES, run, write_suite
from serve_process import serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory, service_root):
    folder = tmp_path_factory.mktemp("dicom")
    write_dicom(PhantomCohort(service_root, split=None, views="all"), folder / "dicom")
    with serving("--images", f"folder:{folder / 'dicom'}") as url:
        yield url


def test_the_same_verdict_and_the_same_reports(tmp_path, service_root, url):
    suite = write_suite(tmp_path)
    inside = run(suite, service_root, TemplateCandidate(), tmp_path / "inside")
    outside = run(suite, service_root, open_candidate(f"http:{url}"), tmp_path / "outside", workers=2)
    assert outside.read("predictions").num_rows == len(PhantomCohort(service_root))
    assert outside.read("predictions") == inside.read("predictions")
    assert outside.read("rows") == inside.read("rows")
    assert outside.results()["verdict"] == inside.results()["verdict"]
    assert outside.results()["statuses"] == inside.results()["statuses"]
    differ = {key for key in inside.identity if inside.identity[key] != outside.identity[key]}
    assert differ == {"candidate", "candidate_kind"}


def test_the_service_keeps_its_contract(service_root, url):
    suite = read_api_suite(SUITES / "api.yaml").model_copy(update={"examples": 5})
    request = request_of(PhantomCohort(service_root)[0].study)
    found = judge_service(suite, open_candidate(f"http:{url}").endpoint, request)
    assert {
        item.case: (item.status, item.told) for item in found.cases if item.status is not Status.PASS
    } == {}
    assert found.status is Status.PASS
    assert json.dumps(found.as_json())
