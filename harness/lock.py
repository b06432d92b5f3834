"""The protocol lock: what was decided before the data were judged."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.digests import digest_value
from harness.errors import SuiteError
from harness.ledger import write_atomically
from harness.suite import Suite


def write_lock(path: Path, suite: Suite, cohort_digest: str, studies: int) -> dict[str, Any]:
    """Writes the digests of a suite and of the studies it will be asked about.

    Raises:
        SuiteError: a lock is there already; a lock is never rewritten.
    """
    if path.exists():
        raise SuiteError([f"{path}: is there already; a lock is never rewritten. Name another file"])
    lock = {
        "suite_name": suite.name,
        "suite_version": suite.version,
        "suite": suite.digest(),
        "cohort": cohort_digest,
        "studies": studies,
        "criteria": {
            item.id: f"{item.measure}.{item.value} {item.comparison} {item.threshold:g}"
            for item in suite.criteria
        },
        "locked_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    lock["digest"] = digest_value(lock)
    write_atomically(path, json.dumps(lock, indent=1).encode() + b"\n")
    return lock


def check_lock(path: Path | None, suite: Suite, cohort_digest: str | None) -> dict[str, Any] | None:
    """Refuses a run that is not the one that was locked; None where there is no lock.

    Args:
        path: the lock file.
        suite: what is about to be asked.
        cohort_digest: of the studies about to be asked about; None to check the suite alone.

    Raises:
        SuiteError: the lock cannot be read, was changed, or does not match.
    """
    if path is None:
        return None
    try:
        lock: dict[str, Any] = json.loads(path.read_bytes())
        stated = {key: value for key, value in lock.items() if key != "digest"}
        whole = digest_value(stated) == lock["digest"]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise SuiteError([f"{path}: not a readable lock ({error}); make one with: harness lock"]) from None
    if not whole:
        raise SuiteError([f"{path}: was changed after it was written"])
    remedy = "undo the change, or lock anew under another name and say why in the protocol"
    if lock["suite_name"] != suite.name:
        raise SuiteError([f"{path}: is the lock of suite {lock['suite_name']}, not of {suite.name}"])
    if lock["suite"] != suite.digest():
        raise SuiteError([f"{path}: suite {suite.name} was changed after it was locked; {remedy}"])
    if cohort_digest is not None and lock["cohort"] != cohort_digest:
        raise SuiteError([f"{path}: the cohort was changed after it was locked; {remedy}"])
    return lock
