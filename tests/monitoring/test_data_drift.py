import numpy as np
import pytest

from harness.inference.mmd import mmd
from harness.monitoring.config import DataDriftPart
from harness.monitoring.data_drift import DataDrift
from harness.monitoring.records import Place, Record

PART = DataDriftPart(sample=50, null_windows=400, permutations=300, clusters=4)


def records(vectors):
    return [
        Record(key=n.to_bytes(8, "big"), time=n, place=Place("a", n, n + 1), reading=False, embedding=vector)
        for n, vector in enumerate(vectors)
    ]


@pytest.fixture(scope="module")
def drift():
    return DataDrift(np.random.default_rng(1).normal(size=(600, 5)), PART, 0.0025, 3)


def test_a_shift_is_seen_and_the_studies_that_moved_are_named(drift):
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(50, 5))
    vectors[10:20] += 4
    found = drift.judge(records(vectors))
    assert found["state"] == "ALERT"
    assert {int(place.split(":")[1]) for place in found["moved"]} <= set(range(11, 21))
    assert sum(found["clusters"]) == 50
    assert found["clusters_p_value"] < 0.1
    assert found["mmd"] == pytest.approx(mmd(drift.reference, vectors, drift.bandwidth))


def test_false_alarms_of_a_look_are_as_declared(drift):
    rng = np.random.default_rng(3)
    assert drift.alpha == pytest.approx(0.05)
    alarms = [drift.judge(records(rng.normal(size=(50, 5))))["state"] == "ALERT" for _ in range(150)]
    assert np.mean(alarms) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


def test_only_as_many_as_the_threshold_is_made_for_are_compared_and_which_is_fixed(drift):
    vectors = np.random.default_rng(4).normal(size=(90, 5))
    found = drift.judge(records(vectors))
    shuffled = records(vectors)[::-1]
    assert drift.judge(shuffled) == found
    assert found["embeddings"] == 90
    assert sum(found["clusters"]) == 50


def test_too_few_usable_embeddings_are_not_evaluated(drift):
    some = records(np.zeros((60, 5)))
    for record in some[:20]:
        record.embedding = None
    found = drift.judge(some)
    assert found["state"] == "NOT EVALUATED"
    assert "40 usable embeddings of 60 reports; 50 are needed" in found["reason"]


def test_broken_embeddings_leave_drift_open_and_hide_none(drift):
    rng = np.random.default_rng(8)
    for shift, state in ((0.0, "NOT EVALUATED"), (3.0, "ALERT")):
        some = records(rng.normal(size=(100, 5)) + shift)
        for record in some[::2]:
            record.embedding = None
        found = drift.judge(some)
        assert found["state"] == state
    assert drift.judge(records(rng.normal(size=(100, 5))))["state"] == "QUIET"
    some = records(rng.normal(size=(100, 5)))
    some[3].embedding = some[4].embedding = None
    assert drift.judge(some)["reason"].startswith("embeddings are broken: 2 of 100 records lack")


def test_a_reference_too_small_for_null_windows_is_not_evaluated():
    drift = DataDrift(np.random.default_rng(5).normal(size=(120, 5)), PART, 0.01, 1)
    found = drift.judge(records(np.zeros((60, 5))))
    assert found["state"] == "NOT EVALUATED"
    assert "need 200" in found["reason"]


def test_a_rate_beyond_the_null_windows_is_not_evaluated():
    embeddings = np.random.default_rng(6).normal(size=(400, 3))
    drift = DataDrift(embeddings, PART.model_copy(update={"consecutive": 1}), 1e-5, 1)
    assert "null windows are too few" in drift.reason


def test_an_encoder_that_is_stuck_is_seen_and_a_stuck_reference_judges_nothing(drift):
    assert drift.judge(records(np.ones((50, 5))))["state"] == "ALERT"
    stuck = DataDrift(np.ones((400, 5)), PART, 0.0025, 1)
    assert "coincide" in stuck.judge(records(np.ones((50, 5))))["reason"]


def test_large_windows_are_compared_in_blocks():
    rng = np.random.default_rng(7)
    part = DataDriftPart(sample=400, all_pairs_up_to=200, null_windows=200)
    drift = DataDrift(rng.normal(size=(1800, 4)), part, 0.0025, 1)
    moved = drift.judge(records(rng.normal(size=(400, 4)) + 0.6))
    assert moved["state"] == "ALERT"
    assert "blocks" in moved["method"]
    quiet = [drift.judge(records(rng.normal(size=(400, 4))))["state"] == "ALERT" for _ in range(40)]
    assert np.mean(quiet) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
