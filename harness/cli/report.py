"""`harness report`: the dossier of a run, as PDF and HTML."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "report",
        help="make the dossier of a run: PDF and HTML",
        description="Makes dossier.pdf and dossier.html from the ledger of a run. It holds report "
        "texts and pictures: keep it where those may be kept.",
    )
    verb.add_argument("run", type=Path, metavar="RUN", help="run folder")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to write; default: RUN/dossier")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Makes the dossier."""
    from harness.dossier import write_dossier
    from harness.dossier.latency_page import write_latency_page
    from harness.latency.evidence import is_latency
    from harness.ledger import Ledger

    write = write_latency_page if is_latency(Ledger(options.run)) else write_dossier
    for path in write(options.run, options.out or options.run / "dossier"):
        print(f"{path.suffix[1:].upper():8} {path}")
    return 0
