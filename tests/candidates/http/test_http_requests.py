import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from harness.candidates.http.requests import request_of, uids
from harness.errors import CandidateError
from harness.service.uids import derived_uid
from harness.study import Context, Image, Study, View


def write_dicom(path, **tags):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    for name, value in tags.items():
        setattr(data, name, value)
    pydicom.dcmwrite(path, data)
    return path


def test_a_picture_that_is_no_dicom_has_derived_uids(tmp_path):
    path = tmp_path / "front.jpg"
    path.write_bytes(b"x")
    assert uids("s1", path) == (derived_uid("s1", "series"), derived_uid("s1", "front"))


def test_a_dicom_picture_has_its_own(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", SeriesInstanceUID="1.2.3", SOPInstanceUID="1.2.3.4")
    assert uids("s1", path) == ("1.2.3", "1.2.3.4")


def test_pictures_that_cannot_be_named_are_told(tmp_path):
    with pytest.raises(CandidateError, match="cannot be read"):
        uids("s1", tmp_path / "none.dcm")
    with pytest.raises(CandidateError, match="has no Series or SOP Instance UID"):
        uids("s1", write_dicom(tmp_path / "a.dcm", SeriesInstanceUID="1.2.3"))


def test_what_the_contract_cannot_say_is_told_by_field_and_not_by_value(tmp_path):
    path = tmp_path / "front.jpg"
    path.write_bytes(b"x")
    image = Image(path, View.PA)
    with pytest.raises(CandidateError, match=r"clinical_context|age") as caught:
        request_of(Study("s1", (image,), Context(age=999)))
    assert "999" not in str(caught.value)
    with pytest.raises(CandidateError, match="images"):
        request_of(Study("s1", ()))
    with pytest.raises(CandidateError, match="study_id"):
        request_of(Study("../s1", (image,)))
