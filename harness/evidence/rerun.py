"""A packet's evidence against the run folder it was made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.disclosure import public_results
from harness.error_analysis import analyse
from harness.evidence.collect import collect
from harness.evidence.derived import read_numbers
from harness.evidence.identifiers import KEY_NAME
from harness.evidence.rows import read_object
from harness.gate import judge
from harness.packet.source import read_packet
from harness.plain import difference

_PRINTED: Final = frozenset(("analyses.json", "numbers.json", "packet.yaml"))
"""Made with the packet, not by the run."""


def check_run(
    run: Path, evidence: Path, manifest: dict[str, Any], notes: list[str]
) -> tuple[str, Sequence[str]]:
    """Whether the run still gives the very evidence that is attached.

    Raises:
        LedgerError: the run is incomplete, or does not hold.
    """
    results, _ = judge(run)
    if results["ledger"] != manifest["ledger"]:
        return "another run", [f"{run}: is not the run of this packet; their ledger digests differ"]
    public = manifest["variant"] == "public"
    if not public and not (run / KEY_NAME).exists():
        notes.append(f"{run}: holds no {KEY_NAME}; rows were not compared study by study")
        return "the ledger digest", []
    shown = None
    if public:
        disclosure = read_packet(evidence / "packet.yaml").disclosure
        shown = public_results(results, disclosure.minimum_cell)
    differing: list[str] = []
    again = collect(
        run,
        (evidence / "packet.yaml").read_bytes(),
        read_numbers(evidence),
        analyses=read_object(evidence / "analyses.json") if (evidence / "analyses.json").exists() else None,
        results=shown,
        public=public,
    )
    if not public and (evidence / "analyses.json").exists():
        stated = read_object(evidence / "analyses.json").get("errors")
        errors = json.loads(json.dumps(analyse(run, pictures=False).as_json()))
        del errors["errors"]  # study by study; the packet has the counts
        if stated is not None and (where := difference(stated, errors, "errors")):
            differing.append(f"{evidence / 'analyses.json'}: {where} is not what the run gives")
    beside = {path.name: path.read_bytes() for path in sorted(evidence.iterdir())}
    differing += [
        f"{evidence / name}: is not what the run gives"
        for name in sorted({*again, *beside} - _PRINTED)
        if again.get(name) != beside.get(name)
    ]
    return "evidence and error analysis made again from the run", differing
