"""Planned modifications against what was measured (predetermined change control plan)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.packet.schema import Bound, Modification
from harness.status import Status


def check_modifications(
    modifications: Sequence[Modification], estimates: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each modification with its bounds against the one-sided bounds of this run.

    PASS says that the version measured here lies within the bounds that the modified version must
    keep. Failed and not evaluated ones come first.

    Args:
        modifications: of the packet.
        estimates: of results.json.
    """
    by_key = {(item["measure"], item["value"], item["slice"]): item for item in estimates}
    lines = []
    for item in modifications:
        bounds = [_check(bound, by_key) for bound in item.bounds]
        lines.append(
            {
                "id": item.id,
                "change": item.change,
                "method": item.method,
                "impact": item.impact,
                "bounds": bounds,
                "status": Status.whole(Status(bound["status"]) for bound in bounds).value,
            }
        )
    order = {Status.FAIL: 0, Status.NOT_EVALUATED: 1, Status.PASS: 2}
    return sorted(lines, key=lambda line: order[Status(line["status"])])


def _check(bound: Bound, by_key: Mapping[Any, Mapping[str, Any]]) -> dict[str, Any]:
    side = "lower" if bound.at_least is not None else "upper"
    threshold = bound.at_least if bound.at_least is not None else bound.at_most
    key = f"{side}@{bound.confidence:g}"
    item = by_key.get((bound.measure, bound.value, bound.slice))
    line = {
        "measure": bound.measure,
        "value": bound.value,
        "slice": bound.slice,
        "side": side,
        "key": key,
        "threshold": threshold,
        "measured": None,
        "bound": None,
    }
    if item is None:
        return _told(line, Status.NOT_EVALUATED, "the run's suite does not measure it")
    reached = item["bounds"].get(key)
    if reached is None:
        why = item["reason"] or f"the suite's results hold no {key} bound"
        return _told({**line, "measured": item["estimate"]}, Status.NOT_EVALUATED, why)
    line = {**line, "measured": item["estimate"], "bound": reached}
    met = reached >= threshold if side == "lower" else reached <= threshold
    words = f"{side} {100 * bound.confidence:.4g}% bound {reached:.4f} is {'within' if met else 'outside'}"
    return _told(line, Status.PASS if met else Status.FAIL, words)


def _told(line: dict[str, Any], status: Status, reason: str) -> dict[str, Any]:
    return {**line, "status": status.value, "reason": reason}
