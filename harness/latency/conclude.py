"""From raw times to numbers and verdict: a function of the log and the suite alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from harness.candidates.base import ModelSize
from harness.candidates.timing import PHASES
from harness.errors import LedgerError
from harness.gpu_hours import usd_per_study
from harness.latency.decide import decide
from harness.latency.device import ELSEWHERE, Device, mismatches
from harness.latency.of_run import curve, plain
from harness.latency.roofline import estimate
from harness.latency.samples import Asked, StageTimes, Times, capacity_per_hour, read_times
from harness.latency.suite import QUANTILES, LatencySuite
from harness.ledger import Readable
from harness.outcome import Status
from harness.status import finite

_STEADY: Final = ("name", "driver", "power_limit_w", "partitioned", "gpus")


def conclude(ledger: Readable, suite: LatencySuite) -> dict[str, Any]:
    """Numbers and verdict of a finished run, as plain values for results.json.

    Raises:
        LedgerError: as `read_times`.
    """
    entries = list(ledger.log.entries())
    times = read_times(entries, suite)
    context = next((entry for entry in entries if entry["event"] == "context"), None)
    if context is None:
        raise LedgerError(f"{ledger.root}: the log does not tell the environment; it is damaged")
    devices = [Device(**entry["device"]) for entry in (*times.sessions, times.finished)]
    faults = list(dict.fromkeys(fault for device in devices for fault in mismatches(suite.target, device)))
    if any(getattr(devices[0], name) != getattr(other, name) for other in devices for name in _STEADY):
        faults.append("not all of the run was on one device as it was at the beginning")
    device, closed = devices[0], times.closed
    phases, tokens = _phases(closed.asked), _tokens(closed.asked)
    capacity = capacity_per_hour(closed.asked)
    size = None if context["size"] is None else ModelSize(**context["size"])
    cost = suite.cost.gpu_usd_per_hour
    return {
        "format": 1,
        "kind": "latency",
        "ledger": times.finished["digest"],
        "verdict": decide(suite, times, faults).as_json(),
        "target": suite.target.model_dump(mode="json"),
        "device": device.as_json(),
        "on_target": not faults,
        "mismatches": faults,
        "confidence": suite.confidence,
        "clock": context["clock"],
        "clock_jumps_s": [entry["wall_jumped_s"] for entry in times.jumps],
        "sessions": len(times.sessions),
        "cold_start": _cold(times),
        "stages": [_stage(item, suite, cost) for item in times.stages],
        "skipped": [_told(stage.rate_per_hour, stage.load) for stage in times.skipped],
        "capacity_per_hour": capacity,
        "saturated_at_per_hour": next((s.rate_per_hour for s in times.stages if s.saturated), None),
        "curve": curve(closed.latencies),
        "phases_s": phases,
        "tokens": tokens,
        "peaks_bytes": {} if device == ELSEWHERE else dict(times.peaks),
        "gpu_usd_per_hour": cost,
        "usd_per_study_at_capacity": usd_per_study(cost, capacity),
        "estimate": estimate(
            suite.target.device, device.name, size,
            {key: tokens[key] for key in ("read", "written")} if tokens else {},
            {name: row["mean"] for name, row in phases.items()}, suite.estimate.efficiency,
        ),
        # What the pages of every run ask for.
        "slices_without_data": [],
        "groups": {},
    }  # fmt: skip


def _stage(item: StageTimes, suite: LatencySuite, usd_per_hour: float) -> dict[str, Any]:
    asked, latencies = item.asked, item.latencies
    there = latencies[np.isfinite(latencies)]
    statuses = Counter(request.status for request in asked)
    rate = item.rate_per_hour
    return {
        "stage": item.stage.name,
        "rate_per_hour": rate,
        "load_asked": item.stage.load,
        "load": item.load,
        "saturated": item.saturated,
        "studies": len(asked),
        "worth": item.worth,
        "repeats": item.repeats,
        "attempts": item.attempts,
        "interrupted": item.lost,
        "failed": int(np.isinf(latencies).sum()),
        "statuses": {status.value: statuses[status.value] for status in Status if statuses[status.value]},
        "quantiles": {
            name: plain(item.quantile(q, suite.confidence, "two-sided")) for name, q in QUANTILES.items()
        },
        "slowest_s": finite(float(there.max())) if len(there) else None,
        "wait_mean_s": float(np.mean([request.began_s - request.due_s for request in asked])),
        "queue_most": _queue(asked),
        "usd_per_study": None if rate is None or item.saturated else usd_per_study(usd_per_hour, rate),
    }


def _queue(asked: Sequence[Asked]) -> int:
    """The most studies that waited at once, each session by itself."""
    most = 0
    for session in {item.session for item in asked}:
        own = [item for item in asked if item.session == session]
        began = np.array([item.began_s for item in own])
        for place, item in enumerate(own):
            most = max(most, place - int(np.searchsorted(began[:place], item.due_s, side="right")))
    return most


def _phases(asked: Sequence[Asked]) -> dict[str, dict[str, float]]:
    """Mean, median and largest seconds of each phase, and of what no phase tells; of studies reported."""
    told = [item for item in asked if item.ok and item.phases_s]
    if not told:
        return {}
    rest = [item.service_s - sum(item.phases_s.values()) for item in told]
    columns: dict[str, list[float]] = {
        name: [item.phases_s.get(name, 0.0) for item in told] for name in PHASES
    }
    return {
        name: {
            "mean": float(np.mean(column)),
            "median": float(np.median(column)),
            "most": float(np.max(column)),
        }
        for name, column in {**columns, "elsewhere": rest}.items()
    }


def _tokens(asked: Sequence[Asked]) -> dict[str, float]:
    """Mean tokens read and written a study, and those written a second while writing."""
    told = [item for item in asked if item.ok and item.tokens]
    if not told:
        return {}
    written = sum(item.tokens.get("written", 0) for item in told)
    seconds = sum(item.phases_s.get("decoding", 0.0) or item.service_s for item in told)
    return {
        "read": float(np.mean([item.tokens.get("read", 0) for item in told])),
        "written": written / len(told),
        "written_per_s": written / seconds if seconds else 0.0,
    }


def _cold(times: Times) -> dict[str, Any]:
    """The slowest start of the candidate: loading, and the first report after it."""
    starts = [
        (float(entry["load_s"]), float(entry["warm_up"][0]["seconds"]), entry["warm_up"])
        for entry in times.sessions
    ]
    load, first, _ = max(starts, key=lambda start: start[0] + start[1])
    return {
        "load_s": load,
        "first_report_s": first,
        "starts": len(starts),
        "warm_up": [step for *_, warm in starts for step in warm],
    }


def _told(rate: float | None, load: float | None) -> str:
    return f"{rate:g} studies an hour" if rate is not None else f"{load:g} of capacity"


def told_device(device: Mapping[str, Any]) -> str:
    """A device in a line."""
    parts = [device["name"]]
    if device["memory_bytes"]:
        parts.append(f"{device['memory_bytes'] / 1e9:.1f} GB")
    if device["driver"]:
        parts.append(f"driver {device['driver']}")
    if device["power_limit_w"] is not None and math.isfinite(device["power_limit_w"]):
        parts.append(f"power limit {device['power_limit_w']:g} W")
    return ", ".join(parts)
