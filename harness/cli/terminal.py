"""What commands show on a terminal: progress, and the verdict table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from harness.gate import counts_of, interval, labeler_lines, must_be, shown
from harness.verdict import Status, Verdict

if TYPE_CHECKING:
    from harness.run import Progress as Show

STYLE = {Status.PASS: "bold green", Status.FAIL: "bold red", Status.NOT_EVALUATED: "bold yellow"}


@contextlib.contextmanager
def progress() -> Iterator[Show]:
    """A bar a step, with rate and time left, on standard error; silent when that is no terminal."""
    console = Console(stderr=True)
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description:>22}"), BarColumn(), MofNCompleteColumn(), rate,
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total, completed=done, rate="")
            task = bars.tasks[tasks[step]]
            speed = f"{task.speed:,.0f}/s" if task.speed else ""
            bars.update(tasks[step], completed=done, total=total, rate=speed)

        yield show


def output() -> Console:
    """Standard output; 140 columns where that is no terminal."""
    return Console(width=None if Console().is_terminal else 140, highlight=False)


def show_verdict(results: dict[str, Any]) -> None:
    """Prints the criteria and the whole."""
    verdict = Verdict.from_json(results["verdict"])
    console = output()
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    for name, justify in (("Criterion", "left"), ("Value", "right"), ("95 % interval", "left"),
                          ("Bound", "right"), ("Must be", "right"), ("Counts", "right"),
                          ("Verdict", "left")):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for item in verdict.decisions:
        table.add_row(
            item.id,
            shown(item.estimate),
            interval(item),
            shown(item.bound),
            must_be(item),
            counts_of(item),
            f"[{STYLE[item.status]}]{item.status}",
        )
    console.print(table)
    unmet = [item for item in verdict.decisions if item.status is not Status.PASS]
    if unmet or verdict.reasons:
        console.print()
    for item in unmet:
        console.print(f"{item.id}: {item.reason}", markup=False)
    for reason in verdict.reasons:
        console.print(reason, markup=False)
    if absent := results["slices_without_data"]:
        known = ", ".join(results["groups"]) or "no group"
        console.print(f"\nThe cohort does not tell {', '.join(absent)}; it tells {known}.", markup=False)
    console.print()
    for line in labeler_lines(results):
        console.print(line, markup=False, style="dim")
    console.print(f"\nVerdict: [{STYLE[verdict.status]}]{verdict.status}")
