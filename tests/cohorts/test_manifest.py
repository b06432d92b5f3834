import csv
import json

import numpy as np
import pytest
from PIL import Image

from harness.cohorts import open_cohort
from harness.cohorts.manifest import ManifestCohort
from harness.errors import CohortError, PluginError
from harness.report import INDEX, Finding, State
from harness.study import Sex, View


def write(path, rows):
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


ROW = {"study_id": "s1", "patient_id": "p1", "findings": "Clear.", "impression": "Normal."}


def cohort_of(tmp_path, *rows, **options):
    return ManifestCohort(write(tmp_path / "m.csv", list(rows)), **options)


def test_text_only_studies(tmp_path):
    cohort = cohort_of(tmp_path, {**ROW, "study_id": "s2"}, ROW)
    assert cohort.study_ids() == ["s1", "s2"]
    case = cohort[0]
    assert case.study.images == ()
    assert case.reference.text == "Clear.\nNormal."
    assert (case.reference.labels == State.NOT_COVERED).all(), (
        "nothing is judged by labels that are not there"
    )
    assert cohort.labels_source == "none"
    assert dict(case.groups) == {"sex": "unknown", "age": "unknown", "race": "unknown", "view": "none"}


def test_labels_cover_the_findings_that_have_a_column(tmp_path):
    cohort = cohort_of(tmp_path, {**ROW, "Fracture": "1", "Edema": "-1.0", "Pneumothorax": ""})
    labels = cohort[0].reference.labels
    assert labels[INDEX[Finding.FRACTURE]] == State.POSITIVE
    assert labels[INDEX[Finding.EDEMA]] == State.UNCERTAIN
    assert labels[INDEX[Finding.PNEUMOTHORAX]] == State.NOT_MENTIONED
    assert (labels == State.NOT_COVERED).sum() == 11
    assert set(cohort.covered) == {Finding.FRACTURE, Finding.EDEMA, Finding.PNEUMOTHORAX}


def test_pictures_people_and_groups(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    row = {**ROW, "images": "PA:a.png; b.png", "age": "71", "sex": "female", "race": "ASIAN",
           "group:site": "north", "indication": "Cough."}  # fmt: skip
    case = cohort_of(tmp_path, row)[0]
    assert [image.view for image in case.study.images] == [View.PA, View.OTHER]
    assert case.study.images[0].pixels(16).shape == (16, 16)
    assert case.study.context.sex is Sex.FEMALE
    assert case.study.context.indication == "Cough."
    assert dict(case.groups) == {
        "sex": "F", "age": "65-79", "race": "ASIAN", "view": "PA+OTHER", "site": "north",
    }  # fmt: skip


def test_jsonl_is_read_alike(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({**ROW, "age": 30, "Fracture": 1, "images": []}) + "\n")
    case = ManifestCohort(path)[0]
    assert case.study.context.age == 30
    assert case.reference.labels[INDEX[Finding.FRACTURE]] == State.POSITIVE


def test_splits(tmp_path):
    rows = [
        {**ROW, "study_id": f"s{n}", "patient_id": f"p{n}", "split": "test" if n < 2 else "train"}
        for n in range(5)
    ]
    assert len(cohort_of(tmp_path, *rows, split="test")) == 2
    assert len(cohort_of(tmp_path, *rows)) == 5
    with pytest.raises(CohortError, match="no study in split 'tset'; there: test, train"):
        cohort_of(tmp_path, *rows, split="tset")


def test_studies_with_nothing_to_judge_by_are_left_out_and_counted(tmp_path):
    empty = {"study_id": "s2", "patient_id": "p2", "findings": " ", "Fracture": ""}
    cohort = cohort_of(tmp_path, ROW, empty)
    assert cohort.study_ids() == ["s1"]
    assert cohort.eligible == 2
    assert [(item.reason, item.studies) for item in cohort.exclusions] == [
        ("no reference text and no labels", 1)
    ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([ROW, ROW], r"m\.csv:3: study_id stands twice, first on line 2"),
        ([{**ROW, "study_id": ""}], r"m\.csv:2: no study_id"),
        ([{**ROW, "patient_id": ""}], r"m\.csv:2: no patient_id.*resampling is by patient"),
        ([{**ROW, "Pneumothoraks": "1"}], "unknown column Pneumothoraks; did you mean Pneumothorax"),
        ([{**ROW, "Fracture": "yes"}], r"m\.csv:2: Fracture must be 1, 0, -1 or blank"),
        ([{**ROW, "age": "-3"}], r"m\.csv:2: age must be whole years"),
        ([{**ROW, "sex": "Z"}], r"m\.csv:2: sex must be F, M or blank"),
        ([{**ROW, "images": "absent.png"}], r"m\.csv:2: no picture at .*absent\.png"),
        ([{**ROW, "split": "a"}, {**ROW, "study_id": "s2", "split": "b"}], "a patient must lie in one split"),
        ([{"study_id": "s1", "patient_id": "p1", "findings": ""}], "no study has a reference text or labels"),
    ],
)
def test_bad_manifests_are_told(tmp_path, rows, told):
    with pytest.raises(CohortError, match=told):
        cohort_of(tmp_path, *rows)


def test_zero_studies(tmp_path):
    (tmp_path / "m.csv").write_text("study_id,patient_id,findings\n")
    with pytest.raises(CohortError, match="holds no study"):
        ManifestCohort(tmp_path / "m.csv")


# Locators


def test_locators(tmp_path):
    path = write(tmp_path / "m.csv", [{**ROW, "split": "test"}])
    assert len(open_cohort(f"manifest:{path}?split=test")) == 1
    assert len(open_cohort(f"manifest:{path}", split="test")) == 1


@pytest.mark.parametrize(
    ("locator", "wanted", "error", "told"),
    [
        ("manifest", {}, CohortError, "name a cohort as KIND:PATH"),
        ("manifset:x.csv", {}, PluginError, "did you mean manifest"),
        ("manifest:x.csv?splitt=test", {}, CohortError, "has no option splitt; it has split"),
        ("manifest:x.csv?split=train", {"split": "test"}, CohortError, "contradicts the suite"),
        ("manifest:absent.csv", {}, CohortError, "no such file"),
    ],
)
def test_bad_locators_are_told(locator, wanted, error, told):
    with pytest.raises(error, match=told):
        open_cohort(locator, **wanted)
