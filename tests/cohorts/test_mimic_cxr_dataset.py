import numpy as np
import pytest

from harness.cohorts.mimic_cxr_dataset import load_mimic_cxr_dataset
from harness.errors import CohortError
from harness.report import INDEX, Finding
from mimic_layout import small


def test_the_keys_of_a_dataset(tmp_path):
    dataset = load_mimic_cxr_dataset(small(tmp_path).write(), "test", image_size=64, quiet=True)
    assert set(dataset) == {"images", "reports", "labels", "metadata"}
    assert len(dataset["images"]) == len(dataset["reports"]) == len(dataset["metadata"]) == 3
    assert dataset["labels"].shape == (3, 14)
    labels = dataset["labels"]
    assert labels[0, INDEX[Finding.NO_FINDING]] == 1
    assert labels[1, INDEX[Finding.PNEUMOTHORAX]] == -1
    assert labels[1, INDEX[Finding.EDEMA]] == 0
    assert np.isnan(labels[2, INDEX[Finding.EDEMA]])
    assert dataset["metadata"]["age"].tolist() == [60, 61, 16]
    assert dataset["reports"][0].endswith("No acute process.")


def test_images_and_reports_are_read_when_indexed(tmp_path):
    layout = small(tmp_path)
    dataset = load_mimic_cxr_dataset(layout.write(), "test", views="all", image_size=64, quiet=True)
    assert dataset["images"][2].shape == (2, 64, 64)
    assert dataset["images"][-1].dtype == np.float32
    assert [len(views) for views in dataset["images"]] == [2, 1, 2]
    assert len(dataset["reports"][1:]) == 2
    for picture in layout.folder(10000002, 50000003).iterdir():
        picture.unlink()
    with pytest.raises(CohortError, match="no such picture"):
        dataset["images"][2]
    with pytest.raises(IndexError, match="there are 3 studies"):
        dataset["reports"][3]


def test_the_summary_is_printed(tmp_path, capsys):
    load_mimic_cxr_dataset(small(tmp_path).write(), "test")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 studies of 2 patients (3 eligible)"
    assert lines[1] == "mean report length 13.0 words"
    assert lines[3].split() == ["No", "Finding", "1", "0", "0", "2"]
    assert len(lines) == 3 + 14
