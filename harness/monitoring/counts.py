"""A window as whole numbers that add up: everything over several windows is a sum of these."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.inference import Interval, quantile_interval
from harness.monitoring.config import Rule
from harness.monitoring.records import Record
from harness.report import CRITICAL, FINDINGS

Counts = Mapping[str, int]


def count(records: Iterable[Record], rules: Sequence[Rule] = ()) -> Counter[str]:
    """The counts of some records.

    `reports`, `failed` (no report came), `timed`, `slow:RULE`; `written` (findings are known),
    `claimed:FINDING`; `checked` (a detection head's answer is known), `claims`, `unconfirmed`; `reviewed`,
    `rejected`; `embedded`; `unwritten`, `unchecked`, `unembedded` (a report came, and lacks the field);
    `readings`, `unread` (a reading that lacks a field), and per finding `tp:`, `fp:`, `fn:`;
    `critical positives`, `critical misses`.
    """
    found: Counter[str] = Counter()
    limits = [(f"slow:{rule.id}", rule.limit) for rule in rules if rule.measure == "latency"]
    for record in records:
        if record.reading:
            _count_reading(record, found)
            continue
        found["reports"] += 1
        if record.latency_s is not None:
            found["timed"] += 1
            found["failed"] += record.latency_s == math.inf
            for key, limit in limits:
                found[key] += record.latency_s > limit
        if record.findings is not None:
            found["written"] += 1
            for finding in record.findings:
                found[f"claimed:{finding}"] += 1
            if record.detected is not None:
                found["checked"] += 1
                found["claims"] += len(record.claims)
                found["unconfirmed"] += record.unconfirmed
        if record.rejected is not None:
            found["reviewed"] += 1
            found["rejected"] += record.rejected
        found["embedded"] += record.embedding is not None
        if record.latency_s != math.inf:
            found["unwritten"] += record.findings is None
            found["unchecked"] += record.findings is None or record.detected is None
            found["unembedded"] += record.embedding is None
    return Counter({key: value for key, value in found.items() if value})


def _count_reading(record: Record, found: Counter[str]) -> None:
    found["readings"] += 1
    if record.findings is None or record.reference is None:
        found["unread"] += 1
        return
    for finding in record.findings | record.reference:
        kind = "fp" if finding not in record.reference else "tp" if finding in record.findings else "fn"
        found[f"{kind}:{finding}"] += 1
        if finding in CRITICAL and kind != "fp":
            found["critical positives"] += 1
            found["critical misses"] += kind == "fn"


class Rolling:
    """The sum of the counts of the last so many windows."""

    def __init__(self, windows: int) -> None:
        self.last: deque[Counts] = deque(maxlen=windows)
        self.sum: Counter[str] = Counter()

    def push(self, counts: Counts) -> None:
        """Takes in the next window, and drops the oldest."""
        if len(self.last) == self.last.maxlen:
            self.sum.subtract(self.last[0])
        self.last.append(counts)
        self.sum.update(counts)


def positives(counts: Counts, finding: str) -> int:
    """Readings in which the radiologist says that a finding is there."""
    return counts.get(f"tp:{finding}", 0) + counts.get(f"fn:{finding}", 0)


def service(records: Sequence[Record], hours: float) -> dict[str, Any]:
    """Latency quantiles with 95 % intervals, throughput, queue and GPU use of one window, as plain values."""
    reports = [record for record in records if not record.reading]
    times = [record.latency_s for record in reports if record.latency_s is not None]
    queue = [record.queue_depth for record in reports if record.queue_depth is not None]
    gpu = [record.gpu_use for record in reports if record.gpu_use is not None]
    return {
        "latency": {
            name: _plain(quantile_interval(np.asarray(times, dtype=np.float64), q)) for name, q in QUANTILES
        },
        "throughput_per_h": len(reports) / hours,
        "queue_depth_max": max(queue, default=None),
        "gpu_use_mean": sum(gpu) / len(gpu) if gpu else None,
    }


QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


def _plain(interval: Interval) -> list[float | None]:
    """Value, low, high; None where it is undefined or infinite."""
    ends = (interval.estimate, interval.low, interval.high)
    return [end if math.isfinite(end) else None for end in ends]


def rates(counts: Counts) -> dict[str, tuple[int, int]]:
    """Finding -> reports that claim it, of how many."""
    return {str(f): (counts.get(f"claimed:{f}", 0), counts.get("written", 0)) for f in FINDINGS}
