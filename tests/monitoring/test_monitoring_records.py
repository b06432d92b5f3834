import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.monitoring.records import Faults, Place, parse
from harness.report import Finding
from production import reading, report

HERE = Place("a.jsonl", 0, 7)


def parsed(value, **other):
    faults = Faults()
    return parse(value, HERE, faults, **other), faults


def test_a_whole_report_has_no_fault():
    record, faults = parsed(report("s1", 0, queue_depth=3, gpu_use=0.5, embedding=[1, 2]))
    assert not faults.counts
    assert record.findings == {Finding.CARDIOMEGALY}
    assert (record.latency_s, record.queue_depth, record.gpu_use, record.rejected) == (5.0, 3.0, 0.5, False)
    assert record.embedding.tolist() == [1.0, 2.0]


def test_latency_null_is_a_report_that_never_came():
    record, faults = parsed({"study_id": "s", "time": "2026-01-01T00:00:00Z", "latency_s": None})
    assert record.latency_s == math.inf
    assert not faults.counts


def test_a_wider_claim_is_confirmed_by_a_narrower_finding():
    record, _ = parsed(report("s", 0, findings=["Lung Opacity", "Fracture"], detected=["Pneumonia"]))
    assert record.unconfirmed == 1
    record, _ = parsed(report("s", 0, findings=["No Finding"], detected=[]))
    assert (len(record.claims), record.unconfirmed) == (0, 0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"time": "2026-01-01T00:00:00"}, "no usable time (ISO 8601 with a zone)"),
        ({"time": "yesterday"}, "no usable time (ISO 8601 with a zone)"),
        ({"time": 17}, "no usable time (ISO 8601 with a zone)"),
        ({"study_id": ""}, "no usable study_id"),
        ({"study_id": None}, "no usable study_id"),
        ({"kind": "autopsy"}, "unknown kind"),
    ],
)
def test_what_cannot_be_placed_is_counted_and_left_out(change, fault):
    record, faults = parsed(report("s", 0) | change)
    assert record is None
    assert faults.take() == {fault: {"count": 1, "places": ["a.jsonl:7"]}}


@pytest.mark.parametrize(
    ("change", "fault", "field"),
    [
        ({"embedding": [1.0, math.nan]}, "embedding holds NaN or infinity", "embedding"),
        ({"embedding": [1.0, 2.0, 3.0]}, "embedding has not the 2 numbers of the reference", "embedding"),
        ({"embedding": [[1.0]]}, "embedding is no list of numbers", "embedding"),
        ({"embedding": "xy"}, "embedding not usable", "embedding"),
        ({"findings": ["Pneumothorax, left"]}, "findings holds a name that is none of the 14", "findings"),
        ({"findings": "Pneumothorax"}, "findings is no list of findings", "findings"),
        ({"findings": None}, "findings missing", "findings"),
        ({"detected": [3]}, "detected holds a name that is none of the 14", "detected"),
        ({"gpu_use": 55}, "gpu_use is no share from 0 to 1", "gpu_use"),
    ],
)
def test_a_field_that_is_wrong_is_counted_and_the_rest_is_used(change, fault, field):
    record, faults = parsed(report("s", 0) | change, dimensions=2)
    assert list(faults.counts) == [fault]
    assert getattr(record, field) is None
    assert record.time > 0


@pytest.mark.parametrize("value", [-1, math.nan, "5", "timeout", [5.0]])
def test_a_latency_that_is_none_is_counted_and_taken_for_a_report_that_never_came(value):
    record, faults = parsed(report("s", 0, latency_s=value))
    assert list(faults.counts) == ["latency_s is no number, 0 or more"]
    assert record.latency_s == math.inf


@pytest.mark.parametrize("value", ["no", 0, "false"])
def test_an_answer_to_rejected_that_is_none_is_counted_and_taken_for_a_rejection(value):
    record, faults = parsed(report("s", 0, rejected=value))
    assert list(faults.counts) == ["rejected is not true or false"]
    assert record.rejected is True


def test_schema_drift_is_counted_by_name_unless_the_name_is_no_name():
    value = report("s", 0) | {"finding_list": [], "Mr. John Doe, born 1950": 1, "site": "x"}
    _, faults = parsed(value, known=("site",))
    assert set(faults.counts) == {"unknown field finding_list", "unknown field (unprintable)"}


def test_a_report_and_its_reading_are_not_duplicates_of_each_other():
    one, _ = parsed(report("s", 0))
    two, _ = parsed(reading("s", 0))
    assert one.key != two.key


KEYS = st.sampled_from(["study_id", "time", "latency_s", "findings", "embedding", "kind", "q"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(KEYS, x)
)
FIELDS = st.sampled_from(["latency_s", "findings", "detected", "embedding", "rejected"])


@given(JSON)
def test_nothing_that_is_json_breaks_it_and_no_content_is_told(value):
    record, faults = parsed(value)
    assert record is not None or sum(faults.counts.values()) == 1
    assert all(set(told["places"]) == {"a.jsonl:7"} for told in faults.take().values())


@given(st.dictionaries(FIELDS, st.none() | st.integers() | st.text() | st.lists(st.floats() | st.text())))
def test_fields_of_any_kind_never_lose_the_record(change):
    record, faults = parsed(report("s", 0) | change)
    assert record is not None
    for value in change.values():
        if isinstance(value, str) and len(value) > 12:
            assert value not in json.dumps(faults.take())
