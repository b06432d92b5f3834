"""`harness parity`: did an exported package lose anything?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Runs a package and the checkpoint it was made from on the same studies and decides whether anything
was lost: numbers within limits, and no clinical measure worse by more than its margin (non-inferiority
on a one-sided bound). Given again, the runs go on where they stopped.

  harness export CHECKPOINT --out PACKAGE
  harness parity PACKAGE --against CHECKPOINT --cohort phantom:DIR --out PARITY
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "parity",
        help="compare an exported package with its checkpoint",
        description=DESCRIPTION,
        epilog="exit codes: 0 nothing lost; 1 a limit or margin broken; 2 bad input; 3 not evaluated",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("package", type=Path, metavar="PACKAGE", help="folder made by harness export")
    verb.add_argument(
        "--against", required=True, type=Path, metavar="CHECKPOINT", help="what it was made from"
    )
    verb.add_argument("--cohort", required=True, metavar="KIND:PATH", help="on whom")
    verb.add_argument("--out", required=True, type=Path, metavar="DIR", help="both runs and the result")
    verb.add_argument("--suite", type=Path, metavar="FILE", help="default: the parity suite that comes along")
    verb.add_argument(
        "--provider", choices=("auto", "tensorrt", "cuda", "cpu"), default="auto",
        help="what onnxruntime runs on; default: the best that starts",
    )  # fmt: skip
    verb.add_argument("--workers", type=int, metavar="N", help="candidate processes; default: one a core")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Compares and prints."""
    from rich.table import Table

    from harness.cli.compare import show_comparison
    from harness.cli.terminal import STYLE, output, progress
    from harness.cohorts import open_cohort
    from harness.data_files import data_path
    from harness.deployment.parity import ParityRequest, criteria, judge_parity, rows
    from harness.engines.local import default_workers
    from harness.errors import HarnessError
    from harness.suite import read_suite

    if options.workers is not None and options.workers < 1:
        raise HarnessError("--workers must be 1 or more")
    path = options.suite or data_path("suites") / "parity.yaml"
    suite = read_suite(path)
    wanted = dict(suite.cohort.options)
    if suite.cohort.split is not None:
        wanted["split"] = suite.cohort.split
    with progress() as show:
        parity = judge_parity(
            ParityRequest(
                package=options.package,
                checkpoint=options.against,
                suite=path,
                cohort=open_cohort(options.cohort, **wanted),
                cohort_locator=options.cohort,
                out=options.out,
                provider=options.provider,
                workers=options.workers or default_workers(),
            ),
            show,
        )
    console = output()
    show_comparison(parity.comparison)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows(parity):
        table.add_row(name, value)
    console.print()
    console.print(table)
    for line in criteria(parity):
        console.print(line, markup=False)
    console.print(f"\nParity: [{STYLE[parity.status]}]{parity.status}")
    console.print(f"JSON     {options.out / 'parity.json'}", markup=False, soft_wrap=True)
    console.print(f"MD       {options.out / 'parity.md'}", markup=False, soft_wrap=True)
    return parity.status.exit_code
