"""From requirement to record and back (IEC 62304:2006+A1:2015, 5.1.1, 5.7 and 7.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.digests import digest_value
from harness.packet.schema import Hazard, Requirement


def trace(
    requirements: Sequence[Requirement], hazards: Sequence[Hazard], decisions: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Each requirement with its hazards, criteria, results and the digests of their records.

    A criterion verifies a requirement where the packet says so, or where the suite names the
    requirement's id in the criterion. A requirement is verified where it has criteria and all of them
    passed; unverified ones come first. `record` is the SHA-256 of the decision as results.json holds
    it, in canonical JSON.

    Returns:
        Plain values: `lines`, and what leads nowhere: `criteria_without_requirement`,
        `requirements_without_criterion`, `hazards_without_requirement`.
    """
    by_id = {item["id"]: item for item in decisions}
    lines = []
    traced: set[str] = set()
    for requirement in requirements:
        names = list(requirement.criteria)
        names += [
            item["id"]
            for item in decisions
            if item["requirement"] == requirement.id and item["id"] not in names
        ]
        traced.update(names)
        results = [_result(name, by_id.get(name)) for name in names]
        lines.append(
            {
                "id": requirement.id,
                "text": requirement.text,
                "hazards": list(requirement.hazards),
                "results": results,
                "verified": bool(results) and all(item["status"] == "PASS" for item in results),
            }
        )
    named = {name for requirement in requirements for name in requirement.hazards}
    return {
        "lines": sorted(lines, key=lambda line: line["verified"]),
        "criteria_without_requirement": [name for name in by_id if name not in traced],
        "requirements_without_criterion": [line["id"] for line in lines if not line["results"]],
        "hazards_without_requirement": [item.id for item in hazards if item.id not in named],
    }


def _result(name: str, decision: Mapping[str, Any] | None) -> dict[str, Any]:
    if decision is None:
        why = "the run's suite has no such criterion"
        return {"criterion": name, "status": "NOT EVALUATED", "signature": "", "record": "", "reason": why}
    return {
        "criterion": name,
        "status": decision["status"],
        "signature": f"{decision['signature']} · {decision['value']}",
        "record": digest_value(decision),
        "reason": decision["reason"],
    }
