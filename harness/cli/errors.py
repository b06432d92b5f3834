"""`harness errors`: what went wrong in a run, classed, counted and shown."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.error_analysis import ErrorAnalysis

DESCRIPTION = """\
Puts every error of a finished run into one class: missed finding, hallucinated finding, wrong
laterality, wrong severity, incomplete description. Shows what was said instead of critical findings,
examples of each class, and whether errors follow a finding's prevalence or a picture's quality.

errors.html and errors.pdf hold report texts and pictures: keep them where those may be kept.
errors.json and errors.parquet (one row an error) hold ids, labels and places of words, but no texts.

With --candidate the examples show where the model looked; it must be the candidate that was judged
and be able to explain itself. It then runs inside this process.
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "errors",
        help="class and show every error of a run: HTML, PDF, JSON, Parquet",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("run", type=Path, metavar="RUN", help="run folder")
    verb.add_argument(
        "--candidate",
        metavar="KIND[:PATH]",
        help="the candidate that was judged, to show where it looked, such as multimodal",
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to write; default: RUN/errors")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Analyses the errors of a run."""
    from harness.candidates import open_candidate
    from harness.cli.terminal import progress
    from harness.dossier.error_page import write_error_pages
    from harness.error_analysis import analyse
    from harness.error_analysis.attention import attend, check_explains
    from harness.error_analysis.examples import examples
    from harness.error_analysis.files import write_files

    candidate = open_candidate(options.candidate) if options.candidate else None
    if candidate is not None:
        check_explains(options.run, candidate)
    with progress() as show:
        analysis = analyse(options.run, progress=lambda done, total: show("measuring pictures", done, total))
    attention = attend(options.run, candidate, examples(analysis.errors)) if candidate else None
    out = options.out or options.run / "errors"
    paths = write_files(out, analysis) + write_error_pages(options.run, analysis, out, attention)
    _show(analysis)
    if attention is not None:
        print(f"\nAttention maps of {len(attention.maps)} examples; {len(attention.why)} without.")
    print()
    for path in paths:
        print(f"{path.suffix[1:].upper():8} {path}")
    return 0


def _show(analysis: ErrorAnalysis) -> None:
    from rich.table import Table

    from harness.cli.terminal import output
    from harness.dossier.error_page import p_value, summary_rows

    console = output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Class")
    for whose in ("Critical", "All"):
        for name in (whose, "Rate", f"{analysis.confidence:.0%} interval", "Counts"):
            table.add_column(name, justify="left" if "interval" in name else "right", no_wrap=True)
    for row in summary_rows(analysis):
        table.add_row(*row)
    console.print(table)
    console.print(
        f"\n{len(analysis.errors):,} errors in {analysis.studies_with_error:,} of {analysis.studies:,} "
        f"studies; studies without a usable report: {analysis.failed:,}.",
        markup=False,
    )
    found = [trend for trend in analysis.trends if trend.adjusted < 0.05]
    for trend in found:
        console.print(
            f"Trend: {trend.outcome}, {'more' if trend.z > 0 else 'less'} often with more {trend.score} "
            f"(p {p_value(trend.adjusted)}, Holm over {len(analysis.trends)})",
            markup=False,
        )
    if analysis.quality.reason:
        console.print(f"Picture quality: not evaluated: {analysis.quality.reason}", markup=False)
