"""A packet's evidence against the run folder it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.disclosure import public_results
from harness.evidence.collect import collect
from harness.evidence.derived import read_numbers
from harness.evidence.identifiers import KEY_NAME
from harness.evidence.rows import read_object
from harness.gate import judge
from harness.packet.source import read_packet

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
    again = collect(
        run,
        (evidence / "packet.yaml").read_bytes(),
        read_numbers(evidence),
        analyses=read_object(evidence / "analyses.json") if (evidence / "analyses.json").exists() else None,
        results=shown,
        public=public,
    )
    beside = {path.name: path.read_bytes() for path in sorted(evidence.iterdir())}
    found = [
        f"{evidence / name}: is not what the run gives"
        for name in sorted({*again, *beside} - _PRINTED)
        if again.get(name) != beside.get(name)
    ]
    return "evidence collected again from the run", found
