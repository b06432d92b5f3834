"""A packet's evidence checked against itself: the chain, and everything derived again from the rows."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

from harness.analyses import derive, derive_from_rows
from harness.chain import Chain
from harness.chain_head import check_signature, head_path, read_head
from harness.conclude import conclude
from harness.digests import digest_file, digest_value
from harness.errors import LedgerError
from harness.evidence.collect import environment_of, risks_of
from harness.evidence.rows import ROWS, Evidence, LoggedRun, read_object
from harness.evidence.sbom import bill_of_materials
from harness.lock import in_identity, lock_findings, read_lock
from harness.packet.source import read_packet
from harness.plain import difference
from harness.printed import SUPPRESSED, differing
from harness.suite import read_suite

NOT_DERIVED: Final = frozenset(("errors", "repeatability", "reproducibility", "risk_changes"))
"""Of analyses.json: what needs report texts, a second run, or the previous version's file."""


def check_chain(folder: Path) -> str:
    """A sentence on the log and its head, if they hold.

    Raises:
        LedgerError: a line or the head was changed, dropped, moved, repeated or cut off.
    """
    path = folder / "log.jsonl"
    if not path.exists():
        raise LedgerError(f"{path}: is missing")
    last, head = Chain(path).last(), read_head(path)
    if last is None:
        raise LedgerError(f"{path}: holds no line")
    if head is None:
        raise LedgerError(f"{head_path(path)}: is missing; a cut tail could not be seen")
    if head.seq != last["seq"]:
        raise LedgerError(f"{path}:{head.seq + 2}: stands after the head; it was added after sealing")
    if head.time != last["time"]:
        raise LedgerError(f"{head_path(path)}: its time is not that of line {head.seq + 1}")
    if not head.signed:
        return f"{head.seq + 1} lines; the head is not signed"
    check_signature(path, head)
    return f"{head.seq + 1} lines; the head is signed with key {head.public_key}"


def check_identity(folder: Path, ledger: str, *, public: bool) -> list[str]:
    """Whether run, suite, results, environment, bill of materials and lock are those of the log."""
    entries = list(Chain(folder / "log.jsonl").entries())
    identity = read_object(folder / "run.json")
    found = []
    if digest_value(identity) != next(
        (entry["identity"] for entry in entries if entry["event"] == "started"), None
    ):
        found.append(f"{folder / 'run.json'}: is not the run that the log began")
    if read_suite(folder / "suite.yaml").digest() != identity.get("suite"):
        found.append(f"{folder / 'suite.yaml'}: is not the suite that this run was asked")
    results = folder / "results.json"
    if read_object(results).get("ledger") != ledger:
        found.append(f"{results}: names another ledger digest than the manifest")
    written = [entry["sha256"] for entry in entries if entry["event"] == "results"]
    if not public and (not written or written[-1] != digest_file(results)):
        found.append(f"{results}: is not the file that the log's last results entry names")
    context = next((entry for entry in entries if entry["event"] == "context"), None)
    if context is None:
        return [*found, f"{folder / 'log.jsonl'}: does not tell the environment of the run"]
    if (folder / "environment.json").read_bytes() != environment_of(identity, context):
        found.append(f"{folder / 'environment.json'}: is not the environment that the log tells")
    if (folder / "sbom.cdx.json").read_bytes() != bill_of_materials(
        context["environment"], context["revision"]
    ):
        found.append(f"{folder / 'sbom.cdx.json'}: does not follow from the environment that the log tells")
    return found + _check_lock(folder, identity, public=public)


def check_rows(folder: Path) -> list[str]:
    """Whether every estimate, decision and count of results.json follows from the rows.

    Raises:
        LedgerError: the evidence cannot be read.
    """
    evidence = Evidence(folder)
    suite = read_suite(folder / "suite.yaml")
    stated, again = evidence.results(), _plain(conclude(evidence, suite))
    accuracy = stated.get("labeler_accuracy", {}).get("measured")
    if not (
        accuracy and again["labeler_accuracy"]["measured"]
    ):  # another version's figures: not ours to check
        stated.pop("labeler_accuracy", None)
        again.pop("labeler_accuracy")
    found = []
    if where := difference(stated, again, "results"):
        found.append(f"{folder / 'results.json'}: {where} does not follow from {ROWS}")
    rows = evidence.read("cases", ["study_id"]).column("study_id").to_pylist()
    listed = [line["study_id"] for line in _manifest(folder)]
    if listed != sorted(rows):
        found.append(f"{folder / 'manifest.csv'}: does not list the studies of {ROWS}")
    return found


def check_cover(folder: Path) -> list[str]:
    """Whether the pages tell every difference between the protocol lock and the run."""
    pages = " ".join(
        " ".join(html.unescape(re.sub(r"<[^>]*>", " ", path.read_text(encoding="utf-8"))).split())
        for path in sorted(folder.glob("*.html"))
    )
    return [
        f"{folder}: no page says: {finding}"
        for finding in lock_findings(LoggedRun(folder / "evidence"))
        if " ".join(finding.split()) not in pages
    ]


def check_counts(folder: Path) -> list[str]:
    """Whether every rate of the public results is its counts' quotient; there are no rows to look at."""
    results = read_object(folder / "results.json")
    found = []
    for place, item in enumerate(results["estimates"]):
        numerator, denominator, value = (item[key] for key in ("numerator", "denominator", "estimate"))
        if SUPPRESSED in (numerator, denominator, value) or denominator is None:
            continue
        if "=" not in (item["slice"] or "="):  # a disparity between groups: no quotient of its counts
            continue
        quotient = numerator / denominator if denominator else None
        if difference(value, quotient, "estimate"):
            found.append(
                f"{folder / 'results.json'}: estimates[{place}].estimate is not its counts' quotient"
            )
    return found


def check_analyses(folder: Path, *, public: bool) -> list[str]:
    """Whether analyses.json follows from the results, the packet file and the rows.

    Raises:
        HarnessError: the evidence cannot be read.
    """
    path = folder / "analyses.json"
    if not path.exists():
        return []
    stated = read_object(path)
    packet = read_packet(folder / "packet.yaml")
    results = read_object(folder / "results.json")
    again: dict[str, Any] = {"packet": packet.model_dump(mode="json")}
    if not public:
        # The previous version's risk file is not attached, so what changed since is not derived.
        alone = derive(results, packet.model_copy(update={"previous": None}), folder)
        evidence = Evidence(folder)
        context = next(entry for entry in evidence.log.entries() if entry["event"] == "context")
        processor = context["environment"].get("processor", "")
        suite = read_suite(folder / "suite.yaml")
        rows = derive_from_rows(evidence, suite, packet, processor)
        again = {**alone, **rows, **again}
    again = _plain({key: value for key, value in again.items() if key not in NOT_DERIVED})
    found = [
        f"{path}: {where} does not follow from the evidence beside it"
        for key, value in again.items()
        if (where := difference(stated.get(key), value, key))
    ]
    strangers = set() if public else set(stated) - set(again) - NOT_DERIVED
    found += [f"{path}: {key} is nothing that a packet works out" for key in sorted(strangers)]
    if (folder / "risk.json").read_bytes() != risks_of(stated):
        found.append(f"{folder / 'risk.json'}: does not follow from analyses.json")
    return found


def check_numbers(folder: Path) -> list[str]:
    """Whether every printed number is what its source says.

    Raises:
        LedgerError: the register of numbers cannot be read.
    """
    path = folder / "numbers.json"
    analyses = read_object(folder / "analyses.json") if (folder / "analyses.json").exists() else {}
    return [
        f"{path}: {problem}"
        for problem in differing(read_numbers(folder), read_object(folder / "results.json"), analyses)
    ]


def read_numbers(folder: Path) -> list[dict[str, Any]]:
    """The register of printed numbers.

    Raises:
        LedgerError: it cannot be read.
    """
    path = folder / "numbers.json"
    keys = {"id", "document", "section", "text", "format", "source"}
    try:
        found: list[dict[str, Any]] = json.loads(path.read_bytes())
        for place, record in enumerate(found):
            if not keys <= set(record):
                raise LedgerError(f"{path}: entry {place}: lacks {', '.join(sorted(keys - set(record)))}")
    except (OSError, ValueError, TypeError) as error:
        raise LedgerError(f"{path}: cannot be read ({error})") from None
    return found


def _check_lock(folder: Path, identity: dict[str, Any], *, public: bool) -> list[str]:
    path, held = folder / "lock.json", identity.get("lock")
    if public:  # a lock names every study's digest, and stays inside
        return []
    if not path.exists():
        return [f"{path}: is missing; the run was made under a lock"] if held and "manifest" in held else []
    lock = read_lock(path)
    if in_identity(lock) != held:
        return [f"{path}: is not the lock of this run"]
    if lock.get("manifest") and Counter(lock["manifest"]) != Counter(
        line["sha256"] for line in _manifest(folder)
    ):
        return [f"{folder / 'manifest.csv'}: is not the set of studies that was locked"]
    return []


def _manifest(folder: Path) -> list[dict[str, str]]:
    path = folder / "manifest.csv"
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_bytes().decode("ascii")), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise LedgerError(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=2):
        if set(line) != {"study_id", "sha256"} or None in line.values():
            raise LedgerError(f"{path}:{number}: must hold study_id and sha256")
    return lines


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
