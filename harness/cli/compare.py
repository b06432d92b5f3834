"""`harness compare`: may a challenger replace the candidate in use?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.comparison import Comparison

DESCRIPTION = """\
Compares two runs of one suite and decides whether the challenger may be promoted. Differences are
RUN_B minus RUN_A.

  harness run suites/ab.yaml --candidate OLD --cohort C --out RUN_A
  harness run suites/ab.yaml --candidate NEW --cohort C --out RUN_B
  harness compare RUN_A RUN_B

Both runs must be of the same suite and, unless its comparison is `randomised`, of the same studies.
The suite's `comparison` section says what decides: a family of hypotheses (Bonferroni) and
guardrails of non-inferiority. A suite without one shows the differences and decides nothing (3).
Each look at more studies is counted in a hash-chained log and spends alpha; a comparison that is
given again on the same runs is the same look.
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "compare",
        help="compare two runs of one suite: promote the second or not",
        description=DESCRIPTION,
        epilog="exit codes: 0 promote; 1 do not (worse, not shown to be better, or a guardrail broken); "
        "2 runs that cannot be compared; 3 not evaluated",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("current", type=Path, metavar="RUN_A", help="run of the candidate in use")
    verb.add_argument("challenger", type=Path, metavar="RUN_B", help="run of the one that may replace it")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to write; default: RUN_B/compare")
    verb.add_argument(
        "--looks", type=Path, metavar="FILE", help="log of looks; default: looks.jsonl beside RUN_B"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Compares two runs."""
    from harness.comparison import compare
    from harness.comparison.summary import write_comparison

    looks = options.looks or options.challenger.resolve().parent / "looks.jsonl"
    comparison = compare(options.current, options.challenger, looks)
    paths = write_comparison(options.out or options.challenger / "compare", comparison)
    show_comparison(comparison)
    print()
    for path in paths:
        print(f"{path.suffix[1:].upper():8} {path}")
    if comparison.look is not None:
        print(f"Looks    {looks}")
    return comparison.status.exit_code


def show_comparison(comparison: Comparison) -> None:
    """Prints differences, hypotheses, guardrails and the decision."""
    from rich.table import Table

    from harness.cli.terminal import STYLE, output
    from harness.comparison.summary import TESTS, about, cells, p_value, title
    from harness.gate import shown

    console = output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Value", "Current", "Challenger", "Difference", "Interval", *(f"p, {t}" for t in TESTS)):
        table.add_column(name, justify="left" if name in ("Value", "Interval") else "right")
    for item in comparison.differences:
        table.add_row(*cells(item))
    console.print(table)
    if comparison.family:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("Hypothesis", "p", "Adjusted", "Finding", "Why"):
            table.add_column(name, justify="right" if name in ("p", "Adjusted") else "left", overflow="fold")
        for test in comparison.family:
            table.add_row(
                test.id, p_value(test.p_value), p_value(test.adjusted),
                f"[{STYLE[test.status]}]{test.finding}", test.reason,
            )  # fmt: skip
        console.print()
        console.print(table)
    if comparison.guardrails:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("Guardrail", "Difference", "Bound", "Margin", "Verdict", "Why"):
            table.add_column(name, justify="left" if name in ("Guardrail", "Verdict", "Why") else "right")
        for rail in comparison.guardrails:
            table.add_row(
                rail.id, shown(rail.difference), shown(rail.bound), f"{rail.margin:g}",
                f"[{STYLE[rail.status]}]{rail.status}", rail.reason,
            )  # fmt: skip
        console.print()
        console.print(table)
    console.print()
    for line in about(comparison):
        console.print(line, markup=False)
    console.print(f"\n{title(comparison)}: [{STYLE[comparison.status]}]{comparison.status}")
