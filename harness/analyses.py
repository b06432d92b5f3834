"""What a packet prints besides results.json, worked out from the ledger and the packet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import LedgerError
from harness.latency import measure_latency
from harness.ledger import Ledger
from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.packet.change_control import check_modifications
from harness.packet.risk import assess, changes_since
from harness.packet.schema import Packet
from harness.packet.traceability import trace
from harness.protocol import deviations
from harness.repeatability import compare_repeat
from harness.report import CRITICAL
from harness.status import Status
from harness.suite import Suite, read_suite


def analyse(run: Path, packet: Packet, folder: Path) -> dict[str, Any]:
    """Everything, as plain values: `derive`, and what needs the ledger's own parts.

    Args:
        run: folder of a complete run.
        packet: what the sponsor states.
        folder: of the packet file; its relative paths start there.

    Raises:
        LedgerError: the run is incomplete or damaged.
        PacketError: the previous version's risk file cannot be read.
    """
    ledger = Ledger(run)
    suite = read_suite(run / "suite.yaml")
    target = packet.latency
    return {
        **derive(ledger.results(), packet, folder),
        "deviations": deviations(ledger, suite),
        "missed": missed_findings(ledger, suite),
        "latency": measure_latency(
            ledger,
            target.device if target else "",
            target.processor if target else "",
            target.p99_below_s if target else None,
        ),
        "repeatability": _repeat(run, packet.runs.repeat if packet.runs else "", folder),
        "reproducibility": _repeat(run, packet.runs.reproduction if packet.runs else "", folder),
    }


def derive(results: dict[str, Any], packet: Packet, folder: Path) -> dict[str, Any]:
    """What follows from results.json and the packet file alone.

    Raises:
        PacketError: the previous version's risk file cannot be read.
    """
    decisions, estimates = results["verdict"]["decisions"], results["estimates"]
    hazards = assess(packet.hazards or (), decisions, estimates)
    judged = results["flow"]["judged"]
    return {
        "risk": hazards,
        "risk_changes": changes_since(packet.previous, folder, hazards),
        "traceability": trace(packet.requirements or (), packet.hazards or (), decisions),
        "change_control": check_modifications(packet.modifications or (), estimates),
        "population": {
            name: [
                {"group": group, "studies": count, "share": count / judged} for group, count in groups.items()
            ]
            for name, groups in results["groups"].items()
        },
    }


def missed_findings(ledger: Ledger, suite: Suite) -> list[dict[str, Any]]:
    """For each critical finding the studies that have it, and those whose report does not say so."""
    part = next((part for part in suite.measures if part.measure == CriticalSensitivity.name), None)
    if part is None:
        return []
    columns = part.build().columns
    rows = ledger.read("rows", ["study_id", part.key]).to_pylist()
    found = []
    for finding in CRITICAL:
        hit, present = columns.index(f"{finding}:tp"), columns.index(f"{finding}:pos")
        studies = [row["study_id"] for row in rows if row[part.key][present] and not row[part.key][hit]]
        positives = sum(row[part.key][present] for row in rows)
        found.append(
            {"finding": str(finding), "positives": positives, "missed": len(studies), "studies": studies}
        )
    return found


def _repeat(run: Path, other: str, folder: Path) -> dict[str, Any]:
    """The comparison with a second run; NOT EVALUATED, with the reason, where there is none."""
    if not other:
        return {"status": Status.NOT_EVALUATED.value, "reason": "no second run is named", "identical": None}
    try:
        return compare_repeat(run, folder / other)
    except LedgerError as error:
        return {"status": Status.NOT_EVALUATED.value, "reason": str(error), "identical": None}
