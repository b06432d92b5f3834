"""Rows of the comparison with other devices: what the packet says of both, side by side."""

from __future__ import annotations

from typing import Any

from harness.packet.schema import COMPARED, Device, IntendedUse, OtherDevice, Packet, Rate

NOT_STATED = "not stated"
RATES = ("sensitivity", "specificity", "auc")
"""Rows whose value on our side is a number of the ledger."""


def compare(packet: Packet, ledger_says: dict[str, str]) -> list[dict[str, Any]]:
    """Each other device with the rows of its comparison.

    Args:
        packet: both sides' statements.
        ledger_says: row -> our side, where the ledger knows it.
    """
    ours = {**_ours(packet.device, packet.intended_use), **ledger_says}
    return [
        {"device": device, "place": place, "rows": [_row(key, ours, device) for key in COMPARED]}
        for place, device in enumerate(packet.devices or ())
    ]


def _row(key: str, ours: dict[str, str], device: OtherDevice) -> dict[str, Any]:
    theirs = getattr(device, key)
    if isinstance(theirs, bool):
        theirs = _yes(theirs)
    mine = ours.get(key) or NOT_STATED
    told = device.discussion.get(key)
    if told is None:
        if key in RATES:
            told = "no discussion in the packet file"
        elif not theirs or mine == NOT_STATED:
            told = "cannot be compared"
        else:
            told = "same wording" if theirs == mine else "different; no discussion in the packet file"
    return {
        "key": key,
        "label": COMPARED[key],
        "ours": mine,
        "theirs": None if isinstance(theirs, Rate) else theirs or NOT_STATED,
        "rate": theirs if isinstance(theirs, Rate) else None,
        "assessment": told,
        "discussed": key in device.discussion,
    }


def _ours(device: Device | None, use: IntendedUse | None) -> dict[str, str]:
    found: dict[str, str] = {}
    if device is not None:
        keys = ("manufacturer", "submission", "product_code", "regulation", "algorithm", "input", "output",
                "workflow", "deployment")  # fmt: skip
        found |= {key: getattr(device, key) for key in keys}
        found["locked"], found["alters_images"] = _yes(device.locked), _yes(device.alters_images)
    if use is not None:
        found |= {"intended_use": use.statement, "population": use.population, "views": use.views}
        found["findings"] = use.findings
    return found


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
