"""What other programs and people read of a monitor, written anew after each pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.ledger import write_atomically
from harness.monitoring.openmetrics import openmetrics
from harness.monitoring.summary import since

if TYPE_CHECKING:
    from harness.monitoring.monitor import Monitor


def write_outputs(monitor: Monitor) -> tuple[list[Path], str]:
    """Writes state.json, metrics.prom and status.html into the monitor's folder.

    `state.json` is what a report service asks before it sends a report: the actions in force. A service
    must take a missing or old file for the strictest action.

    Returns:
        The paths, and why there is no status page (empty where there is one).

    Raises:
        LedgerError: the disk is full or cannot be written.
    """
    root = monitor.journal.root
    recent = list(monitor.recent)
    state = {
        "monitor": monitor.config.name,
        "state": str(monitor.state()),
        "until": recent[-1]["end"] if recent else None,
        "stale": monitor.stale(),
        "silence": monitor.silence(),
        "stream": monitor.faulty(),
        "alerts": [
            {
                "id": name,
                "action": monitor.judge.actions[name],
                "since": since(recent, name),
                "reason": found["reason"],
            }
            for name, found in sorted(monitor.judge.active().items())
        ],
        "not_evaluated": sorted(
            name
            for name in monitor.judge.actions
            if monitor.judge.looks.get(name, {}).get("state", "NOT EVALUATED") == "NOT EVALUATED"
        ),
        "log": monitor.journal.log.head,
    }
    paths = [root / "state.json", root / "metrics.prom"]
    write_atomically(paths[0], json.dumps(state, indent=1).encode() + b"\n")
    write_atomically(paths[1], openmetrics(monitor).encode())
    try:
        from harness.monitoring.page import render_page

        html = render_page(monitor)
    except HarnessError as error:
        return paths, str(error)
    paths.append(root / "status.html")
    write_atomically(paths[-1], html.encode())
    return paths, ""
