"""`harness monitor`: watch a model in production."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.monitoring.monitor import Monitor

DESCRIPTION = """\
Watches a stream of production records: latency, hallucinations, rejections, sensitivity, drift of data,
labels and concept. Judges each window of time that is over, once; given again, it goes on where it
stopped. Run it from a timer, or with --follow.

  harness phantom stream --days 28 --per-day 240 --seed 1 --event scanner --out demo
  harness monitor --config demo/monitor.yaml
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "monitor",
        help="watch a model in production: alerts, drift, status page",
        description=DESCRIPTION,
        epilog="exit codes: 0 quiet; 1 an alert is raised; 2 bad configuration, reference or stream; "
        "3 something is NOT EVALUATED, or the folder is damaged",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--config", required=True, type=Path, metavar="FILE", help="such as suites/monitoring/production.yaml"
    )
    verb.add_argument(
        "--follow", type=float, metavar="SECONDS", help="do not end; look for new records so often"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Watches."""
    import sys
    import time

    from harness.errors import HarnessError
    from harness.monitoring.monitor import Monitor
    from harness.monitoring.outputs import write_outputs
    from harness.monitoring.stream import StreamError

    if options.follow is not None and not options.follow > 0:
        raise HarnessError("--follow must be above 0 seconds")
    with Monitor.opened(options.config) as monitor:
        told = None
        while True:
            before, gone = monitor.totals["windows"], None
            try:
                monitor.advance()
            except StreamError as error:
                gone = error
            monitor.webhooks.post()
            judged = monitor.totals["windows"] - before
            now = (str(monitor.state()), monitor.silence(), monitor.faulty())
            if judged or told != now:
                paths, no_page = write_outputs(monitor)
                _show(monitor, judged)
                for path in paths if options.follow is None else []:
                    print(f"{path.suffix[1:].upper():8} {path}")
                if no_page:
                    print(f"No status page: {no_page}")
            if options.follow is None:
                if gone is not None and not monitor.totals["windows"]:
                    raise gone
                return {"QUIET": 0, "ALERT": 1, "NOT EVALUATED": 3}[now[0]]
            told = now
            sys.stdout.flush()
            time.sleep(options.follow)


def _show(monitor: Monitor, judged: int) -> None:
    from rich.table import Table

    from harness.cli.terminal import output
    from harness.monitoring.summary import limit_of, value_of

    style = {"ALERT": "bold red", "QUIET": "green", "NOT EVALUATED": "bold yellow"}
    console, judge = output(), monitor.judge
    rules = {rule.id: rule for rule in monitor.config.rules}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Detector", "Value", "Limit", "State", "Why"):
        table.add_column(name, overflow="fold")
    for name, action in judge.actions.items():
        found = judge.looks.get(name, {"state": "NOT EVALUATED", "active": False, "reason": "no look yet"})
        state = "ALERT" if found["active"] else found["state"]
        why = f"{action}: {found['reason']}" if found["active"] else found["reason"]
        table.add_row(
            name, value_of(name, found, rules), limit_of(name, found, rules, judge),
            f"[{style[state]}]{state}", why,
        )  # fmt: skip
    console.print(table)
    console.print()
    for kind, count, places in monitor.faults_told():
        console.print(f"Stream: {kind}: {count:,}, such as {', '.join(places)}", markup=False)
    for name, line in monitor.stream.waiting.items():
        console.print(f"Stream: {name}:{line}: half-written; left for the next time", markup=False)
    for url, why in monitor.webhooks.failures.items():
        console.print(f"Webhook {url}: {why}; will be tried again", markup=False)
    until = monitor.recent[-1]["end"] if monitor.recent else "none yet"
    total = monitor.totals["windows"]
    console.print(f"Windows: {judged:,} judged now, {total:,} in all, the last to {until}", markup=False)
    if monitor.silence():
        console.print(f"Stream: {monitor.silence()}; silence is no all-clear", markup=False)
    if monitor.faulty():
        console.print(f"Stream: {monitor.faulty()}", markup=False)
    state = str(monitor.state())
    console.print(f"State: [{style[state]}]{state}")
