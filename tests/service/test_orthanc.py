"""Phantom studies as real DICOM: stored in Orthanc by STOW-RS, fetched by WADO-RS, reported, judged."""

import httpx
import pydicom
import pytest

from dicom_phantoms import DicomPhantoms, run_on
from harness.candidates import open_candidate
from harness.candidates.http.requests import request_of
from harness.candidates.template import TemplateCandidate
from harness.service.contract import PATH
from orthanc import WHY_NOT, installed, orthanc
from runs import write_suite
from serve_process import serving

pytestmark = [pytest.mark.skipif(not installed(), reason=WHY_NOT), pytest.mark.slow]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, service_root):
    return DicomPhantoms(service_root, tmp_path_factory.mktemp("dicom") / "dicom")


@pytest.fixture(scope="module")
def archive(tmp_path_factory, cohort):
    """Orthanc with all pictures of the cohort."""
    from dicomweb_client import DICOMwebClient

    files = sorted(cohort.dicom.rglob("*.dcm"))
    with orthanc(tmp_path_factory.mktemp("orthanc")) as root:
        client = DICOMwebClient(root)
        client.store_instances([pydicom.dcmread(file) for file in files])
        assert len(client.search_for_instances()) == len(files)
        yield root


def test_orthanc_s_studies_are_reported_as_in_process(tmp_path, cohort, archive):
    suite = write_suite(tmp_path)
    inside = run_on(cohort, suite, TemplateCandidate(), tmp_path / "inside")
    with serving("--images", f"dicomweb:{archive}") as url:
        outside = run_on(cohort, suite, open_candidate(f"http:{url}"), tmp_path / "outside")
        other = request_of(cohort[0].study).model_dump(mode="json", exclude_none=True)
        other["images"][0]["instance_uid"] = "2.25.1"
        missing = httpx.post(url + PATH.format(study_id=other["study_id"]), json=other, timeout=60)
    assert outside.read("predictions").num_rows > 20
    assert outside.read("predictions") == inside.read("predictions")
    assert outside.read("rows") == inside.read("rows")
    assert missing.status_code == 404
