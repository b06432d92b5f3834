"""`harness explore`: what a cohort holds, before anything is judged on it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.exploration import Exploration

DESCRIPTION = """\
Describes a cohort of any kind: labels, reports, pictures, patients, what is missing, and what limits
what can be decided on it. All splits are read unless the locator names one (?split=test).

explore.html and explore.pdf hold nine reports with pictures: keep them where those may be kept.
explore.json holds counts and nine study ids, but no texts.
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "explore",
        help="describe a cohort: labels, reports, patients, what is missing",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "cohort",
        metavar="COHORT",
        help="KIND:PATH, such as phantom:DIR, mimic-cxr:DIR, openi:DIR, manifest:FILE",
    )
    verb.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("explore"), help="where to write; default: explore"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Explores a cohort."""
    from harness.cli.terminal import progress
    from harness.dossier.exploration_page import write_exploration
    from harness.exploration import explore, open_whole

    cohort = open_whole(options.cohort)
    with progress() as show:
        found = explore(cohort, lambda done, total: show("reading studies", done, total))
    paths = write_exploration(cohort, found, options.cohort, options.out)
    _show(found)
    print()
    for path in paths:
        print(f"{path.suffix[1:].upper():8} {path}")
    return 0


def _show(found: Exploration) -> None:
    from rich.table import Table

    from harness.cli.terminal import output

    console = output()
    splits = ", ".join(f"{name} {studies:,}" for name, (studies, _) in found.splits.items())
    console.print(
        f"{found.studies:,} studies of {found.patients:,} patients, {found.pictures:,} pictures"
        + (f" ({splits})" if splits else ""),
        markup=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Finding")
    for name in ("Positive", "Uncertain", "Negative", "Not mentioned", "Share"):
        table.add_column(name, justify="right")
    for item in found.findings:
        counts = (item.positive, item.uncertain, item.negative, item.blank)
        covered = sum(counts)
        cells = [f"{count:,}" for count in counts] if covered else ["–"] * 4
        table.add_row(str(item.finding), *cells, f"{item.share:.1%}" if covered else "not covered")
    console.print(table)
    if found.cautions:
        console.print()
    for one in found.cautions:
        console.print(f"{one.about}: {one.rule}: {one.says}", markup=False)
