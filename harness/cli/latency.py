"""`harness latency`: how long reports take, on a named device, decided on bounds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

DESCRIPTION = """\
Times a candidate: after a warm-up, one study at a time; then with Poisson arrivals at rising rates until
the device is saturated, each latency counted from the moment at which the study was to arrive. A study
without a report is later than any limit. The limits of the suite hold for the device that it names: on
another one the times are shown as that one's, and every criterion is NOT EVALUATED. Raw times go into a
chained log; killed, the same command goes on.

  harness plan suites/latency-a10g.yaml --cohort phantom:DIR    # can it decide; how long it takes
  harness latency suites/latency-a10g.yaml --candidate multimodal --cohort phantom:DIR --out RUN
  harness gate RUN                                                    # everything again from the raw times
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "latency",
        help="time a candidate on a named device: latency, throughput, saturation, cost",
        description=DESCRIPTION,
        epilog="exit codes: those of the verdict; 3 on any device but the suite's",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("suite", type=Path, help="latency suite, such as suites/latency-a10g.yaml")
    verb.add_argument("--candidate", required=True, metavar="KIND[:PATH]", help="who is timed")
    verb.add_argument("--cohort", required=True, metavar="KIND:PATH", help="on which studies")
    verb.add_argument("--out", required=True, type=Path, metavar="RUN", help="run folder")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Times, prints, and writes the page."""
    from harness.candidates import open_candidate
    from harness.cli.terminal import output, progress, show_verdict
    from harness.cohorts import open_cohort
    from harness.dossier.latency_page import write_latency_page
    from harness.errors import HarnessError
    from harness.latency.run import LatencyRequest, execute
    from harness.latency.suite import read_latency_suite
    from harness.verdict import Verdict

    suite = read_latency_suite(options.suite)
    wanted = dict(suite.cohort.options)
    if suite.cohort.split is not None:
        wanted["split"] = suite.cohort.split
    with progress() as show:
        ledger = execute(
            LatencyRequest(
                suite=options.suite,
                cohort=open_cohort(options.cohort, **wanted),
                cohort_locator=options.cohort,
                candidate=open_candidate(options.candidate),
                candidate_locator=options.candidate,
                out=options.out,
            ),
            show,
        )
    results = ledger.results()
    show_times(output(), results)
    print()
    show_verdict(results)
    print(f"\nRun folder   {options.out}")
    print(f"Ledger       sha256 {results['ledger']}")
    try:
        for path in write_latency_page(options.out, options.out / "dossier"):
            print(f"{path.suffix[1:].upper():12} {path}")
    except HarnessError as error:  # the times stand; the page can be made later
        print(f"No page      {error}")
    print(f"Next         harness gate {options.out}")
    return Verdict.from_json(results["verdict"]).status.exit_code


def show_times(console: Console, results: dict[str, Any]) -> None:
    """Prints what was measured, under the name of what it was measured on."""
    from rich.table import Table

    from harness.latency.conclude import told_device
    from harness.latency.words import facts, stage_rows

    console.print(f"Measured on {told_device(results['device'])}", markup=False, style="bold")
    if not results["on_target"]:
        target = results["target"]["device"]
        console.print(f"These are not times of {target}, and say nothing of it.", style="bold yellow")
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    head, rows = stage_rows(results)
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()
    told = Table(box=None, pad_edge=False, show_header=False)
    told.add_column(style="bold")
    told.add_column(overflow="fold")
    for name, value in facts(results):
        told.add_row(name, value)
    console.print(told)
