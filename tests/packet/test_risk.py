import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PacketError
from harness.packet.risk import CLASS_LIMITS, assess, changes_since, probability_class, risk_file, risk_level
from harness.packet.schema import PROBABILITIES, SEVERITIES, Hazard, Previous


def hazard(**fields):
    told = {"id": "H1", "hazard": "h", "situation": "s", "harm": "x", "severity": "serious",
            "probability": "occasional", "evidence": ["c"],
            "observed": {"measure": "m", "value": "v", "complement": True}}  # fmt: skip
    return Hazard.model_validate({**told, **fields})


def estimate(value=0.99, lower=0.985, upper=0.995, reason=""):
    return {"measure": "m", "value": "v", "slice": None, "estimate": value, "reason": reason,
            "bounds": {"lower@0.95": lower, "upper@0.95": upper}}  # fmt: skip


def decision(status):
    return {"id": "c", "status": status, "reason": "because"}


def one(hazards, decisions, estimates):
    [line] = assess(hazards, decisions, estimates)
    return line


@given(st.floats(0, 1))
def test_a_class_covers_its_probability_and_no_smaller_class_does(bound):
    found = probability_class(bound)
    assert bound <= CLASS_LIMITS[found]
    below = PROBABILITIES[: PROBABILITIES.index(found)]
    assert all(bound > CLASS_LIMITS[name] for name in below)


def test_the_level_never_falls_with_severity_or_probability():
    rank = {"low": 0, "medium": 1, "high": 2}
    for severity in SEVERITIES:
        levels = [rank[risk_level(severity, name)] for name in PROBABILITIES]
        assert levels == sorted(levels)
    for name in PROBABILITIES:
        levels = [rank[risk_level(severity, name)] for severity in SEVERITIES]
        assert levels == sorted(levels)


def test_passed_evidence_may_lower_the_class():
    line = one([hazard(leads_to_harm=0.01)], [decision("PASS")], [estimate()])
    assert line["observed"]["upper"] == pytest.approx(0.015)
    assert line["harm_bound"] == pytest.approx(0.00015)
    assert (line["initial"], line["updated"], line["open"]) == ("occasional", "remote", False)


@pytest.mark.parametrize("status", ["FAIL", "NOT EVALUATED"])
def test_without_passed_evidence_the_class_never_falls_and_the_hazard_is_open(status):
    line = one([hazard(leads_to_harm=0.01)], [decision(status)], [estimate()])
    assert line["updated"] == "occasional"
    assert line["open"]
    assert f"c: {status}" in line["open_because"]


def test_a_worse_rate_raises_the_class_even_where_evidence_passed():
    line = one([hazard()], [decision("PASS")], [estimate(0.7, 0.6, 0.8)])
    assert line["updated"] == "frequent"
    assert line["open"]
    assert line["open_because"] == ["the residual risk is high"]


@pytest.mark.parametrize(
    ("fields", "decisions", "estimates", "why"),
    [
        ({"evidence": []}, [], [estimate()], "no criterion verifies its controls"),
        ({}, [], [estimate()], "c: NOT EVALUATED"),
        ({"observed": None}, [decision("PASS")], [estimate()], "no rate of the ledger speaks of it"),
        ({}, [decision("PASS")], [], "the run's suite does not measure m.v"),
        ({}, [decision("PASS")], [estimate(None, None, None, "0/0")], "m.v is undefined: 0/0"),
    ],
)
def test_missing_evidence_is_open(fields, decisions, estimates, why):
    line = one([hazard(**fields)], decisions, estimates)
    assert line["open"]
    assert why in line["open_because"]


def test_open_hazards_come_first_and_the_gravest_of_them_first_of_all():
    hazards = [hazard(id="A", leads_to_harm=0.001), hazard(id="B", evidence=[]),
               hazard(id="C", evidence=[], severity="catastrophic")]  # fmt: skip
    assert [line["id"] for line in assess(hazards, [decision("PASS")], [estimate()])] == ["C", "B", "A"]


def test_changes_name_what_differs(tmp_path):
    before = assess([hazard(leads_to_harm=0.01), hazard(id="H2")], [decision("PASS")], [estimate()])
    (tmp_path / "risk.json").write_text(json.dumps(risk_file("1", before)))
    changed = hazard(leads_to_harm=0.01, controls=["new"])
    after = assess([changed, hazard(id="H3")], [decision("FAIL")], [estimate()])
    told = changes_since(Previous(version="1", risk_file="risk.json"), tmp_path, after)
    lines = {(line["id"], line["what"]): (line["before"], line["after"]) for line in told["lines"]}
    assert lines["H3", "new hazard"]
    assert lines["H2", "hazard no longer listed"]
    assert lines["H1", "open"] == ("no", "yes")
    assert lines["H1", "probability"] == ("remote", "occasional")
    assert lines["H1", "controls"] == ("", "new")
    same = changes_since(Previous(version="1", risk_file="risk.json"), tmp_path, before)
    assert same["lines"] == []


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 1, "version": "2", "hazards": []}'])
def test_a_file_that_is_no_risk_file_of_that_version_is_refused(tmp_path, text):
    (tmp_path / "risk.json").write_text(text)
    with pytest.raises(PacketError, match=r"not the risk.json of version 1"):
        changes_since(Previous(version="1", risk_file="risk.json"), tmp_path, [])
