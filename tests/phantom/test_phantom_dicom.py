import numpy as np
import pytest
from PIL import Image as Pillow

from harness.cohorts.phantom import PhantomCohort
from harness.deployment.pictures import dicom_image
from harness.deployment.radiographs import check_radiograph
from harness.phantom.dicom import write_dicom
from harness.service.uids import derived_uid

pytest.importorskip("pydicom")


def test_phantoms_as_dicom(phantom_root, tmp_path):
    cases = list(PhantomCohort(phantom_root, views="all"))[:12]
    pictures = [(case, image) for case in cases for image in case.study.images]
    assert write_dicom(cases, tmp_path / "one") == len(pictures) == len(list((tmp_path / "one").iterdir()))
    for case, image in pictures:
        study = case.study.study_id
        uid = derived_uid(study, image.path.stem)
        path = tmp_path / "one" / f"{uid}.dcm"
        for name in (study, derived_uid(study)):
            check_radiograph(
                path,
                study_id=name,
                series_uid=derived_uid(study, "series"),
                instance_uid=uid,
                view=image.view,
            )
        # Grey values are those of the picture, stretched by nothing.
        grey = np.asarray(Pillow.open(image.path).convert("L"), dtype=np.uint32)
        assert np.array_equal(np.asarray(dicom_image(path), dtype=np.uint32), grey * 257)
    write_dicom(cases, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
