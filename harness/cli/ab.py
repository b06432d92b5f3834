"""`harness ab`: may a challenger replace the model in use, by what readers did with its drafts?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.ab.decide import Outcome

DESCRIPTION = """\
Compares two models on live ratings, as the design file declares it.

  harness ab plan --design D                 how many studies it takes, before anything is collected
  harness ab assign LIST.csv --design D      which patient gets which model (randomised designs)
  harness ab RATINGS.csv --design D          the verdict, on what the hospital exports

RATINGS is CSV or Parquet with a row for each study, model and reader: study, patient, arm, reader,
rating (1 to 5), draft, final, critical_present, critical_reported (semicolons; "none"), turnaround
(minutes) or drafted_at and finalised_at, and, if there are, site and arm_guess. The design maps other
names of columns; a guess of the arm may be "unsure". LIST is CSV with a column of patients; the column of
arms is added, on standard output or in --out. Begin a design from suites/clinical/paired.yaml or
randomised.yaml: copy it to where the trial's log of looks is to lie.

Each look at more data is counted in a hash-chained log beside the design, wherever the data lie, and
spends alpha: keep one design file for the whole trial, and complete ratings and adjudication before you
look, since corrected data are another look. The page quotes reports: keep it where those may be kept.
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "ab",
        help="compare two models on live ratings by readers: plan, assign, judge",
        description=DESCRIPTION,
        epilog="exit codes: 0 promote, or done as asked (plan: the planned studies are enough); 1 do not "
        "promote; 2 bad design or data; 3 not evaluated (plan: too few studies are planned)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("words", nargs="+", metavar="[plan | assign] DATA", help="what to do, and the data")
    verb.add_argument("--design", type=Path, required=True, metavar="YAML")
    verb.add_argument("--out", type=Path, metavar="DIR",
                      help="where to write; default: DATA-ab beside DATA (assign: a file)")  # fmt: skip
    verb.add_argument(
        "--looks", type=Path, metavar="FILE", help="log of looks; default: looks.jsonl beside the design"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Plans, assigns or judges."""
    from harness.errors import HarnessError

    words = options.words
    if words == ["plan"]:
        return _plan(options.design)
    if words[0] == "assign" and len(words) == 2:
        return _assign(Path(words[1]), options.design, options.out)
    if len(words) == 1 and words[0] != "assign":
        return _judge(Path(words[0]), options)
    raise HarnessError(
        "harness ab takes DATA, or plan, or assign LIST, each with --design; see harness ab --help"
    )


def _judge(data: Path, options: argparse.Namespace) -> int:
    from harness.ab.decide import evaluate
    from harness.ab.design import read_design
    from harness.ab.page import write_json, write_page
    from harness.ab.ratings import read_ratings

    design = read_design(options.design)
    ratings = read_ratings(data, design)
    out = options.out or data.with_name(f"{data.stem}-ab")
    looks = options.looks or options.design.resolve().parent / "looks.jsonl"
    outcome = evaluate(ratings, design, looks)
    paths = [write_json(out, outcome)]
    _show(outcome)
    paths += write_page(out, outcome, ratings)
    print()
    for path in paths:
        print(f"{path.suffix[1:].upper():8} {path}")
    print(f"{'Looks':8} {looks}")
    return outcome.status.exit_code


def _show(outcome: Outcome) -> None:
    from rich.table import Table

    from harness.ab import words
    from harness.ab.guards import NO_ALPHA
    from harness.cli.terminal import STYLE, output
    from harness.comparison.summary import p_value
    from harness.status import Status

    console, arms = output(), outcome.design.arms
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "Endpoint",
        arms.current,
        arms.challenger,
        "Difference (interval)",
        "Margin",
        "p",
        "Adjusted",
        "Finding",
    ):
        justify: Any = "left" if name in ("Endpoint", "Finding") else "right"
        table.add_column(name, justify=justify, overflow="fold")
    for item in outcome.endpoints:
        table.add_row(
            words.LABELS[item.name], words.amount(item.name, item.current),
            words.amount(item.name, item.challenger), words.difference(item), words.margin(item),
            p_value(item.p_value), p_value(item.adjusted), f"[{STYLE[item.status]}]{words.finding(item)}",
        )  # fmt: skip
        for guard in outcome.critical if item.name == "critical_sensitivity" else ():
            table.add_row(
                f"  {guard.name.value}", f"{guard.current:,}/{guard.current_of:,}",
                f"{guard.challenger:,}/{guard.challenger_of:,}", words.difference(guard), words.margin(guard),
                "", "", f"[{STYLE[guard.status]}]{words.finding(guard)}",
            )  # fmt: skip
    console.print(table)
    console.print()
    for item in outcome.endpoints:
        if item.status is not Status.PASS:
            console.print(f"{words.LABELS[item.name]}: {item.reason}", markup=False)
    for guard in outcome.critical:
        if guard.status is not Status.PASS and guard.reason != NO_ALPHA:  # the endpoints say so already
            console.print(f"{guard.name.value}: {guard.reason}", markup=False)
    for check in outcome.checks:
        if check.status is not Status.PASS:
            console.print(f"{check.name}: no. {check.sentence}", markup=False)
    look = outcome.look
    console.print(
        f"{outcome.studies:,} studies, {outcome.patients:,} patients, {outcome.readers} readers; look "
        f"{look.number}, at {look.fraction:.0%} of {look.planned:,} planned studies: better or worse needs p "
        f"below {look.level:.2g}.",
        markup=False, style="dim",
    )  # fmt: skip
    console.print(f"\n{words.conclusion(outcome)}", markup=False)
    console.print(f"\nDecision: [{STYLE[outcome.status]}]{outcome.decision}")


def _assign(path: Path, design_file: Path, out: Path | None) -> int:
    from harness.ab.assign import assign
    from harness.ab.design import read_design
    from harness.ledger import write_atomically

    text = assign(path, read_design(design_file))
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, text.encode())
    return 0


def _plan(design_file: Path) -> int:
    from rich.table import Table

    from harness.ab.design import read_design
    from harness.ab.planning import plan
    from harness.ab.words import LABELS
    from harness.cli.terminal import STYLE, output
    from harness.status import Status

    design = read_design(design_file)
    found = plan(design)
    console = output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "Endpoint",
        "Question",
        "Power as planned",
        f"Studies for power {design.planning.power:g}",
        "",
    ):
        table.add_column(name, justify="left" if name in ("Endpoint", "Question") else "right")
    for need in found.needs:
        power = "–" if need.power is None else f"{need.power:.2f}"
        studies = "–" if need.studies is None else f"{need.studies:,}"
        status = Status.PASS if need.enough else Status.NOT_EVALUATED
        mark = "" if not need.needed else f"[{STYLE[status]}]{'enough' if need.enough else 'too few'}"
        label = LABELS[need.endpoint] if need.critical is None else f"  {need.critical.value}"
        table.add_row(label, need.question, power, studies, mark)
    print(f"{design.name}: {design.design}, {design.planned_studies:,} studies planned\n")
    console.print(table)
    console.print()
    for line in found.notes:
        console.print(line, markup=False)
    return found.status.exit_code
