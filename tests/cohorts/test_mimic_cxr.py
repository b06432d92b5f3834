import gzip

import numpy as np
import pytest

from harness.cohorts.mimic_cxr import MimicCxrCohort
from harness.errors import CohortError
from harness.report import INDEX, Finding, State
from harness.study import Sex, View
from mimic_layout import REPORT, Layout, small


def exclusions(cohort):
    return {item.reason: item.studies for item in cohort.exclusions}


def test_studies_patients_and_splits(tmp_path):
    root = small(tmp_path).write()
    cohort = MimicCxrCohort(root, "test")
    assert cohort.study_ids() == ["50000001", "50000002", "50000003"]
    assert cohort.patient_ids() == ["10000001", "10000001", "10000002"]
    assert cohort.eligible == len(cohort) == 3
    assert MimicCxrCohort(root, "train").study_ids() == ["50000004"]
    assert len(MimicCxrCohort(root, None)) == 4
    assert len(MimicCxrCohort(small(tmp_path / "plain").write(packed=False), "test")) == 3


def test_a_case_holds_text_labels_and_person(tmp_path):
    cohort = MimicCxrCohort(small(tmp_path).write(), "test")
    case = cohort[1]
    assert case.reference.findings == "The lungs are clear. There is no effusion or pneumothorax."
    assert case.reference.impression == "No acute process."
    assert case.study.context.indication == "{age} year old with cough."
    assert case.study.context.age == 61, "anchor age plus the years since the anchor year"
    assert case.study.context.sex is Sex.FEMALE
    assert case.study.context.prior_studies == ("2150-01-01",)
    assert cohort[0].study.context.prior_studies == ()
    assert dict(case.groups) == {"sex": "F", "age": "40-64", "race": "BLACK", "view": "AP"}
    assert dict(cohort[2].groups) == {"sex": "M", "age": "0-17", "race": "ASIAN", "view": "PA+AP"}
    labels = case.reference.labels
    assert labels[INDEX[Finding.PNEUMOTHORAX]] == State.UNCERTAIN
    assert labels[INDEX[Finding.EDEMA]] == State.NEGATIVE
    assert (labels == State.NOT_MENTIONED).sum() == 12


@pytest.mark.parametrize(
    ("views", "chosen"),
    [
        ("frontal", [["PA"], ["AP"], ["PA", "AP"]]),
        ("pa+lateral", [["PA", "LATERAL"], ["AP"], ["PA"]]),
        ("all", [["PA", "LATERAL"], ["AP"], ["PA", "AP"]]),
    ],
)
def test_views(tmp_path, views, chosen):
    cohort = MimicCxrCohort(small(tmp_path).write(), "test", views)
    assert [[image.view.value for image in case.study.images] for case in cohort] == chosen
    image = cohort[0].study.images[0]
    assert image.view is View.PA
    pixels = image.pixels(64)
    assert pixels.shape == (64, 64)
    assert pixels[32, 32] == pytest.approx(80 / 255, abs=0.02), "the PA picture, not the lateral before it"


def test_every_study_left_out_has_a_reason_and_they_add_up(tmp_path):
    layout, labels = small(tmp_path), {"No Finding": "1.0"}
    layout.study(10000004, 50000005, ("LATERAL",), labels=labels)
    layout.study(10000004, 50000006, labels=labels, pictures=False)
    layout.study(10000004, 50000007, labels=labels, report=None)
    layout.study(10000004, 50000008, labels=labels, report=" EXAMINATION:  CHEST\n\n INDICATION:  Cough.\n")
    layout.study(10000004, 50000009)
    layout.study(10000004, 50000010, ("",), labels=labels)
    cohort = MimicCxrCohort(layout.write(), "test")
    assert exclusions(cohort) == {
        "no frontal view": 2,
        "no picture file": 1,
        "no report file": 1,
        "report without findings and impression": 1,
        "no labels": 1,
    }
    assert cohort.eligible == len(cohort) + sum(exclusions(cohort).values())


def test_reports_may_lie_in_a_folder_of_their_own(tmp_path):
    layout = small(tmp_path)
    root = layout.write()
    beside = layout.folder(10000002, 50000003).with_suffix(".txt")
    apart = root / "mimic-cxr-reports" / beside.relative_to(root)
    apart.parent.mkdir(parents=True)
    beside.rename(apart)
    assert MimicCxrCohort(root, "test").study_ids() == ["50000001", "50000002", "50000003"]


def test_without_mimic_iv_the_person_is_unknown(tmp_path):
    case = MimicCxrCohort(small(tmp_path).write(people=False), "test")[0]
    assert case.study.context.age is None
    assert case.study.context.sex is None
    assert dict(case.groups) == {"sex": "unknown", "age": "unknown", "race": "unknown", "view": "PA"}


@pytest.mark.parametrize(
    ("text", "race"),
    [("WHITE - RUSSIAN", "WHITE"), ("HISPANIC/LATINO - CUBAN", "HISPANIC"), ("SOUTH AMERICAN", "HISPANIC"),
     ("UNABLE TO OBTAIN", "unknown"), ("PATIENT DECLINED TO ANSWER", "unknown"), ("PORTUGUESE", "OTHER"),
     ("BLACK/CAPE VERDEAN", "BLACK"), ("ASIAN - KOREAN", "ASIAN"), ("", "unknown")],
)  # fmt: skip
def test_races_of_mimic_iv(tmp_path, text, race):
    layout = Layout(tmp_path).study(10000001, 50000001, labels={}).person(10000001, race=text)
    assert MimicCxrCohort(layout.write(), "test")[0].groups["race"] == race


def test_labels_of_either_labeler(tmp_path):
    root = small(tmp_path).write()
    assert MimicCxrCohort(root, "test", labels="negbio").labels_source == "negbio labels of MIMIC-CXR-JPG"
    with pytest.raises(CohortError, match="labels must be chexpert or negbio"):
        MimicCxrCohort(root, "test", labels="chexbert")


# Bad input


@pytest.mark.parametrize("stem", ["split", "metadata", "chexpert"])
def test_a_missing_table_is_told(tmp_path, stem):
    root = small(tmp_path).write()
    (root / f"mimic-cxr-2.0.0-{stem}.csv.gz").unlink()
    with pytest.raises(CohortError, match=rf"no mimic-cxr-2\.0\.0-{stem}\.csv\.gz; this is not"):
        MimicCxrCohort(root, "test")


@pytest.mark.parametrize("stem", ["split", "metadata", "chexpert"])
def test_a_truncated_archive_is_told(tmp_path, stem):
    root = small(tmp_path).write()
    path = root / f"mimic-cxr-2.0.0-{stem}.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(CohortError, match="cut short or damaged"):
        MimicCxrCohort(root, "test")


def test_a_table_cut_in_the_middle_of_a_line_is_told(tmp_path):
    root = small(tmp_path).write(packed=False)
    path = root / "mimic-cxr-2.0.0-split.csv"
    path.write_text(path.read_text()[:-22])
    with pytest.raises(CohortError, match=r"split\.csv:\d+: (study_id|subject_id) is not a whole number"):
        MimicCxrCohort(root, "test")


def rewrite(root, stem, old, new):
    path = root / f"mimic-cxr-2.0.0-{stem}.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    assert old in text
    path.write_bytes(gzip.compress(text.replace(old, new, 1).encode()))


@pytest.mark.parametrize(
    ("stem", "old", "new", "told"),
    [
        ("split", "study_id", "studyid", "no column study_id .*did the file mean studyid"),
        ("split", "10000002,test", "10000002,train", "more than one split"),
        ("split", "50000002,10000001", "50000002,10000002", "more than one subject_id|disagrees"),
        ("split", "50000002-00000000", "50000001-00000000", "dicom_id stands twice, first on line 2"),
        ("metadata", "50000003-00000001,10000002", "50000003-00000001,10000001", "disagrees with line"),
        ("metadata", "50000002-00000000", "elsewhere", "1 pictures of the split table are not in it"),
        ("chexpert", "10000002,50000003", "10000001,50000003", "gives study 50000003 another subject"),
        ("chexpert", "10000002,50000003", "10000001,50000002", "study_id stands twice"),
        ("chexpert", "-1.0", "2.0", "Pneumothorax must be 1, 0, -1 or blank"),
    ],
)
def test_tables_that_contradict_are_told(tmp_path, stem, old, new, told):
    root = small(tmp_path).write()
    rewrite(root, stem, old, new)
    with pytest.raises(CohortError, match=told):
        MimicCxrCohort(root, "test")


def test_an_unknown_split_and_view_and_folder(tmp_path):
    root = small(tmp_path).write()
    with pytest.raises(CohortError, match="no split tset; it has test, train"):
        MimicCxrCohort(root, "tset")
    with pytest.raises(CohortError, match="views must be one of"):
        MimicCxrCohort(root, "test", "sideways")
    with pytest.raises(CohortError, match="no such folder"):
        MimicCxrCohort(tmp_path / "absent")


def test_no_study_left_is_told_with_the_reasons(tmp_path):
    layout = Layout(tmp_path).study(10000001, 50000001, ("LATERAL",), labels={})
    with pytest.raises(CohortError, match=r"no study is left of 1 \(1 no frontal view\)"):
        MimicCxrCohort(layout.write(), "test")


def test_a_report_in_another_encoding_is_read_all_the_same(tmp_path):
    layout = small(tmp_path)
    path = layout.folder(10000001, 50000001).with_suffix(".txt")
    path.write_bytes(REPORT.replace("clear", "cl\u00e9ar").encode("latin-1"))
    assert "\ufffd" in MimicCxrCohort(layout.write(), "test")[0].reference.findings


def test_what_is_held_grows_by_some_60_bytes_a_picture(tmp_path):
    cohort = MimicCxrCohort(small(tmp_path).write(), "test")
    held = {name for name, value in vars(cohort).items() if isinstance(value, np.ndarray)}
    assert held == {"_studies", "_patients", "_view_codes", "_offsets", "_codes"}
    assert not any("report" in name or "pixel" in name for name in vars(cohort))
