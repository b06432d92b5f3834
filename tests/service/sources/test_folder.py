import shutil

import pytest

pytest.importorskip("pydicom")

from harness.errors import PluginError, ServiceError
from harness.service.contract import ImageReference
from harness.service.sources import open_source
from harness.service.sources.base import ImageMissing, SourceFailure
from harness.service.sources.folder import FolderSource
from harness.service.uids import derived_uid
from services import dicom_file, image_of


def reference(study="s1", picture="a"):
    return ImageReference.model_validate(image_of(study, picture), strict=False)


def opened(folder):
    source = FolderSource(str(folder))
    source.open()
    return source


def fetch(source, folder, *names):
    return source.fetch("s1", reference(*names), folder)


def test_found_by_identifier_whatever_the_name(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    path = dicom_file(tmp_path / "deep" / "er" / "IM0001")
    (tmp_path / "readme.txt").write_text("no DICOM")
    source = opened(tmp_path)
    assert fetch(source, tmp_path) == path
    with pytest.raises(ImageMissing):
        fetch(source, tmp_path, "s1", "other")


def test_a_file_that_comes_later_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.service.sources.folder._AGAIN_S", 0)
    dicom_file(tmp_path / "1")
    source = opened(tmp_path)
    with pytest.raises(ImageMissing):
        fetch(source, tmp_path, "s2", "b")
    path = dicom_file(tmp_path / "2", "s2", "b")
    assert fetch(source, tmp_path, "s2", "b") == path
    # Its name now stands for another instance: what it was is there no more.
    dicom_file(tmp_path / "2", "s2", "longer", StudyDescription="x" * 20)
    assert fetch(source, tmp_path, "s2", "longer") == path
    with pytest.raises(ImageMissing):
        fetch(source, tmp_path, "s2", "b")


def test_every_study_of_a_number_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.service.sources.folder._AGAIN_S", 0)
    dicom_file(tmp_path / "1", "s1", StudyID="1", AccessionNumber="A-1")
    dicom_file(tmp_path / "2", "s1", "b", StudyID="1")
    source = opened(tmp_path)
    assert source.studies("1") == source.studies("A-1") == {derived_uid("s1")}
    assert source.studies("2") == source.studies("") == set()
    late = dicom_file(tmp_path / "3", "s2", AccessionNumber="1")
    assert source.studies("1") == {derived_uid("s1"), derived_uid("s2")}
    dicom_file(late, "s2", AccessionNumber="another")
    assert source.studies("1") == {derived_uid("s1")}
    dicom_file(late, "s2", AccessionNumber="1")
    late.unlink()
    assert source.studies("1") == {derived_uid("s1")}


def test_two_files_of_one_instance_are_refused(tmp_path):
    shutil.copy(dicom_file(tmp_path / "1"), tmp_path / "2")
    with pytest.raises(SourceFailure, match="several files"):
        fetch(opened(tmp_path), tmp_path)


def test_links_and_long_files_are_not_there(tmp_path, monkeypatch):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(dicom_file(tmp_path / "outside"))
    dicom_file(inside / "other", "s2")
    source = opened(inside)
    with pytest.raises(ImageMissing):
        fetch(source, tmp_path)
    monkeypatch.setattr("harness.service.sources.folder.MOST_BYTES", 100)
    with pytest.raises(ServiceError, match="no DICOM file"):
        opened(inside)


def test_places_that_are_none(tmp_path):
    for place, told in ((tmp_path / "none", "no such folder"), (tmp_path, "no DICOM file")):
        with pytest.raises(ServiceError, match=told):
            opened(place)
    with pytest.raises(ServiceError, match="KIND:PLACE"):
        open_source("folder")
    with pytest.raises(PluginError, match="did you mean folder"):
        open_source("foldr:x")
    with pytest.raises(ServiceError, match="by its URL"):
        open_source("dicomweb:host/dicom-web")
