import csv
import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cohorts.base import Cohort
from harness.cohorts.manifest import ManifestCohort
from harness.cohorts.phantom import PhantomCohort
from harness.errors import CohortError
from harness.exploration import explore, open_whole
from harness.report import FINDINGS, INDEX, Finding, State
from harness.study import Case, Image, Reference, Study, View
from mimic_layout import Layout
from real_reports import FOLDER, WHY_NOT, write_manifest

OPENI = (
    '<eCitation><uId id="CXR1"/><Abstract><AbstractText Label="FINDINGS">Clear.</AbstractText></Abstract>'
    '<MeSH><major>normal</major></MeSH><parentImage id="CXR1_1"><caption>PA</caption></parentImage>'
    "</eCitation>"
)


class Given(Cohort):
    """Cases from a list."""

    name = "given"
    labels_source = "by hand"
    exclusions = ()

    def __init__(self, cases, splits=None):
        self.cases, self.parts = cases, splits
        self.eligible = len(cases)

    def __len__(self):
        return len(self.cases)

    def __getitem__(self, index):
        return self.cases[index]

    def study_ids(self):
        return [case.study.study_id for case in self.cases]

    def patient_ids(self):
        return [case.patient_id for case in self.cases]

    def splits(self):
        return self.parts


def case(number, labels=None, findings="", patient=None, images=()):
    return Case(
        Study(f"s{number:05d}", tuple(images)), patient or f"p{number}", Reference(findings, "", labels)
    )


def test_phantom_counts_are_those_of_its_cases(phantom_root):
    cohort = open_whole(f"phantom:{phantom_root}")
    found = explore(cohort)
    cases = list(PhantomCohort(phantom_root, split=None))
    assert found.studies == len(cases) == 300
    assert sum(studies for studies, _ in found.splits.values()) == 300
    assert list(found.splits) == [name for name in ("train", "validate", "test") if name in found.splits]
    labels = np.array([one.reference.labels for one in cases])
    for item in found.findings:
        column = labels[:, INDEX[item.finding]]
        counts = (item.positive, item.uncertain, item.negative, item.blank, item.not_covered)
        states = (State.POSITIVE, State.UNCERTAIN, State.NEGATIVE, State.NOT_MENTIONED, State.NOT_COVERED)
        assert counts == tuple(int((column == state).sum()) for state in states)
        assert sum(item.positive_by_split.values()) == item.positive
        assert item.low <= item.share <= item.high
    sex = next(shares for shares in found.groups if shares.name == "sex")
    assert sex.studies == dict(Counter(one.groups["sex"] for one in cases).most_common())
    assert sum(found.age.counts) == sum(one.study.context.age is not None for one in cases)
    assert sum(found.lengths[2].counts) == 300
    words = [len(one.reference.text.split()) for one in cases]
    assert (found.lengths[2].least, found.lengths[2].most) == (min(words), max(words))
    sizes = Counter(Counter(one.patient_id for one in cases).values())
    assert sum(found.studies_a_patient.values()) == found.patients == sum(sizes.values())


def test_a_split_that_the_locator_names_is_kept(phantom_root):
    found = explore(open_whole(f"phantom:{phantom_root}?split=test"))
    assert list(found.splits) == ["test"]
    assert found.studies == len(PhantomCohort(phantom_root, split="test"))


def test_the_sample_is_the_same_every_time_and_whatever_the_order(phantom_root):
    cohort = open_whole(f"phantom:{phantom_root}")
    ids = explore(cohort).sample_ids
    assert len(set(ids)) == 9
    assert explore(cohort).sample_ids == ids
    backwards = Given(list(cohort)[::-1])
    assert set(explore(backwards).sample_ids) == set(ids)


def test_every_kind_of_cohort_is_described(tmp_path):
    layout = Layout(tmp_path / "mimic")
    for number, split in enumerate(("train", "train", "test")):
        layout.study(10000000 + number, 50000000 + number, split=split, labels={"Edema": "1.0"})
    layout.write()
    found = explore(open_whole(f"mimic-cxr:{tmp_path / 'mimic'}"))
    assert found.cohort == "mimic-cxr"
    assert found.splits == {"train": (2, 2), "test": (1, 1)}
    assert found.findings[INDEX[Finding.EDEMA]].positive_by_split == {"train": 2, "test": 1}
    for folder, name in (("ecgen-radiology", "1.xml"), ("NLMCXR_png", "CXR1_1.png")):
        (tmp_path / "openi" / folder).mkdir(parents=True)
        (tmp_path / "openi" / folder / name).write_text(OPENI if name.endswith("xml") else "")
    found = explore(open_whole(f"openi:{tmp_path / 'openi'}"))
    assert (found.cohort, found.studies, found.pictures, found.splits) == ("openi", 1, 1, {})
    path = tmp_path / "studies.csv"
    path.write_text(
        "study_id,patient_id,findings,Pneumothorax,split,age,sex,group:site\n"
        "a,p1,No pneumothorax.,0,train,40,F,north\nb,p1,Small pneumothorax.,1,train,41,F,north\n"
        "c,p2,Effusion.,,test,,,south\n"
    )
    found = explore(open_whole(f"manifest:{path}"))
    assert found.splits == {"train": (2, 1), "test": (1, 1)}
    assert [shares.name for shares in found.groups] == ["age", "race", "sex", "site", "view"]
    pneumothorax = found.findings[INDEX[Finding.PNEUMOTHORAX]]
    assert (pneumothorax.positive, pneumothorax.negative, pneumothorax.blank) == (1, 1, 1)
    assert pneumothorax.positive_by_split == {"train": 1, "test": 0}
    edema = found.findings[INDEX[Finding.EDEMA]]
    assert edema.not_covered == 3
    assert np.isnan(edema.share)
    missing = {row.what: row.missing for row in found.missing}
    assert (missing["picture"], missing["age"], missing["sex"], missing["impression"]) == (3, 1, 1, 3)
    json.dumps(found.as_json(), allow_nan=False)


def test_reports_that_come_twice_are_counted_whatever_their_spaces():
    texts = ["Clear lungs.", "Clear  lungs. ", "Effusion.", "", ""]
    found = explore(Given([case(n, findings=text) for n, text in enumerate(texts)]))
    assert found.repeated == 2
    assert {row.what: row.missing for row in found.missing}["any report text"] == 2


def test_an_empty_cohort_is_refused():
    with pytest.raises(CohortError, match="no study"):
        explore(Given([]))


def test_no_picture_is_opened_and_memory_does_not_grow_with_them(tmp_path):
    images = [Image(tmp_path / f"{n}.jpg", View.PA) for n in range(200)]

    def peak(pictures):
        cohort = Given([case(n, images=images[:pictures]) for n in range(100)])
        tracemalloc.start()
        found = explore(cohort)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.pictures == 100 * pictures
        assert {row.what: row.missing for row in found.missing}["a listed picture's file"] == 100
        return most

    peak(1)
    assert peak(200) < 1.5 * peak(2) + 20_000


labels = st.lists(
    st.lists(st.sampled_from([int(state) for state in State]), min_size=14, max_size=14),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(labels)
def test_laws_of_counts(rows):
    found = explore(
        Given([case(n, np.array(row, dtype=np.int8), patient=f"p{n // 2}") for n, row in enumerate(rows)])
    )
    for place, item in enumerate(found.findings):
        assert item.positive + item.uncertain + item.negative + item.blank + item.not_covered == len(rows)
        assert found.together[place][place] == item.positive
    table = np.array(found.together)
    assert (table == table.T).all()
    assert (table <= np.minimum.outer(np.diag(table), np.diag(table))).all()
    assert len(found.together) == len(FINDINGS)


@pytest.mark.skipif(not FOLDER.exists(), reason=WHY_NOT)
def test_real_reports_are_described(tmp_path):
    rows = write_manifest(tmp_path / "studies.csv")
    found = explore(ManifestCohort(tmp_path / "studies.csv"))
    assert found.studies == len(rows)
    with (tmp_path / "studies.csv").open() as stream:
        fractures = sum(row["Fracture"] == "1" for row in csv.DictReader(stream))
    assert found.findings[INDEX[Finding.FRACTURE]].positive == fractures
    assert found.repeated > 100, "short normal reports repeat"
