"""What was decided before the data were judged, against what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from harness.ledger import Ledger
from harness.suite import Suite


def deviations(ledger: Ledger, suite: Suite) -> list[str]:
    """Every difference between the protocol lock and the run, in sentences; empty where there is none.

    Args:
        ledger: of the run; its identity holds the lock.
        suite: as it was asked.
    """
    lock: dict[str, Any] | None = ledger.identity.get("lock")
    if lock is None:
        return ["No protocol lock: suite, thresholds and studies were not fixed before this run."]
    found = []
    for key, what in (("suite", "suite"), ("cohort", "studies"), ("candidate", "candidate")):
        if key in lock and lock[key] is not None and lock[key] != ledger.identity[key]:
            found.append(f"The {what} of this run is not the one that was locked.")
    asked = {
        item.id: f"{item.measure}.{item.value} {item.comparison} {item.threshold:g}"
        for item in suite.criteria
    }
    for name in sorted({*asked, *lock["criteria"]}):
        before, now = lock["criteria"].get(name), asked.get(name)
        if before != now:
            found.append(f"Criterion {name}: locked as {before or 'absent'}, judged as {now or 'absent'}.")
    began = next(ledger.log.entries())["time"]
    if datetime.fromisoformat(lock["locked_at"]) > datetime.fromisoformat(began):
        found.append(f"The protocol was locked at {lock['locked_at']}, after the run began at {began}.")
    return found
