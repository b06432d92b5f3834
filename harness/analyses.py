"""What a packet prints besides results.json, worked out from the ledger and the packet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from harness.errors import LedgerError
from harness.latency import measure_latency
from harness.ledger import Ledger, Table, matrix
from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.packet.change_control import check_modifications
from harness.packet.risk import CLASS_LIMITS, assess, changes_since
from harness.packet.schema import Packet
from harness.packet.traceability import trace
from harness.repeatability import compare_repeat
from harness.report import CRITICAL
from harness.status import Status
from harness.suite import Suite


class Readable(Protocol):
    """A ledger, or what a packet holds of one."""

    def read(self, table: Table, columns: Any = None) -> pa.Table:
        """A table, sorted by study id."""


def derive(results: dict[str, Any], packet: Packet, folder: Path) -> dict[str, Any]:
    """What follows from results.json and the packet file alone, as plain values.

    Args:
        results: as results.json.
        packet: what the sponsor states.
        folder: of the packet file; the path of the previous version's risk file starts there.

    Raises:
        PacketError: the previous version's risk file cannot be read.
    """
    decisions, estimates = results["verdict"]["decisions"], results["estimates"]
    hazards = assess(packet.hazards or (), decisions, estimates)
    judged = results["flow"]["judged"]
    return {
        "packet": packet.model_dump(mode="json"),
        "risk": hazards,
        "risk_changes": changes_since(packet.previous, folder, hazards),
        "traceability": trace(packet.requirements or (), packet.hazards or (), decisions),
        "change_control": check_modifications(packet.modifications or (), estimates),
        "declared": {"class_limits": dict(CLASS_LIMITS)},
        "confusion": _confusion(estimates),
        "population": {
            name: [
                {"group": group, "studies": count, "share": count / judged} for group, count in groups.items()
            ]
            for name, groups in results["groups"].items()
        },
    }


def derive_from_rows(ledger: Readable, suite: Suite, packet: Packet, processor: str) -> dict[str, Any]:
    """What needs the ledger's tables: times, and how many critical findings were missed.

    Args:
        ledger: what to read.
        suite: as it was asked.
        packet: names the target device.
        processor: of the run, from its log.
    """
    target = packet.latency
    return {
        "latency": measure_latency(
            ledger.read("timings"),
            ledger.read("predictions", ["study_id", "status"]),
            processor,
            target.device if target else "",
            target.processor if target else "",
            target.p99_below_s if target else None,
        ),
        "missed": [
            {"finding": finding, "positives": positives, "missed": len(studies)}
            for finding, (positives, studies) in missed_studies(ledger, suite).items()
        ],
    }


def compare_repeats(ledger: Ledger, packet: Packet, folder: Path) -> dict[str, Any]:
    """Repeatability and reproducibility: the run beside the further runs that the packet names.

    Args:
        ledger: of the run that is judged.
        packet: names the others.
        folder: of the packet file; their paths start there.
    """
    runs = packet.runs
    return {
        "repeatability": _repeat(ledger, runs.repeat if runs else "", folder),
        "reproducibility": _repeat(ledger, runs.reproduction if runs else "", folder, elsewhere=True),
    }


def missed_studies(ledger: Readable, suite: Suite) -> dict[str, tuple[int, list[str]]]:
    """Critical finding -> how many studies have it, and those whose report does not say so."""
    part = next((part for part in suite.measures if part.measure == CriticalSensitivity.name), None)
    if part is None:
        return {}
    columns = part.build().columns
    table = ledger.read("rows", ["study_id", part.key])
    studies, rows = table.column("study_id").to_pylist(), matrix(table, part.key)
    found = {}
    for finding in CRITICAL:
        present = rows[:, columns.index(f"{finding}:pos")] > 0
        hit = rows[:, columns.index(f"{finding}:tp")] > 0
        missed = [study for study, gone in zip(studies, present & ~hit, strict=True) if gone]
        found[str(finding)] = (int(present.sum()), missed)
    return found


def _confusion(estimates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The four counts of each critical finding, where the suite has a findings_detection."""
    overall = {
        (item["measure"], item["value"]): item
        for item in estimates
        if item["slice"] is None and item["signature"].startswith("findings_detection|")
    }
    tables = []
    for (measure, value), hit in overall.items():
        finding = value.removesuffix(" sensitivity")
        if finding == value or finding not in CRITICAL:
            continue
        rejected = overall[measure, f"{finding} specificity"]
        tables.append(
            {
                "finding": finding,
                "found": hit["numerator"],
                "missed": hit["denominator"] - hit["numerator"],
                "invented": rejected["denominator"] - rejected["numerator"],
                "rejected": rejected["numerator"],
            }
        )
    return tables


def _repeat(ledger: Ledger, other: str, folder: Path, *, elsewhere: bool = False) -> dict[str, Any]:
    """The comparison with a second run; NOT EVALUATED, with the reason, where there is none."""
    nothing: dict[str, Any] = {
        "status": Status.NOT_EVALUATED.value,
        "identical": None,
        "findings": {},
        "environments": [],
    }
    if not other:
        return {**nothing, "reason": "no second run is named"}
    try:
        return compare_repeat(ledger, Ledger(folder / other), elsewhere=elsewhere)
    except LedgerError:
        return {**nothing, "reason": f"{other} is missing, incomplete or damaged"}
