import gzip
import json
from collections import Counter

import pytest

from harness.cohorts.phantom import PhantomCohort
from harness.digests import digest_tree
from harness.errors import CohortError
from harness.phantom import make_phantom
from harness.report import CRITICAL, FINDINGS


def make(out, studies=24, seed=3, **options):
    make_phantom(out, studies, seed, **{"image_size": 64, "workers": 1, **options})
    return out


def test_the_same_numbers_give_the_same_bytes_on_any_number_of_workers(tmp_path):
    one, two = make(tmp_path / "a"), make(tmp_path / "b", workers=2)
    assert digest_tree(one) == digest_tree(two)
    assert digest_tree(make(tmp_path / "c", seed=4)) != digest_tree(one)


def test_a_larger_cohort_begins_with_the_same_patients(tmp_path):
    few, more = (PhantomCohort(make(tmp_path / str(n), n, test_share=1.0), None) for n in (12, 24))
    for one, other in zip(few, more, strict=False):
        assert one.reference.text == other.reference.text
        assert one.study.study_id == other.study.study_id


def test_what_is_there_is_reused_and_what_is_not_whole_is_refused(tmp_path):
    out = make(tmp_path / "a")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    make(out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(CohortError, match="is not this whole cohort"):
        make(out, seed=4)
    next(out.glob("files/*/*/*/*.jpg")).unlink()
    with pytest.raises(CohortError, match="is not this whole cohort"):
        make(out)


def test_an_interrupted_make_leaves_nothing(tmp_path):
    def stop(done):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a", progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad", [{"studies": 0}, {"seed": -1}, {"test_share": 1.5}, {"image_size": 8}, {"workers": 0}]
)
def test_numbers_that_make_no_sense(tmp_path, bad):
    with pytest.raises(CohortError, match="phantom: needs"):
        make(tmp_path / "a", **bad)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CohortError, match="cannot be written"):
        make(tmp_path / "file" / "a")


def truth(root):
    with gzip.open(root / "truth.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def test_prevalence_is_realistic_and_critical_findings_can_be_decided(large_root):
    records = truth(large_root)
    counts = Counter(finding for record in records for finding in record["present"])
    for finding in CRITICAL:
        assert counts[finding] >= 236, "a miss or two must not make 98 % undecidable"
    shares = {finding: counts[finding] / len(records) for finding in FINDINGS}
    assert 0.2 < sum(not record["present"] for record in records) / len(records) < 0.45
    assert all(0.01 < shares[finding] < 0.35 for finding in FINDINGS if finding != "No Finding")
    visits = Counter(record["subject_id"] for record in records)
    assert 1.2 < len(records) / len(visits) < 3, "several studies a patient"
    assert {record["demographics"]["sex"] for record in records} == {"F", "M"}
    assert len({record["demographics"]["race"] for record in records}) >= 5
    edge = Counter(record["edge_case"] for record in records)
    assert min(edge.values()) > 20


def test_states_follow_the_signs(large_root):
    for record in truth(large_root):
        for sign in record["signs"]:
            expected = -1 if sign["certainty"] == "faint" else 1
            assert record["states"][sign["finding"]] in (expected, None)
            if sign["finding"] in CRITICAL:
                assert record["states"][sign["finding"]] == expected, "a critical sign is always stated"
        stated = {name for name, code in record["states"].items() if code in (1, -1)}
        assert stated - {"No Finding"} <= set(record["present"]), "nothing is stated that is not drawn"
