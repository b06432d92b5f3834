"""What a packet attaches: everything that its numbers can be worked out from again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from harness.chain_head import Head, read_head
from harness.data_files import data_path
from harness.digests import canonical_json
from harness.errors import LedgerError
from harness.evidence.identifiers import Identifiers, open_identifiers
from harness.evidence.rows import ROWS, attached_rows
from harness.evidence.sbom import bill_of_materials
from harness.gate import judge
from harness.ledger import Ledger
from harness.packet.risk import risk_file
from harness.suite import read_suite

_ABOUT: Final[dict[str, tuple[str, str, str]]] = {
    "results.json": ("application/json", "Data", "Estimates and verdict"),
    "analyses.json": ("application/json", "Data", "What the documents print besides estimates and verdict"),
    "risk.json": ("application/json", "Data", "The risk file, for the next version to be compared with"),
    "numbers.json": ("application/json", "Data", "Every printed number and where it comes from"),
    ROWS: (
        "application/vnd.apache.parquet",
        "Source",
        "A line a study: integers that all tables follow from",
    ),
    "manifest.csv": ("text/csv", "Source", "The digest of every study that was judged"),
    "suite.yaml": ("application/yaml", "Source", "The suite as it was asked"),
    "packet.yaml": ("application/yaml", "Source", "The packet file as it was given"),
    "lock.json": ("application/json", "Supplement", "The protocol lock"),
    "run.json": ("application/json", "Supplement", "Which suite, cohort, candidate and code this was"),
    "log.jsonl": ("application/jsonl", "Supplement", "The run's log, a hash chain"),
    "log.head.json": ("application/json", "Supplement", "The head of the log"),
    "environment.json": ("application/json", "Supplement", "Python, machine and installed versions"),
    "sbom.cdx.json": (
        "application/vnd.cyclonedx+json",
        "Supplement",
        "Software bill of materials, CycloneDX",
    ),
    "check_headline.py": ("text/x-python", "Supplement", "Works out the headline numbers again"),
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file inside a PDF/A-3 (ISO 19005-3)."""

    name: str
    content: bytes
    relationship: str
    """AFRelationship of ISO 32000-2, 14.13: Data, Source or Supplement."""
    description: str
    media_type: str


def collect(
    run: Path,
    packet_text: bytes,
    numbers: Sequence[Mapping[str, Any]],
    *,
    analyses: Mapping[str, Any] | None = None,
    results: Mapping[str, Any] | None = None,
    public: bool = False,
    key: Path | None = None,
) -> dict[str, bytes]:
    """The files of a packet's evidence folder, by name; the same arguments give the same bytes.

    Args:
        run: folder of a complete run.
        packet_text: the packet file.
        numbers: every printed number, as `harness.printed` registers them.
        analyses: what else is printed; None where nothing is.
        results: for the public variant, results.json with small cells suppressed.
        public: leave out what tells of single studies: rows, manifest, times.
        key: key file of the pseudonyms; None for the run folder's own.

    Raises:
        LedgerError: the run is not complete, or its results do not follow from its rows.
        ValueError: the public variant without results to print.
    """
    judge(run)
    if public and results is None:
        raise ValueError("the public variant needs results with small cells suppressed")
    ledger = Ledger(run)
    suite = read_suite(run / "suite.yaml")
    context = next((entry for entry in ledger.log.entries() if entry["event"] == "context"), None)
    if context is None:
        raise LedgerError(f"{run}: the log does not tell the environment of the run; give its command again")
    files = {
        "suite.yaml": (run / "suite.yaml").read_bytes(),
        "packet.yaml": packet_text,
        "run.json": (run / "run.json").read_bytes(),
        "environment.json": environment_of(ledger.identity, context),
        "sbom.cdx.json": bill_of_materials(context["environment"], context["revision"]),
        "numbers.json": _plain(list(numbers)),
    }
    if analyses is not None:
        files["analyses.json"] = _plain(dict(analyses))
        files["risk.json"] = risks_of(analyses)
    files["log.jsonl"] = (run / "log.jsonl").read_bytes()
    files["log.head.json"] = canonical_json(asdict(_head(ledger))).encode() + b"\n"
    if public:
        files["results.json"] = _plain(dict(results or {}))
    else:
        identifiers = open_identifiers(run, key)
        files["results.json"] = (run / "results.json").read_bytes()
        files[ROWS] = attached_rows(ledger, suite, identifiers)
        files["manifest.csv"] = _manifest(ledger, identifiers)
        files["check_headline.py"] = (data_path("reports") / "check_headline.py").read_bytes()
        if (run / "lock.json").exists():
            files["lock.json"] = (run / "lock.json").read_bytes()
    return dict(sorted(files.items()))


def attachments(evidence: Mapping[str, bytes]) -> list[Attachment]:
    """The evidence as files to attach, in the order of their names."""
    found = []
    for name, content in sorted(evidence.items()):
        media_type, relationship, description = _ABOUT[name]
        found.append(Attachment(name, content, relationship, description, media_type))
    return found


def _head(ledger: Ledger) -> Head:
    """The head beside the log; that of the log itself where a crash left it one line behind."""
    last = ledger.log.last()
    assert last is not None  # noqa: S101  # a ledger's log holds its start
    head = read_head(ledger.log.path)
    if head is not None and head.seq == last["seq"]:
        return head
    return Head(last["seq"], last["digest"], last["time"])


def environment_of(identity: Mapping[str, Any], context: Mapping[str, Any]) -> bytes:
    """environment.json: the machine and versions of a run, from the log's entry on them."""
    return _plain(
        {
            **context["environment"],
            "revision": context["revision"],
            "harness": identity["harness"],
            "code": identity["code"],
        }
    )


def risks_of(analyses: Mapping[str, Any]) -> bytes:
    """risk.json, with which the packet of the next version is compared."""
    device = (analyses.get("packet") or {}).get("device") or {}
    return _plain(risk_file(device.get("version") or "", analyses.get("risk") or ()))


def _manifest(ledger: Ledger, identifiers: Identifiers) -> bytes:
    table = ledger.read("cases", ["study_id", "digest"]).to_pylist()
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["study_id", "sha256"])
    writer.writerows(sorted((identifiers.study(row["study_id"]), row["digest"]) for row in table))
    return stream.getvalue().encode()


def _plain(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
