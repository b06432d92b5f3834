import gzip
import json
import shutil

import numpy as np
import pytest

from harness.cohorts.mimic_cxr import MimicCxrCohort
from harness.cohorts.phantom import PhantomCohort
from harness.errors import CohortError
from harness.report import CRITICAL, INDEX, State


def test_the_mimic_loader_reads_it_too(phantom_root):
    ours, theirs = PhantomCohort(phantom_root), MimicCxrCohort(phantom_root)
    assert ours.study_ids() == theirs.study_ids()
    for one, other in zip(ours, theirs, strict=True):
        assert one.reference.text == other.reference.text
        assert (one.reference.labels == other.reference.labels).all()
        assert one.study == other.study


def test_the_truth_gives_severity_side_and_box(cases):
    details = [detail for case in cases for detail in case.reference.details]
    assert len(details) > 200
    assert {detail.is_critical == (detail.finding in CRITICAL) for detail in details} == {True}
    assert sum(detail.laterality is not None for detail in details) > 100
    assert sum(detail.bounding_box is not None for detail in details) > 200
    for case in cases:
        for detail in case.reference.details:
            state = case.reference.labels[INDEX[detail.finding]]
            assert state == (State.POSITIVE if detail.confidence == 1 else State.UNCERTAIN) or state == 0


def test_edge_cases_are_a_slice(cases):
    assert {case.groups["edge_case"] for case in cases} == {"none", "implant", "post-surgical", "paediatric"}


def test_splits_are_by_patient(phantom_root):
    seen = {}
    for split in ("train", "validate", "test"):
        for patient in PhantomCohort(phantom_root, split).patient_ids():
            assert seen.setdefault(patient, split) == split
    assert len(set(seen.values())) == 3


@pytest.fixture
def copy(phantom_root, tmp_path):
    return shutil.copytree(phantom_root, tmp_path / "copy", copy_function=lambda a, b: shutil.copyfile(a, b))


def test_a_changed_truth_is_refused(copy):
    path = copy / "truth.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines()
    record = json.loads(lines[0])
    record["states"] = dict.fromkeys(record["states"], 0)
    path.write_bytes(gzip.compress(b"\n".join([json.dumps(record).encode(), *lines[1:]])))
    with pytest.raises(CohortError, match="was changed after it was made"):
        PhantomCohort(copy)


def test_a_folder_without_its_truth_is_refused(copy):
    (copy / "truth.jsonl.gz").unlink()
    with pytest.raises(CohortError, match="not a whole phantom cohort"):
        PhantomCohort(copy)


def test_labels_are_codes_of_the_vocabulary(cases):
    table = np.array([case.reference.labels for case in cases])
    assert table.shape == (len(cases), 14)
    assert set(np.unique(table)) == {0, 1, 2, 3}
