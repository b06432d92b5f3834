"""`harness cost`: what a study costs and what the model returns, from stated assumptions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "cost",
        help="cost per study and return, from the assumptions of a monitor's configuration",
        description="Works out a year's cost and saving. Every figure is an assumption under `cost` in the "
        "configuration; capacity comes from the throughput and GPU use that the monitor measured.",
    )
    verb.add_argument(
        "--config", required=True, type=Path, metavar="FILE", help="such as suites/monitoring/production.yaml"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Prints the table."""
    from rich.table import Table

    from harness.cli.terminal import output
    from harness.monitoring.config import read_config
    from harness.monitoring.cost import measured_seconds, notes, table, work_out

    config = read_config(options.config)
    seconds = measured_seconds(options.config.parent / config.out, config.window_h, config.cost.gpus)
    cost = work_out(config.cost, seconds)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("What", "A year", "From"):
        shown.add_column(name, justify="right" if name == "A year" else "left", overflow="fold")
    for row in table(config.cost, cost):
        shown.add_row(*row)
    console = output()
    console.print(shown)
    console.print()
    for line in notes(config.cost, cost):
        console.print(line, markup=False)
    return 0
