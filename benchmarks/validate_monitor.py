"""How often the monitor cries wolf, and how soon it sees what was planted, on simulated production.

Run with `python benchmarks/validate_monitor.py` (most of an hour on two cores; `--quick` for a
tenth, `--references` for another number of references). Prints tables, and ends with 1 if false alarms
are above what is declared or an event is seen later than stated. The configuration is
suites/monitoring/production.yaml; the pictures are phantoms, seen by the tiny ViT.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from harness.data_files import data_path
from harness.monitoring.concept_drift import Chart
from harness.monitoring.config import MONTH_H, MonitorConfig, read_config
from harness.monitoring.counts import Rolling, count
from harness.monitoring.judge import Judge
from harness.monitoring.records import Faults, Place, Record, parse
from harness.monitoring.reference import Reference
from harness.monitoring.rules import look
from harness.monitoring.simulate import START, Event, Plan, Pool, make_pool, reference_records, stream_records

PER_DAY: Final = 240
DAYS: Final = 40
ON_DAY: Final = 10
DENSE: Final = 1000
"""Studies a day of the streams in which a week of readings shows that recall fell; without embeddings."""


@dataclass(frozen=True, slots=True)
class Stated:
    """Within how many hours a detector must see an event, in nine cases of ten; None: only told."""

    event: Event
    detector: str
    hours: float | None
    per_day: int = PER_DAY


STATED: Final = (
    Stated("latency", "latency-p99", 2),
    Stated("surge", "cusum-claimed-pneumothorax", 48),
    Stated("scanner", "data-drift", 120),
    Stated("recall", "concept-pleural-effusion", 14 * 24, DENSE),
    Stated("recall", "concept-pleural-effusion", None),
    Stated("recall", "cusum-missed-pleural-effusion", 25 * 24),
)
Raised = list[tuple[float, str]]

POOL: Pool


def parsed(records: list[dict[str, Any]]) -> list[Record]:
    """Records without a way over the disk."""
    faults = Faults()
    found = [parse(value, Place("sim", n, n + 1), faults) for n, value in enumerate(records)]
    assert not faults.counts, faults.counts  # noqa: S101 - a simulation without faults
    return [record for record in found if record is not None]


def alerts(judge: Judge, plan: Plan) -> Iterator[tuple[float, str]]:
    """End of window, in hours from the beginning, and id of each alert raised."""
    hours: dict[int, list[Record]] = {}
    for record in parsed(list(stream_records(plan, POOL))):
        hours.setdefault(int((record.time - START) // 3600), []).append(record)
    first = int(START // 3600)
    for hour in range(plan.days * 24):
        period = [one for h in range(hour - hour % 24, hour + 1) for one in hours.get(h, [])]
        entry = judge.judge(first + hour, hours.get(hour, []), period)
        for alert in entry["alerts"]:
            if alert["event"] == "raised":
                yield hour + 1, alert["id"]


def reference_of(seed: int, per_day: int) -> Reference:
    """A reference of 30 days."""
    records = parsed(reference_records(Plan(1, per_day, seed), POOL))
    times = [record.time for record in records if not record.reading]
    vectors = [record.embedding for record in records if record.embedding is not None]
    return Reference(count(records), (max(times) - min(times)) / 3600, np.stack(vectors))


def batch(task: tuple[int, int, list[tuple[Event, int]]]) -> list[tuple[Event, int, Raised]]:
    """Several streams against one reference, whose thresholds are worked out once."""
    seed, per_day, streams = task
    config = read_config(data_path("suites") / "monitoring" / "production.yaml")
    reference = reference_of(seed, per_day)
    drift = Judge(config, reference).drift if per_day == PER_DAY else None
    found = []
    light = config.model_copy(update={"data_drift": None})
    for event, number in streams:
        judge = Judge(light, reference)
        judge.config, judge.drift = config, drift
        if drift is not None:
            judge.actions["data-drift"] = ""
        # The shares must be those of the whole configuration.
        judge.charts = {
            part.id: Chart(part, reference.counts, reference.hours, config.share, config.per_period)
            for part in config.cusum
        }
        found.append((event, per_day, list(alerts(judge, Plan(DAYS, per_day, number, event, ON_DAY)))))
    return found


def at_the_limit(config: MonitorConfig, months: int) -> bool:
    """False alarms of each rule while its rate sits exactly at its limit, a month of looks at a time."""
    print(f"\nRules at their very limit: alerts raised in {months} months")
    print(f"  declared: at most {config.share:.3f} a month each")
    rng = np.random.default_rng(11)
    per_window = {"latency": 39, "failure_rate": 39, "rejection_rate": 39, "hallucination_rate": 60,
                  "critical_sensitivity": 30}  # fmt: skip
    keys = {"failure_rate": ("failed", "timed"), "rejection_rate": ("rejected", "reviewed"),
            "hallucination_rate": ("unconfirmed", "claims"),
            "critical_sensitivity": ("critical misses", "critical positives")}  # fmt: skip
    good = True
    for rule in config.rules:
        bad_key, n_key = keys.get(rule.measure, (f"slow:{rule.id}", "timed"))
        every = rule.every_h or config.window_h
        raised = 0
        for _ in range(months):
            span, fresh, before = Rolling(round(rule.over_h)), Rolling(round(every)), dict[str, Any]()
            for hour in range(round(MONTH_H)):
                n = int(rng.poisson(per_window[rule.measure]))
                counts = {bad_key: int(rng.binomial(n, rule.bad_share)), n_key: n, "reports": n, "checked": n}
                span.push(counts)
                fresh.push(counts)
                if (hour + 1) % every == 0:
                    found = look(rule, span.sum, fresh.sum, before, config.alpha(every), 1.0)
                    raised += found["active"] and not before.get("active", False)
                    before = found
        most = config.share * months
        ok = raised <= most + 3 * math.sqrt(most)
        good &= ok
        print(f"  {rule.id:24} {raised:4d}   {raised / months:.4f} a month   {'ok' if ok else 'TOO MANY'}")
    return good


def main() -> int:
    """Runs everything."""
    global POOL
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--references", type=int, default=10)
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    began = time.monotonic()
    references, quiet, planted = (2, 6, 2) if given.quick else (given.references, 12, 4)
    config = read_config(data_path("suites") / "monitoring" / "production.yaml")
    good = at_the_limit(config, 4 if given.quick else 40)
    POOL = make_pool()
    events = sorted({one.event for one in STATED})
    tasks: list[tuple[int, int, list[tuple[Event, int]]]] = [
        (
            seed,
            PER_DAY,
            [("none", 1000 * seed + n) for n in range(quiet)]
            + [(event, 1000 * seed + 100 + n) for event in events for n in range(planted)],
        )
        for seed in range(references)
    ]
    tasks += [
        (seed, DENSE, [("recall", 1000 * seed + 200 + n) for n in range(planted)])
        for seed in range(references)
    ]
    with multiprocessing.get_context("fork").Pool(given.workers) as workers:
        results = [item for found in workers.imap_unordered(batch, tasks) for item in found]
    false = [raised for event, _, raised in results if event == "none"]
    months, number = len(false) * DAYS / 30, sum(map(len, false))
    allowed = config.false_alarms_per_month * months
    ok = number <= allowed + 3 * math.sqrt(allowed)
    good &= ok
    print(f"\nQuiet streams: {len(false)} of {DAYS} days, {PER_DAY} studies a day, {references} references")
    declared = config.false_alarms_per_month
    print(f"  {number} alerts, {number / months:.3f} in 30 days (declared: at most {declared})")
    by_id: dict[str, int] = {}
    for raised in false:
        for _, name in raised:
            by_id[name] = by_id.get(name, 0) + 1
    print("  by detector:", by_id or "none")
    print(f"\nPlanted on day {ON_DAY} at 09:00: hours to the alert")
    print(
        f"  {'event':8} {'detector':30} {'a day':>6} {'n':>3} {'in time':>8} {'median':>7} {'90 %':>7} stated"
    )
    for one in STATED:
        begins = ON_DAY * 24 + 9
        delays = [
            min(
                (at - begins for at, name in raised if name == one.detector and at > begins), default=math.inf
            )
            for event, per_day, raised in results
            if (event, per_day) == (one.event, one.per_day)
        ]
        late = float(np.quantile(delays, 0.9, method="higher"))
        most = (DAYS - ON_DAY) * 24 if one.hours is None else one.hours
        seen = sum(delay <= most for delay in delays) / len(delays)
        ok = one.hours is None or seen >= 0.9 - 3 * math.sqrt(0.09 / len(delays))
        good &= ok
        print(
            f"  {one.event:8} {one.detector:30} {one.per_day:6,} {len(delays):3} {seen:8.0%} "
            f"{np.median(delays):7.0f} {late:7.0f} {'none' if one.hours is None else f'{one.hours:g}'}"
            f"{'' if ok else '   TOO LATE'}"
        )
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
