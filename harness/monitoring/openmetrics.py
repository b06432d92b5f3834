"""The monitor's last state as OpenMetrics text, for Prometheus to scrape or a textfile collector to read.

OpenMetrics 1.0: https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from harness.monitoring.monitor import Monitor

PREFIX: Final = "harness_monitor"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
Samples = Iterable[tuple[dict[str, str], float | None]]


def openmetrics(monitor: Monitor) -> str:
    """The whole exposition. What is not known has no sample, rather than a 0."""
    return "".join(_families(monitor)) + "# EOF\n"


def _families(monitor: Monitor) -> Iterator[str]:
    judge, totals = monitor.judge, monitor.totals
    looks = judge.looks
    yield _family(
        "alert", "gauge", "1 while the alert is raised.",
        [({"id": name, "action": action}, float(bool(looks.get(name, {}).get("active"))))
         for name, action in judge.actions.items()],
    )  # fmt: skip
    yield _family(
        "evaluated", "gauge", "0 while the detector says NOT EVALUATED.",
        [({"id": name}, float(looks.get(name, {}).get("state", "NOT EVALUATED") != "NOT EVALUATED"))
         for name in judge.actions],
    )  # fmt: skip
    yield _family("silent", "gauge", "1 while the stream is silent or gone.", [({}, float(monitor.stale()))])
    for key, help_text in (
        ("value", "Rate that a rule looks at."),
        ("bound", "Bound of that rate on which its alarm is decided."),
        ("mmd", "MMD squared between the last period's embeddings and the reference's."),
        ("threshold", "Its threshold, from null windows of the same size."),
        ("psi", "Population stability index of the findings that reports claim."),
        ("score", "Score of a CUSUM chart."),
        ("f1", "F1 of a critical finding over the last week of readings."),
    ):
        found = [({"id": name}, looks[name].get(key)) for name in judge.actions if name in looks]
        yield _family(key, "gauge", help_text, found)
    if monitor.recent:
        last = monitor.recent[-1]
        service = last["service"]
        yield _family(
            "latency_seconds", "gauge", "Latency quantiles of the last window.",
            [({"quantile": f"{int(name[1:]) / 100:g}"}, item[0])
             for name, item in service["latency"].items()],
            unit="seconds",
        )  # fmt: skip
        for key, name, help_text in (
            ("throughput_per_h", "throughput_per_hour", "Reports of the last window, an hour."),
            ("queue_depth_max", "queue_depth", "Longest queue of the last window."),
            ("gpu_use_mean", "gpu_use_ratio", "Mean use of the GPUs in the last window."),
        ):
            yield _family(name, "gauge", help_text, [({}, service[key])])
        end = datetime.fromisoformat(last["end"]).timestamp()
        what = "End of the last window judged."
        yield _family("window_end_timestamp_seconds", "gauge", what, [({}, end)], unit="seconds")
    for key, help_text in (
        ("windows", "Windows judged."),
        ("reports", "Reports judged."),
        ("failed", "Studies for which no report came."),
        ("readings", "Readings by radiologists."),
        ("alerts", "Alerts raised."),
    ):
        yield _family(key, "counter", help_text, [({}, float(totals[key]))])
    faults = [({"kind": kind}, float(count)) for kind, count in sorted(monitor.fault_totals.items())]
    yield _family("stream_faults", "counter", "Faults of the stream by kind.", faults)


def _family(
    name: str, kind: Literal["gauge", "counter"], help_text: str, samples: Samples, unit: str = ""
) -> str:
    full = f"{PREFIX}_{name}"
    lines = [f"# TYPE {full} {kind}"]
    lines += [f"# UNIT {full} {unit}"] if unit else []
    lines += [f"# HELP {full} {help_text.translate(_ESCAPES)}"]
    suffix = "_total" if kind == "counter" else ""
    for labels, value in samples:
        if value is None or not math.isfinite(value):
            continue
        inside = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        lines.append(f"{full}{suffix}{{{inside}}} {value!r}" if inside else f"{full}{suffix} {value!r}")
    return "\n".join(lines) + "\n"
