"""`harness dossier`: the regulatory packet of a run, seven documents with their evidence."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "dossier",
        help="make the regulatory packet of a run: seven documents with their evidence",
        description="Makes the documents of a submission from the ledger of a run and a packet file, each as "
        "PDF/A-3 and HTML, with everything their numbers follow from beside and inside them. The internal "
        "variant holds report texts and pictures: keep it where those may be kept.",
    )
    verb.add_argument("run", type=Path, metavar="RUN", help="run folder")
    verb.add_argument(
        "--packet", required=True, type=Path, metavar="FILE", help="what the sponsor states, in YAML"
    )
    verb.add_argument("--out", required=True, type=Path, metavar="DIR", help="where to write")
    verb.add_argument(
        "--public", action="store_true", help="without report texts and pictures, small groups suppressed"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Makes the packet."""
    from harness.dossier.packet import write_packet
    from harness.packet import read_packet

    for path in write_packet(options.run, options.packet, options.out, public=options.public):
        print(path)
    if missing := [name for name, _ in read_packet(options.packet).missing()]:
        print(f"INCOMPLETE: the packet file lacks {', '.join(missing)}; every cover says so", file=sys.stderr)
    print(f"Next: harness sign {options.out}, harness verify {options.out}")
    return 0
