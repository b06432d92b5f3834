"""A latency run, checked: its verdict derived again from the raw times in its log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import LedgerError
from harness.latency.conclude import conclude, told_device
from harness.latency.suite import KIND, read_latency_suite
from harness.ledger import Ledger
from harness.plain import difference
from harness.status import Status
from harness.verdict import Verdict


@dataclass(frozen=True, slots=True)
class LatencyEvidence:
    """What a latency run shows, and of what."""

    status: Status
    verdict: Verdict
    candidate: str
    """The candidate's digest, the same as in its other runs."""
    candidate_kind: str
    device: str
    """What really wrote the reports."""
    target: str
    on_target: bool
    mismatches: tuple[str, ...]
    """In what the device was not the target."""
    suite: str
    """The suite's digest."""
    suite_name: str
    ledger: str
    """Digest of the log's entry that ends the measurement, and so of all before it."""
    finished: str
    """When, ISO 8601, UTC."""


def is_latency(ledger: Ledger) -> bool:
    """Whether a run folder holds a latency run."""
    return ledger.identity.get("kind") == KIND


def read_latency(folder: Path) -> LatencyEvidence:
    """What a latency run shows, after checking that it follows from its evidence.

    Raises:
        LedgerError: no latency run, an incomplete one, or something was changed.
    """
    ledger = Ledger(folder)
    if not is_latency(ledger):
        raise LedgerError(f"{folder}: is no latency run; make one with: harness latency")
    results, verdict = judge_latency(ledger)
    finished = next(entry for entry in ledger.log.entries() if entry["event"] == "finished")
    return LatencyEvidence(
        status=verdict.status,
        verdict=verdict,
        candidate=ledger.identity["candidate"],
        candidate_kind=ledger.identity["candidate_kind"],
        device=told_device(results["device"]),
        target=results["target"]["device"],
        on_target=results["on_target"],
        mismatches=tuple(results["mismatches"]),
        suite=ledger.identity["suite"],
        suite_name=ledger.identity["suite_name"],
        ledger=results["ledger"],
        finished=finished["time"],
    )


def judge_latency(ledger: Ledger) -> tuple[dict[str, Any], Verdict]:
    """Results and verdict of a latency run, derived again from its log.

    Raises:
        LedgerError: the run is incomplete, or its results do not follow.
    """
    results = ledger.results()
    suite = read_latency_suite(ledger.root / "suite.yaml")
    if suite.digest() != ledger.identity["suite"]:
        raise LedgerError(f"{ledger.root / 'suite.yaml'}: is not the suite that this run was asked")
    again = json.loads(json.dumps(conclude(ledger, suite)))  # plain values, as the file holds them
    again["estimate"] = results.get("estimate")  # a guess by whatever was known at the time; no evidence
    if where := difference(results, again, "results"):
        raise LedgerError(f"{ledger.root / 'results.json'}: {where} does not follow from the times")
    return results, Verdict.from_json(results["verdict"])
