"""How long reports took on the device of a run, and whether that says anything of the target device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from harness.inference import Interval
from harness.inference.quantiles import quantile_interval
from harness.ledger import Ledger
from harness.outcome import Status as Outcome
from harness.status import Status, finite

QUANTILES: Final = (0.5, 0.9, 0.99)
CONFIDENCE: Final = 0.95
_POINTS: Final = 160
"""Of the curve: more than a printed page can tell apart."""


def measure_latency(
    timings: pa.Table,
    predictions: pa.Table,
    measured_on: str,
    device: str = "",
    processor: str = "",
    p99_below_s: float | None = None,
) -> dict[str, Any]:
    """Quantiles of the time from study to report, with their bounds, and the empirical distribution.

    A study without a usable report is infinitely late: it can only make a quantile worse. Bounds are
    order statistics (`quantile_interval`), whatever the distribution.

    Args:
        timings: of a run: `study_id`, `latency_s`.
        predictions: of the same run: `study_id`, `status`.
        measured_on: the processor of the run, as its environment names it.
        device: what the target device is called; "" where none is named.
        processor: as a run's environment names it; times on another decide nothing.
        p99_below_s: seconds below which the upper 95 % bound of P99 must lie; None: nothing to decide.

    Returns:
        Plain values: n, failed, processor, on_target, quantiles, curve [(seconds, share), ...],
        status and reason. Seconds; None where infinite or undefined.
    """
    table = timings.to_pylist()
    statuses = {row["study_id"]: row["status"] for row in predictions.to_pylist()}
    times = np.array(
        [
            row["latency_s"] if statuses.get(row["study_id"]) == Outcome.OK else math.inf
            for row in sorted(table, key=lambda row: row["study_id"])
        ]
    )
    on_target = bool(processor) and processor == measured_on
    quantiles = {f"p{q * 100:g}": plain(quantile_interval(times, q, CONFIDENCE)) for q in QUANTILES}
    upper = quantile_interval(times, 0.99, CONFIDENCE, "upper")
    status, reason = _decide(upper, on_target, measured_on, device, processor, p99_below_s)
    return {
        "n": len(times),
        "failed": int(np.isinf(times).sum()),
        "processor": measured_on,
        "device": device,
        "target_processor": processor,
        "on_target": on_target,
        "confidence": CONFIDENCE,
        "quantiles": quantiles,
        "p99_upper": finite(upper.high),
        "p99_below_s": p99_below_s,
        "curve": curve(times),
        "status": status.value,
        "reason": reason,
    }


def processor_of(ledger: Ledger) -> str:
    """What the run's environment says of its processor; "not recorded" where it is silent."""
    context = next((entry for entry in ledger.log.entries() if entry["event"] == "context"), {})
    return str(context.get("environment", {}).get("processor") or "not recorded")


def _decide(
    upper: Interval, on_target: bool, measured_on: str, device: str, processor: str, below: float | None
) -> tuple[Status, str]:
    if not processor:
        return Status.NOT_EVALUATED, "no target device is named"
    if not on_target:
        told = f"the times are those of {measured_on}, not of {device} ({processor})"
        return Status.NOT_EVALUATED, told
    if below is None:
        return Status.NOT_EVALUATED, "no limit is named"
    if math.isinf(upper.high) and upper.reason:
        return Status.NOT_EVALUATED, upper.reason
    relation = f"upper {CONFIDENCE:.0%} bound of P99, {upper.high:.3f} s, is"
    if upper.high < below:
        return Status.PASS, f"{relation} below {below:g} s"
    return Status.FAIL, f"{relation} not below {below:g} s"


def curve(times: Sequence[float] | np.ndarray[Any, Any]) -> list[list[float]]:
    """Steps of the empirical distribution, thinned; the last is the share that had a report at all."""
    there = np.sort(np.asarray(times)[np.isfinite(times)])
    if not len(there):
        return []
    places = np.unique(np.linspace(0, len(there) - 1, min(_POINTS, len(there))).round().astype(int))
    return [[float(there[k]), float((k + 1) / len(times))] for k in places]


def plain(interval: Interval) -> dict[str, Any]:
    """An interval as plain values; None where it is infinite or undefined."""
    return {
        "estimate": finite(interval.estimate),
        "low": finite(interval.low),
        "high": finite(interval.high),
        "reason": interval.reason,
    }
