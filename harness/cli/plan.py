"""`harness plan`: can this cohort decide this suite, before anything is run?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "plan",
        help="say which criteria a cohort can decide, and how many studies that would take",
        description="Reads the reference labels of a cohort and no candidate. For each criterion: the "
        "trials there are (positives of a sensitivity), what they are worth once studies of one patient "
        "are taken to be correlated by 0.5, the errors that a candidate may make, how probably one whose "
        "true value lies halfway between threshold and perfection passes, and the studies that a perfect "
        "candidate, and that one with a probability of 0.8, would need.",
        epilog="exit codes: 0 every criterion can be decided; 2 bad suite or cohort; 3 some cannot",
    )
    verb.add_argument("suite", type=Path)
    verb.add_argument("--cohort", required=True, metavar="KIND:PATH")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Prints the plan."""
    from rich.table import Table

    from harness.cli.terminal import STYLE, output
    from harness.cohorts import open_cohort
    from harness.latency.suite import is_latency_suite
    from harness.plan import plan
    from harness.status import Status
    from harness.suite import read_suite

    if is_latency_suite(options.suite):
        return _latency(options)
    suite = read_suite(options.suite)
    wanted = dict(suite.cohort.options)
    if suite.cohort.split is not None:
        wanted["split"] = suite.cohort.split
    found = plan(suite, open_cohort(options.cohort, **wanted))
    console = output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Criterion", "Trials", "Patients", "Worth", "Errors allowed", "Power",
                 "Studies if perfect", "Studies for power 0.8", "Can be decided"):  # fmt: skip
        justify: Any = "left" if name in ("Criterion", "Can be decided") else "right"
        table.add_column(name, justify=justify, overflow="fold")

    def shown(number: float | None) -> str:
        return "–" if number is None else f"{number:,.0f}"

    for need in found.needs:
        power = "–" if need.power is None else f"{need.power:.2f} at {need.truth:.4g}"
        decidable = "yes" if need.status is Status.PASS else "no"
        table.add_row(
            need.id, shown(need.trials), shown(need.patients), shown(need.worth),
            shown(need.errors_allowed), power, shown(need.studies_perfect), shown(need.studies_power),
            f"[{STYLE[need.status]}]{decidable}",
        )  # fmt: skip
    print(f"{options.suite} on {found.studies:,} studies of {found.patients:,} patients\n")
    console.print(table)
    notes = [f"{need.id}: {need.reason}" for need in found.needs if need.reason]
    notes += [f"  {need.id}: {group}" for need in found.needs for group in need.groups]
    if notes or found.reasons:
        print()
    for line in (*notes, *found.reasons):
        console.print(line, markup=False)
    return found.status.exit_code


def _latency(options: argparse.Namespace) -> int:
    from rich.table import Table

    from harness.cli.terminal import STYLE, output
    from harness.cohorts import open_cohort
    from harness.latency.plan import plan_latency, wants
    from harness.latency.suite import read_latency_suite
    from harness.status import Status

    suite = read_latency_suite(options.suite)
    wanted = dict(suite.cohort.options)
    if suite.cohort.split is not None:
        wanted["split"] = suite.cohort.split
    cohort = open_cohort(options.cohort, **wanted)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Criterion", "Of", "Times", "Studies", "Needed", "Can be decided"):
        justify: Any = "right" if name in ("Times", "Studies", "Needed") else "left"
        table.add_column(name, justify=justify, overflow="fold")
    found = plan_latency(suite, len(cohort))
    for need in found:
        decidable = "yes" if need.status is Status.PASS else "no"
        table.add_row(
            need.id, need.told, f"{need.times:,}", f"{need.distinct:,}", f"{need.needed:,}",
            f"[{STYLE[need.status]}]{decidable}",
        )  # fmt: skip
    console = output()
    print(f"{options.suite} on {len(cohort):,} studies\n")
    console.print(table)
    print()
    for line in (*(f"{need.id}: {need.reason}" for need in found if need.reason), *wants(suite)):
        console.print(line, markup=False)
    return Status.whole(need.status for need in found).exit_code
