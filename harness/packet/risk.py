"""The risk analysis, brought up to date by what was observed (ISO 14971:2019)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from harness.errors import PacketError
from harness.packet.schema import PROBABILITIES, SEVERITIES, Hazard, Previous, Probability, Severity

Level = Literal["low", "medium", "high"]

CLASS_LIMITS: Final[Mapping[Probability, float]] = MappingProxyType(
    {"improbable": 1e-4, "remote": 1e-3, "occasional": 1e-2, "probable": 1e-1, "frequent": 1.0}
)
"""Class -> the greatest probability of harm that it covers: of each study in which the hazard can arise."""

LEVELS: Final[Mapping[Severity, tuple[Level, Level, Level, Level, Level]]] = MappingProxyType(
    {
        "negligible": ("low", "low", "low", "medium", "medium"),
        "minor": ("low", "low", "medium", "medium", "high"),
        "serious": ("low", "medium", "medium", "high", "high"),
        "critical": ("medium", "medium", "high", "high", "high"),
        "catastrophic": ("medium", "high", "high", "high", "high"),
    }
)
"""Severity -> the level of risk at each class of probability, in their order."""

FORMAT: Final = 1


def probability_class(bound: float) -> Probability:
    """The class that a probability falls into."""
    return next((name for name in PROBABILITIES if bound <= CLASS_LIMITS[name]), "frequent")


def risk_level(severity: Severity, probability: Probability) -> Level:
    """The level of risk, from the declared matrix."""
    return LEVELS[severity][PROBABILITIES.index(probability)]


def assess(
    hazards: Sequence[Hazard], decisions: Sequence[Mapping[str, Any]], estimates: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Every hazard with its class before and after, its level, and whether it is open; open ones first.

    The observed class is that of the upper bound of the hazard's rate times the declared share of
    situations that lead to harm. It may lower the initial class only where every criterion that
    verifies the controls passed; otherwise the worse of the two stands. Without an observed rate the
    initial class stands.

    A hazard is open where it has no evidence, where evidence is missing, NOT EVALUATED or FAIL, where
    its rate was not observed, or where its level stays high.

    Args:
        hazards: of the packet.
        decisions: of results.json's verdict.
        estimates: of results.json.
    """
    by_id = {item["id"]: item for item in decisions}
    by_key = {(item["measure"], item["value"], item["slice"]): item for item in estimates}
    lines = [_assess(hazard, by_id, by_key) for hazard in hazards]
    worst = {level: place for place, level in enumerate(("high", "medium", "low"))}
    return sorted(lines, key=lambda line: (not line["open"], worst[line["level"]], -line["severity_rank"]))


def _assess(hazard: Hazard, by_id: Mapping[str, Any], by_key: Mapping[Any, Any]) -> dict[str, Any]:
    evidence = [
        {
            "criterion": name,
            "status": by_id[name]["status"] if name in by_id else "NOT EVALUATED",
            "reason": by_id[name]["reason"] if name in by_id else "the run's suite has no such criterion",
        }
        for name in hazard.evidence
    ]
    open_because = [f"{item['criterion']}: {item['status']}" for item in evidence if item["status"] != "PASS"]
    if not evidence:
        open_because.append("no criterion verifies its controls")
    observed = _observed(hazard, by_key)
    if observed["upper"] is None:
        open_because.append(observed["reason"])
    initial = hazard.probability
    updated: Probability = initial
    harm = None
    if observed["upper"] is not None:
        harm = observed["upper"] * hazard.leads_to_harm
        shown = probability_class(harm)
        verified = not open_because
        updated = shown if verified else max(initial, shown, key=PROBABILITIES.index)
    level = risk_level(hazard.severity, updated)
    if level == "high":
        open_because.append("the residual risk is high")
    return {
        "id": hazard.id,
        "hazard": hazard.hazard,
        "situation": hazard.situation,
        "harm": hazard.harm,
        "severity": hazard.severity,
        "severity_rank": SEVERITIES.index(hazard.severity),
        "controls": list(hazard.controls),
        "evidence": evidence,
        "initial": initial,
        "initial_level": risk_level(hazard.severity, initial),
        "observed": observed,
        "leads_to_harm": hazard.leads_to_harm,
        "basis": hazard.basis,
        "harm_bound": harm,
        "updated": updated,
        "level": level,
        "open": bool(open_because),
        "open_because": open_because,
    }


def _observed(hazard: Hazard, by_key: Mapping[Any, Any]) -> dict[str, Any]:
    """The rate of the hazard and its one-sided 95 % upper bound, or why there is none."""
    asked = hazard.observed
    nothing = {"of": "", "rate": None, "upper": None}
    if asked is None:
        return {**nothing, "reason": "no rate of the ledger speaks of it"}
    name = f"{asked.measure}.{asked.value}" + (f" ({asked.slice})" if asked.slice else "")
    item = by_key.get((asked.measure, asked.value, asked.slice))
    if item is None:
        return {**nothing, "of": name, "reason": f"the run's suite does not measure {name}"}
    side = "lower" if asked.complement else "upper"
    bound = item["bounds"].get(f"{side}@0.95")
    if bound is None or item["estimate"] is None:
        return {**nothing, "of": name, "reason": f"{name} is undefined: {item['reason'] or 'no bound'}"}
    rate = 1 - item["estimate"] if asked.complement else item["estimate"]
    upper = 1 - bound if asked.complement else bound
    if not 0 <= upper <= 1:
        return {**nothing, "of": name, "reason": f"{name} is no rate"}
    return {"of": ("1 − " if asked.complement else "") + name, "rate": rate, "upper": upper, "reason": ""}


def risk_file(version: str, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the next version's packet is compared with."""
    kept = ("id", "hazard", "severity", "initial", "updated", "level", "controls", "open")
    return {
        "format": FORMAT,
        "version": version,
        "hazards": [{key: line[key] for key in kept} for line in lines],
    }


def changes_since(
    previous: Previous | None, folder: Path, lines: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What differs from the previous version's risk file, hazard by hazard.

    Raises:
        PacketError: the file cannot be read as a risk file.
    """
    if previous is None:
        return {"version": "", "why": "the packet names no previous version", "lines": []}
    if previous.none:
        return {"version": "", "why": previous.none, "lines": []}
    path = folder / previous.risk_file
    try:
        told = json.loads(path.read_bytes())
        before = {str(item["id"]): item for item in told["hazards"]}
        if told["format"] != FORMAT or told["version"] != previous.version:
            raise ValueError(f"is of version {told['version']}, format {told['format']}")
        changed = _changed(before, {line["id"]: line for line in lines})
    except (OSError, ValueError, KeyError, TypeError) as error:
        wanted = f"the risk.json of version {previous.version}"
        raise PacketError([f"{path}: not {wanted} ({type(error).__name__}: {error})"]) from None
    return {"version": previous.version, "why": "", "lines": changed}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    lines = [{"id": name, "what": "new hazard", "before": "–", "after": after[name]["level"]}
             for name in after if name not in before]  # fmt: skip
    lines += [{"id": name, "what": "hazard no longer listed", "before": str(item["level"]), "after": "–"}
              for name, item in before.items() if name not in after]  # fmt: skip
    words = {"severity": "severity", "updated": "probability", "level": "residual risk", "open": "open",
             "controls": "controls"}  # fmt: skip
    for name in (name for name in after if name in before):
        for key, word in words.items():
            one, two = before[name][key], after[name][key]
            if one != two:
                lines.append({"id": name, "what": word, "before": _word(one), "after": _word(two)})
    return lines


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
