import pytest

pytest.importorskip("pydicom")

from harness.deployment.radiographs import MOST_PIXELS, Origin, check_radiograph
from harness.errors import CohortError
from harness.service.uids import derived_uid
from harness.study import Sex, View
from services import dicom_file


def check(path, study="s1", view=View.PA, **changes):
    names = {"series_uid": derived_uid("s1", "series"), "instance_uid": derived_uid("s1", "a"), **changes}
    return check_radiograph(path, study_id=study, view=view, **names)


def test_the_one_that_was_asked_for(tmp_path):
    path = dicom_file(tmp_path / "a", AccessionNumber="ACC1")
    for name in ("s1", derived_uid("s1"), "ACC1"):
        check(path, name)
    check(path, view=View.AP)  # PA and AP are often mixed up, and both are frontal
    check(dicom_file(tmp_path / "b", ViewPosition=""), view=View.LATERAL)
    check(dicom_file(tmp_path / "c", BodyPartExamined=""))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"study": "s2"}, "another study"),
        ({"study": ""}, "another study"),
        ({"series_uid": "1.2.3"}, "another series"),
        ({"instance_uid": "1.2.3"}, "another instance"),
        ({"view": View.LATERAL}, "view PA, asked for as LATERAL"),
    ],
)
def test_another_than_was_asked_for(tmp_path, asked, told):
    with pytest.raises(CohortError, match=told):
        check(dicom_file(tmp_path / "a"), **asked)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"Modality": "CT"}, "modality CT; a chest radiograph"),
        ({"Modality": "DOE JOHN 1"}, "modality unknown"),
        ({"Modality": ""}, "modality unknown"),
        ({"BodyPartExamined": "HAND"}, "body part HAND"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "raw image"),
        ({"NumberOfFrames": 2}, "several frames"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"Rows": 9000}, "at most"),
        ({"Rows": 8000, "Columns": MOST_PIXELS // 8000 + 1}, "in all"),
        ({"Rows": 0}, "without a picture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "no CR or DX image"),  # Secondary Capture
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, "raw image"),
        ({"BurnedInAnnotation": "YES"}, "burned in"),
        ({"HighBit": 15}, "12 bits stored with high bit 15; 11 is needed"),
        ({"PatientOrientation": ["R", "F"]}, "mirrored"),
        ({"PatientOrientation": ["A", "F"]}, "not that of view PA"),
        ({"StudyInstanceUID": ""}, "no Study Instance UID"),
    ],
)
def test_what_is_no_chest_radiograph(tmp_path, fields, told):
    with pytest.raises(CohortError, match=told) as caught:
        check(dicom_file(tmp_path / "a", **fields))
    assert "SECRET" not in str(caught.value)
    assert "DOE" not in str(caught.value)


def test_whose_it_is(tmp_path):
    told = check(dicom_file(tmp_path / "a", PatientID="P-ONE ", PatientSex="F"))
    assert told == Origin(derived_uid("s1"), "P-ONE", Sex.FEMALE)
    for sex in ("", "O"):
        assert check(dicom_file(tmp_path / "b", PatientSex=sex)) == Origin(derived_uid("s1"), "", None)
    with pytest.raises(
        CohortError, match="another study"
    ):  # where it is a unique identifier, that counts alone
        check(dicom_file(tmp_path / "c", AccessionNumber="1.2.3"), "1.2.3")
    check(dicom_file(tmp_path / "d", SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR"))
    lateral = dicom_file(tmp_path / "e", ViewPosition="LL", PatientOrientation=["P", "F"])
    check(lateral, view=View.LATERAL)
    with pytest.raises(CohortError, match="not that of view LATERAL"):
        check(dicom_file(tmp_path / "f", ViewPosition="LL", PatientOrientation=["L", "F"]), view=View.LATERAL)


def test_no_dicom(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(b"hello")
    with pytest.raises(CohortError, match="not a DICOM file"):
        check(path)
    path.write_bytes(dicom_file(tmp_path / "b").read_bytes()[:300])
    with pytest.raises(CohortError):
        check(path)
