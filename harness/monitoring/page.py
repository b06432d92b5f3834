"""The status page: what is raised, what is watched, and the charts. Self-contained HTML."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.dossier.render import COMMON, render_template
from harness.monitoring.charts import SHADES, Series, shares, timeline
from harness.monitoring.config import Rule
from harness.monitoring.cost import notes, seconds_of, table, work_out
from harness.monitoring.summary import MEANING, alarm_at, limit_of, shown, since, value_of

if TYPE_CHECKING:
    from harness.monitoring.monitor import Monitor


def render_page(monitor: Monitor) -> str:
    """The page.

    Raises:
        HarnessError: jinja2 is not installed.
    """
    return render_template("monitor.html.j2", page_model(monitor), (COMMON, "monitor.css"))


def page_model(monitor: Monitor) -> dict[str, Any]:
    """What the page shows, as plain values and charts."""
    judge, config, recent = monitor.judge, monitor.config, list(monitor.recent)
    rules = {rule.id: rule for rule in config.rules}
    detectors = []
    for name, action in judge.actions.items():
        found = judge.looks.get(name, {"state": "NOT EVALUATED", "active": False, "reason": "no look yet"})
        detectors.append(
            {
                "id": name,
                "meaning": _meaning(name, rules),
                "state": "ALERT" if found["active"] else found["state"],
                "value": value_of(name, found, rules),
                "limit": limit_of(name, found, rules, judge),
                "reason": found["reason"],
                "action": action,
                "since": since(recent, name) if found["active"] else "",
                "alarm_at": alarm_at(name, rules, judge),
            }
        )
    cost = work_out(config.cost, seconds_of(recent, config.window_h, config.cost.gpus))
    return {
        "config": config,
        "state": str(monitor.state()),
        "detectors": detectors,
        "active": [item for item in detectors if item["state"] == "ALERT"],
        "open": [item for item in detectors if item["state"] == "NOT EVALUATED"],
        "silence": monitor.silence(),
        "faulty": monitor.faulty(),
        "windows": monitor.totals["windows"],
        "reports": monitor.totals["reports"],
        "readings": monitor.totals["readings"],
        "from_time": monitor.first_start,
        "to_time": recent[-1]["end"] if recent else "",
        "service": _service(recent),
        "charts": _charts(monitor, recent, rules),
        "drift": _drift(monitor, recent),
        "rates": _rates(judge.looks.get("detection-rates", {})),
        "faults": monitor.faults_told(),
        "waiting": sorted(f"{file}:{line}" for file, line in monitor.stream.waiting.items()),
        "posts": monitor.webhooks.failures,
        "history": list(monitor.history)[-40:][::-1],
        "cost": table(config.cost, cost),
        "cost_notes": notes(config.cost, cost),
        "head": monitor.journal.log.head,
        "share": config.share,
    }


def _meaning(name: str, rules: dict[str, Rule]) -> str:
    if name in rules:
        rule = rules[name]
        words = MEANING[rule.measure]
        if rule.measure == "latency":
            words = f"P{100 * rule.quantile:g} of latency"
        elif rule.measure == "critical_sensitivity" and rule.value != "pooled":
            words = f"Sensitivity for {rule.value}"
        return f"{words}, last {rule.over_h:g} h"
    kind = next(key for key in MEANING if name.startswith(key))
    return MEANING[kind]


def _charts(monitor: Monitor, recent: list[dict[str, Any]], rules: dict[str, Rule]) -> list[dict[str, str]]:
    if not recent:
        return []
    raised = _raised(recent)
    quantiles = [
        Series(name.upper(), [(_end(e), e["service"]["latency"][name][0]) for e in recent], colour)
        for name, colour in zip(("p99", "p95", "p50"), SHADES, strict=True)
    ]
    latency = [rule for rule in rules.values() if rule.measure == "latency"]
    charts = [
        {
            "title": "Latency, seconds, by window",
            "svg": timeline(
                "Latency", quantiles, limit=min((rule.limit for rule in latency), default=None),
                raised=_of(raised, (rule.id for rule in latency)),
            ),
        },
        {
            "title": "Reports an hour, and longest queue",
            "svg": timeline(
                "Throughput",
                [
                    Series("reports/h", [(_end(e), e["service"]["throughput_per_h"]) for e in recent]),
                    Series("queue", [(_end(e), e["service"]["queue_depth_max"]) for e in recent], SHADES[1]),
                ],
            ),
        },
    ]  # fmt: skip
    if any(e["service"]["gpu_use_mean"] is not None for e in recent):
        use = Series("GPU use", [(_end(e), e["service"]["gpu_use_mean"]) for e in recent])
        charts.append(
            {"title": "GPU use, mean of the window", "svg": timeline("GPU use", [use], percent=True)}
        )
    for rule in rules.values():
        if rule.measure == "latency":
            continue
        points = [(_end(e), e["looks"][rule.id]) for e in recent if rule.id in e["looks"]]
        sensitivity = rule.measure == "critical_sensitivity"
        series = [
            Series("rate", [(time, found["value"]) for time, found in points]),
            Series("bound that decides", [(time, found["bound"]) for time, found in points], SHADES[1]),
        ]
        charts.append(
            {
                "title": _meaning(rule.id, rules),
                "svg": timeline(
                    rule.id, series, limit=rule.limit, percent=True, raised=_of(raised, [rule.id]),
                    floor=None if sensitivity else 0.0,
                ),
            }
        )  # fmt: skip
    for name, chart in monitor.judge.charts.items():
        points = [(_end(e), e["looks"][name]["score"]) for e in recent if name in e["looks"]]
        charts.append(
            {
                "title": f"CUSUM, {chart.part.finding} {chart.part.of}",
                "svg": timeline(
                    name, [Series("score", points)], raised=_of(raised, [name]),
                    limit=chart.design.limit if chart.design else None,
                ),
            }
        )  # fmt: skip
    part = monitor.config.concept_drift
    if part is not None:
        names = [name for name in monitor.judge.actions if name.startswith("concept-")]
        colours = (*SHADES[:2], "#9a6700", "#66727f", "#1c6e4a")
        lines = [
            Series(
                str(finding),
                [(_end(e), e["looks"][name]["f1"]) for e in recent if name in e["looks"]],
                colours[place % len(colours)],
            )
            for place, (name, finding) in enumerate(zip(names, part.findings, strict=True))
        ]
        charts.append(
            {
                "title": f"F1 of critical findings, last {part.over_h:g} h of readings",
                "svg": timeline("F1", lines, raised=_of(raised, names), floor=None),
            }
        )
    return charts


def _drift(monitor: Monitor, recent: list[dict[str, Any]]) -> dict[str, Any] | None:
    drift, found = monitor.judge.drift, monitor.judge.looks.get("data-drift")
    if drift is None or found is None:
        return None
    points = [(_end(e), e["looks"]["data-drift"].get("mmd")) for e in recent if "data-drift" in e["looks"]]
    labels = [(_end(e), e["looks"]["label-drift"].get("psi")) for e in recent if "label-drift" in e["looks"]]
    raised = _raised(recent)
    bars = ""
    if "clusters" in found:
        names = [f"cluster {place + 1}" for place in range(len(found["clusters"]))]
        rows = [("Reference", drift.composition.tolist()), ("Last period", found["clusters"])]
        bars = shares("Cluster composition", rows, names)
    return {
        "found": found,
        "mmd": timeline(
            "MMD", [Series("MMD²", points)], limit=None if drift.reason else drift.threshold,
            limit_label="threshold", raised=_of(raised, ["data-drift"]), floor=None,
        ),
        "psi": timeline(
            "PSI", [Series("PSI of claimed findings", labels)],
            limit=monitor.config.label_drift.psi if monitor.config.label_drift else None,
            raised=_of(raised, ["label-drift"]),
        ),
        "bars": bars,
    }  # fmt: skip


def _rates(found: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "finding": name,
            "reports": f"{x / n:.1%} ({x:,} / {n:,})",
            "readers": f"{y / m:.1%} ({y:,} / {m:,})",
            "difference": f"{100 * (x / n - y / m):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
        }
        for name, (x, n, y, m, low, high) in found.get("findings", {}).items()
    ]


def _service(recent: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    if not recent:
        return []
    last = next((entry for entry in reversed(recent) if entry["counts"].get("reports")), recent[-1])
    service = last["service"]
    shown_times = [
        (
            name.upper(),
            "–" if item[0] is None else f"{shown(item[0])} s",
            "no telling"
            if item[1] is None
            else f"{shown(item[1])} {f'to {shown(item[2])}' if item[2] else 'or more'}",
        )
        for name, item in service["latency"].items()
    ]
    return [
        *[(name, value, f"95 % interval {interval}") for name, value, interval in shown_times],
        (
            "Reports/h",
            f"{service['throughput_per_h']:.0f}",
            f"window to {last['end'][:16].replace('T', ' ')}",
        ),
        ("Longest queue", shown(service["queue_depth_max"]), "in the window"),
        ("GPU use", "–" if service["gpu_use_mean"] is None else f"{service['gpu_use_mean']:.0%}", "mean"),
    ]


def _raised(recent: list[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Id -> spans in which the alert was raised, within what is shown."""
    spans: dict[str, list[tuple[float, float]]] = {}
    begun: dict[str, float] = {}
    for entry in recent:
        for alert in entry["alerts"]:
            if alert["event"] == "raised":
                begun[alert["id"]] = _end(entry)
            elif alert["event"] == "cleared":  # raised before what is shown, where it was not seen
                start = begun.pop(alert["id"], _end(recent[0]))
                spans.setdefault(alert["id"], []).append((start, _end(entry)))
    for name, start in begun.items():
        spans.setdefault(name, []).append((start, _end(recent[-1])))
    return spans


def _of(raised: dict[str, list[tuple[float, float]]], names: Iterable[str]) -> list[tuple[float, float]]:
    return [span for name in names for span in raised.get(name, [])]


def _end(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(entry["end"]).timestamp()
