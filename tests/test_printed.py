import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.printed import ABSENT, Numbers, differing, shown_as, value_of

RESULTS = {
    "estimates": [{"measure": "m", "value": "v", "slice": None, "estimate": 0.98765, "low": None,
                   "bounds": {"lower@0.95": 0.91}}],
    "verdict": {"decisions": [{"id": "c", "threshold": 0.98, "groups": [{"group": "sex=F", "bound": 0.5}]}]},
    "flow": {"judged": 12345, "excluded": [["young", 7]]},
}  # fmt: skip
ANALYSES = {"latency": {"p99": 0.00123}}
OF_VALUE = {"kind": "estimate", "measure": "m", "value": "v", "slice": None}
SOURCES = [
    ({**OF_VALUE, "field": "estimate"}, "fixed4", "0.9877"),
    ({**OF_VALUE, "field": "low"}, "fixed4", ABSENT),
    ({**OF_VALUE, "field": "bounds:lower@0.95"}, "fixed3", "0.910"),
    ({"kind": "decision", "criterion": "c", "field": "threshold"}, "general", "0.98"),
    ({"kind": "group-decision", "criterion": "c", "group": "sex=F", "field": "bound"}, "percent", "50.0%"),
    ({"kind": "results", "path": ["flow", "judged"]}, "count", "12,345"),
    ({"kind": "results", "path": ["flow", "excluded", 0, 1]}, "count", "7"),
    ({"kind": "analyses", "path": ["latency", "p99"]}, "seconds", "0.00123 s"),
]  # fmt: skip


def registered():
    numbers = Numbers(RESULTS, ANALYSES)
    for source, form, _ in SOURCES:
        numbers.number(source, form)
    return numbers.records


def test_numbers_are_looked_up_and_formatted():
    assert [record["text"] for record in registered()] == [text for *_, text in SOURCES]
    assert len({record["id"] for record in registered()}) == len(SOURCES)


def test_a_register_agrees_with_what_it_was_made_from():
    assert differing(registered(), RESULTS, ANALYSES) == []


@pytest.mark.parametrize("place", range(len(SOURCES)))
def test_every_altered_text_is_found(place):
    records = registered()
    records[place] = {**records[place], "text": records[place]["text"] + "0"}
    [problem] = differing(records, RESULTS, ANALYSES)
    assert records[place]["text"] in problem


def test_altered_evidence_is_found():
    changed = copy.deepcopy(RESULTS)
    changed["flow"]["judged"] += 1
    assert "12,346" in differing(registered(), changed, ANALYSES)[0]


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "decision", "criterion": "none", "field": "threshold"},
        {"kind": "results", "path": ["flow", "gone"]},
        {"kind": "results", "path": ["flow", "excluded", 9]},
        {"kind": "magic"},
    ],
)
def test_a_source_that_names_nothing_is_an_error(source):
    with pytest.raises(KeyError):
        value_of(source, RESULTS, ANALYSES)


@given(st.floats(0, 1))
def test_p_values_are_never_shown_as_nothing(value):
    assert shown_as(value, "p-value") != "0.0000"
