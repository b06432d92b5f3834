"""`harness gate`: the verdict of a run as an exit code, and as files for CI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "gate",
        help="let a run pass or block it: exit code 0, 1 or 3",
        description="Checks the run's evidence, derives the verdict again from its rows, prints it, "
        "and writes verdict.json, junit.xml and summary.md.",
    )
    verb.add_argument("run", type=Path, metavar="RUN", help="run folder")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to write; default: RUN/gate")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Gates a run."""
    from harness.cli.terminal import show_verdict
    from harness.gate import judge, write_summaries

    results, verdict = judge(options.run)
    out = options.out or options.run / "gate"
    paths = write_summaries(out, results, verdict)
    show_verdict(results)
    print()
    for path in paths:
        print(f"{path.stem:8} {path}")
    return verdict.status.exit_code
