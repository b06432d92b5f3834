"""The protocol lock: what was decided before the data were judged, and how often they were since."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from harness.chain import Chain
from harness.digests import digest_value
from harness.errors import LedgerError, SuiteError
from harness.ledger import write_atomically
from harness.looks import count_look
from harness.suite import Suite, read_suite


class Logged(Protocol):
    """A run as far as its lock is concerned."""

    root: Path
    identity: dict[str, Any]
    log: Chain


def write_lock(
    path: Path,
    suite: Suite,
    cohort_digest: str,
    studies: int,
    *,
    study_digests: Sequence[str] = (),
    candidate: str | None = None,
    family: str | None = None,
    looks: int = 1,
) -> dict[str, Any]:
    """Writes the digests of a suite and of the studies it will be asked about.

    The lock is entered in the ledger of looks, `looks.jsonl` in its folder, in which every run under a
    lock of this folder is counted.

    Args:
        path: where the lock is written.
        suite: what will be asked.
        cohort_digest: of all studies.
        studies: how many.
        study_digests: of each study, in the order of their ids, so that a change can be told.
        candidate: the digest of the only candidate it holds for; None for any.
        family: the name under which candidates count together; None for their kind.
        looks: how often candidates of the family are planned to be judged on these studies.

    Raises:
        SuiteError: a lock is there already; a lock is never rewritten.
        LedgerError: the ledger of looks was changed, or cannot be written.
    """
    if path.exists():
        raise SuiteError([f"{path}: is there already; a lock is never rewritten. Name another file"])
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = {
        "suite_name": suite.name,
        "suite_version": suite.version,
        "suite": suite.digest(),
        "cohort": cohort_digest,
        "studies": studies,
        "criteria": _criteria(suite),
        "candidate": candidate,
        "family": family,
        "planned_looks": looks,
        "manifest": list(study_digests),
        "locked_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    lock["digest"] = digest_value(lock)
    chain = Chain(looks_path(path))
    chain.repair()
    chain.append("locked", lock=lock["digest"])
    write_atomically(path, json.dumps(lock, indent=1).encode() + b"\n")
    return lock


def check_lock(
    path: Path | None,
    suite: Suite,
    cohort_digest: str | None,
    *,
    study_digests: Sequence[str] = (),
    candidate: str | None = None,
) -> dict[str, Any] | None:
    """Refuses a run that is not the one that was locked; None where there is no lock.

    Args:
        path: the lock file.
        suite: what is about to be asked.
        cohort_digest: of the studies about to be asked about; None to check the suite alone.
        study_digests: of each of these studies, to tell how many differ.
        candidate: digest of who is about to be asked; None not to check it.

    Raises:
        SuiteError: the lock cannot be read, was changed, or does not match.
    """
    if path is None:
        return None
    lock = read_lock(path)
    remedy = "undo the change, or lock anew under another name and say why in the protocol"
    if lock["suite_name"] != suite.name:
        raise SuiteError([f"{path}: is the lock of suite {lock['suite_name']}, not of {suite.name}"])
    if lock["suite"] != suite.digest():
        raise SuiteError([f"{path}: suite {suite.name} was changed after it was locked; {remedy}"])
    if cohort_digest is not None and lock["cohort"] != cohort_digest:
        told = _told(lock.get("manifest") or (), study_digests)
        raise SuiteError([f"{path}: the cohort was changed after it was locked{told}; {remedy}"])
    if candidate is not None and lock.get("candidate") not in (None, candidate):
        raise SuiteError([f"{path}: holds for another candidate (or other weights of it); {remedy}"])
    return lock


def read_lock(path: Path) -> dict[str, Any]:
    """A lock as it was written.

    Raises:
        SuiteError: it cannot be read, or was changed.
    """
    try:
        lock: dict[str, Any] = json.loads(path.read_bytes())
        stated = {key: value for key, value in lock.items() if key != "digest"}
        whole = digest_value(stated) == lock["digest"]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise SuiteError([f"{path}: not a readable lock ({error}); make one with: harness lock"]) from None
    if not whole:
        raise SuiteError([f"{path}: was changed after it was written"])
    return lock


def in_identity(lock: dict[str, Any] | None) -> dict[str, Any] | None:
    """The lock as a run's identity holds it: all but the studies one by one."""
    return None if lock is None else {key: value for key, value in lock.items() if key != "manifest"}


def looks_path(lock: Path) -> Path:
    """Where looks are counted: one ledger for all locks of a folder."""
    return lock.parent / "looks.jsonl"


def keep_lock(path: Path | None, ledger: Logged) -> None:
    """Puts a copy of the lock, if there is one, into the run folder, and counts the look.

    Raises:
        LedgerError: it cannot be written, or the look cannot be counted.
    """
    if path is None:
        return
    if not (ledger.root / "lock.json").exists():
        write_atomically(ledger.root / "lock.json", path.read_bytes())
    record_look(path, ledger)


def record_look(path: Path, ledger: Logged) -> None:
    """Counts a run under a lock, in the ledger of looks and in the run's own log; once.

    Candidates of a family count together, whatever they are asked: each look at the same studies is
    another chance to pass. The same candidate under the same suite again is the same look. A lock from
    before looks were counted has none.

    Args:
        path: the lock file.
        ledger: the run, before any study is judged.

    Raises:
        LedgerError: the ledger of looks is not beside the lock, does not know it, or was changed.
    """
    lock = read_lock(path)
    if "planned_looks" not in lock or _look(ledger):
        return
    log = looks_path(path)
    if not log.exists() or not any(
        entry["event"] == "locked" and entry["lock"] == lock["digest"] for entry in Chain(log).entries()
    ):
        raise LedgerError(
            f"{log}: does not hold {path.name}; it counts how often these studies were judged and belongs "
            "beside the lock: put it back, or lock anew and say why in the protocol"
        )
    family = lock["family"] or ledger.identity["candidate_kind"]
    counted = count_look(
        log,
        {"cohort": lock["cohort"], "family": family},
        {key: ledger.identity[key] for key in ("candidate", "suite")},
        family=family,
        lock=lock["digest"],
    )
    ledger.log.append(
        "look", family=family, number=counted.number, planned=lock["planned_looks"], head=counted.head
    )


def lock_account(ledger: Logged) -> dict[str, Any]:
    """What a page says of the lock of a run; None where it is not known."""
    lock, look = ledger.identity.get("lock") or {}, _look(ledger) or {}
    return {
        "locked_at": lock.get("locked_at"),
        "digest": lock.get("digest"),
        "candidate_locked": lock.get("candidate") is not None,
        "planned_looks": lock.get("planned_looks"),
        "look": look.get("number"),
        "family": look.get("family"),
    }


def lock_findings(ledger: Logged) -> list[str]:
    """Every difference between the protocol lock and the run, in sentences; empty where there is none."""
    lock: dict[str, Any] | None = ledger.identity.get("lock")
    if lock is None:
        return ["No protocol lock: suite, thresholds and studies were not fixed before this run."]
    found = [
        f"The {what} of this run is not the one that was locked."
        for key, what in (("suite", "suite"), ("cohort", "set of studies"), ("candidate", "candidate"))
        if lock.get(key) not in (None, ledger.identity[key])
    ]
    asked, locked = _criteria(read_suite(ledger.root / "suite.yaml")), lock["criteria"]
    found += [
        f"Criterion {name}: locked as {locked.get(name, 'absent')}, judged as {asked.get(name, 'absent')}."
        for name in sorted({*asked, *locked})
        if locked.get(name) != asked.get(name)
    ]
    began = next(ledger.log.entries())["time"]
    if datetime.fromisoformat(lock["locked_at"]) > datetime.fromisoformat(began):
        found.append(f"The protocol was locked at {lock['locked_at']}, after the run began at {began}.")
    look = _look(ledger)
    if look is None:
        found.append("How often these studies have judged such candidates was not counted.")
    elif look["number"] > look["planned"]:
        found.append(
            f"This is look {look['number']} at these studies with candidates of the family "
            f"{look['family']}; {look['planned']} planned."
        )
    return found


def _look(ledger: Logged) -> dict[str, Any] | None:
    return next((entry for entry in ledger.log.entries() if entry["event"] == "look"), None)


def _criteria(suite: Suite) -> dict[str, str]:
    return {
        item.id: f"{item.measure}.{item.value} {item.comparison} {item.threshold:g}"
        for item in suite.criteria
    }


def _told(locked: Sequence[str], found: Sequence[str]) -> str:
    """How many studies differ, where both sides are known one by one."""
    if not locked or not found:
        return ""
    gone = (Counter(locked) - Counter(found)).total()
    new = (Counter(found) - Counter(locked)).total()
    return f": of {len(locked):,} locked studies {gone:,} are changed or gone, and {new:,} are new"
