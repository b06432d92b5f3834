from harness.digests import digest_value
from harness.packet.schema import Hazard, Requirement
from harness.packet.traceability import trace


def decision(name, status, requirement=""):
    return {"id": name, "status": status, "requirement": requirement, "signature": "s|v1", "value": "v",
            "reason": "because"}  # fmt: skip


HAZARDS = [
    Hazard.model_validate(
        {
            "id": name,
            "hazard": "h",
            "situation": "s",
            "harm": "x",
            "severity": "minor",
            "probability": "remote",
        }
    )
    for name in ("H1", "H2")
]


def test_the_whole_chain_and_what_leads_nowhere():
    requirements = [
        Requirement(id="R1", text="t", hazards=("H1",), criteria=("a",)),
        Requirement(id="R2", text="t"),
        Requirement(id="R3", text="t"),
        Requirement(id="R4", text="t", criteria=("gone",)),
    ]
    decisions = [decision("a", "PASS"), decision("b", "FAIL", "R2"), decision("c", "PASS")]
    told = trace(requirements, HAZARDS, decisions)
    lines = {line["id"]: line for line in told["lines"]}
    assert [line["verified"] for line in told["lines"]] == [False, False, False, True]
    assert lines["R1"]["results"][0]["record"] == digest_value(decisions[0])
    assert lines["R1"]["results"][0]["signature"] == "s|v1 · v"
    assert [item["criterion"] for item in lines["R2"]["results"]] == ["b"], "the suite names the requirement"
    assert lines["R4"]["results"][0]["status"] == "NOT EVALUATED"
    assert told["requirements_without_criterion"] == ["R3"]
    assert told["criteria_without_requirement"] == ["c"]
    assert told["hazards_without_requirement"] == ["H2"]


def test_a_requirement_with_one_unpassed_criterion_is_unverified():
    requirement = Requirement(id="R", text="t", criteria=("a", "b"))
    told = trace([requirement], [], [decision("a", "PASS"), decision("b", "NOT EVALUATED")])
    assert not told["lines"][0]["verified"]
