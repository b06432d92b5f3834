"""`harness verify`: is a packet what was sealed and signed, and do its numbers follow from its evidence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "verify",
        help="check a packet: digests, chain, signatures, every number again from its rows",
        description="Checks a packet, without model or network: files against the manifest, the log and its "
        "head, results and printed numbers derived again from the rows, the files inside the PDFs, the "
        "signatures. Exit code 0 if all holds, else 3 and the exact places. Given a run folder, checks its "
        "log and derives its verdict again.",
    )
    verb.add_argument("folder", type=Path, metavar="DIR", help="packet, or run folder")
    verb.add_argument(
        "--trust",
        type=Path,
        action="append",
        metavar="CERT",
        help="certificate that signatures must lead back to (PEM or DER); may be repeated. Without it an "
        "untrusted signature is told, and is no fault",
    )
    verb.add_argument("--run", type=Path, metavar="RUN", help="compare the evidence with this run too")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Verifies."""
    from harness.evidence.signatures import load_certificates
    from harness.evidence.verify import verify_packet

    if (options.folder / "run.json").exists():
        return _verify_run(options.folder)
    trust = None
    if options.trust:
        trust = [certificate for path in options.trust for certificate in load_certificates(path)]
    account = verify_packet(options.folder, trust=trust, run=options.run)
    for check in account.checks:
        print(f"{'FAILED' if check.problems else 'ok':7} {check.name:11} {check.told}")
        for problem in check.problems:
            print(f"        {problem}")
    for note in account.notes:
        print(f"note    {note}")
    count = len(account.problems)
    print("\nAll holds" if not count else f"\n{count} {'place does' if count == 1 else 'places do'} not hold")
    return 3 if count else 0


def _verify_run(folder: Path) -> int:
    from harness.evidence.derived import check_chain
    from harness.gate import judge

    told = check_chain(folder)
    results, verdict = judge(folder)
    print(f"ok      chain       {told}")
    print(f"ok      rows        verdict {verdict.status} follows from them; ledger {results['ledger']}")
    print("\nAll holds")
    return 0
