"""The raw times of a run, read from its log and checked against the schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.errors import LedgerError
from harness.inference.quantiles import quantile_interval
from harness.inference.results import Interval, Side
from harness.latency.schedule import Stage, gaps, stages_of
from harness.latency.suite import CLOSED, LatencySuite
from harness.outcome import Status

Floats = NDArray[np.float64]
_ROUNDING: Final = 2e-5
"""Seconds: times are logged to a microsecond, and arrivals are sums of them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; seconds since its stage began in its session."""

    number: int
    study: int
    session: int
    due_s: float
    """When the study arrived by the schedule; in the closed loop, when it was asked."""
    began_s: float
    ended_s: float
    ready_s: float
    """When the device could take the next: later than `ended_s` where a process had to be started again."""
    status: str
    phases_s: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there was a report."""
        return self.status == Status.OK

    @property
    def latency_s(self) -> float:
        """From arrival to report; infinite where there was none: later than any limit."""
        return self.ended_s - self.due_s if self.ok else math.inf

    @property
    def service_s(self) -> float:
        """Of the candidate alone, without waiting."""
        return self.ended_s - self.began_s

    @property
    def occupied_s(self) -> float:
        """For which the device could take no other study."""
        return self.ready_s - self.began_s


@dataclass(frozen=True, slots=True)
class StageTimes:
    """A stage as it was run."""

    stage: Stage
    rate_per_hour: float | None
    asked: tuple[Asked, ...]
    """In the order of arrival."""

    @property
    def latencies(self) -> Floats:
        """Shape (requests,); infinite without a report."""
        return np.array([item.latency_s for item in self.asked])

    @property
    def load(self) -> float | None:
        """Arrivals in the mean time for which one occupies the device: 1 and more saturate it."""
        if self.rate_per_hour is None:
            return None
        return self.rate_per_hour / 3600 * float(np.mean([item.occupied_s for item in self.asked]))

    @property
    def saturated(self) -> bool:
        """Whether more arrived than could be done."""
        return (self.load or 0.0) >= 1

    @property
    def worth(self) -> float:
        """How many independent times these are worth.

        Studies that wait behind one another share their fate. A busy period, from an arrival at an idle
        device to the next, is a cluster (the regenerative method: Crane & Iglehart, Oper Res 1975;
        23:33-45), and its members are taken to be as good as one (Kish). A study asked twice counts once.
        """
        distinct = len({item.study for item in self.asked})
        if self.rate_per_hour is None:
            return float(distinct)
        sizes, ready, session = list[int](), math.inf, -1
        for item in self.asked:
            if item.session != session or item.due_s >= ready - _ROUNDING:
                sizes.append(0)
            sizes[-1] += 1
            ready, session = item.ready_s, item.session
        counts = np.array(sizes, dtype=np.float64)
        return min(float(distinct), float(counts.sum() ** 2 / (counts**2).sum()))

    def quantile(self, q: float, confidence: float, side: Side) -> Interval:
        """A quantile of latency with its bound by order statistics, on as many times as these are worth."""
        ordered, enough = np.sort(self.latencies), math.floor(self.worth + 1e-9)
        n = len(ordered)
        if enough >= n:
            return quantile_interval(ordered, q, confidence, side)
        ranks = quantile_interval(np.arange(1, enough + 1), q, confidence, side)
        low = ordered[math.floor(ranks.low / enough * n) - 1] if ranks.low >= 1 else -math.inf
        high = ordered[math.ceil(ranks.high / enough * n) - 1] if math.isfinite(ranks.high) else math.inf
        estimate = float(ordered[min(n - 1, math.ceil(q * n) - 1)])
        reason = ranks.reason and f"{n} times, worth {enough}: {ranks.reason}"
        method = f"order statistics on {enough} busy periods' worth"
        return Interval(float(low), float(high), estimate, confidence, side, method, reason)


@dataclass(frozen=True, slots=True)
class Times:
    """Everything that a run's log holds of times."""

    stages: tuple[StageTimes, ...]
    """Those that were run, the closed loop first."""
    skipped: tuple[Stage, ...]
    """Open steps beyond the one that saturated the device."""
    sessions: tuple[Mapping[str, Any], ...]
    """Each start of the candidate: device, time to load, warm-up."""
    jumps: tuple[Mapping[str, Any], ...]
    peaks: Mapping[str, int]
    finished: Mapping[str, Any]

    @property
    def closed(self) -> StageTimes:
        """The closed loop."""
        return self.stages[0]

    def at(self, load: str | float) -> StageTimes | None:
        """The closed loop, or the step of a rate; None where it was not reached."""
        if load == CLOSED:
            return self.closed
        return next((item for item in self.stages if item.stage.rate_per_hour == load), None)


def capacity_per_hour(closed: Sequence[Asked]) -> float:
    """Studies an hour that the device did one at a time, without a pause between them."""
    return 3600 / float(np.mean([item.occupied_s for item in closed]))


def read_times(entries: Iterable[Mapping[str, Any]], suite: LatencySuite) -> Times:
    """The times of a finished run.

    Raises:
        LedgerError: the run is not finished; requests are missing or stand twice; times run backwards; or
            arrivals are not those of the suite's seed.
    """
    asked: dict[str, list[Asked]] = {stage.name: [] for stage in stages_of(suite)}
    rates: dict[str, float] = {}
    sessions, jumps, peaks, finished = list[Any](), list[Any](), dict[str, int](), None
    for entry in entries:
        if entry["event"] == "times":
            asked[entry["stage"]] += [Asked(session=entry["session"], **item) for item in entry["records"]]
            peaks = {**peaks, **entry["peaks"]}
        elif entry["event"] == "stage" and entry["rate_per_hour"] is not None:
            rates[entry["stage"]] = entry["rate_per_hour"]
        elif entry["event"] == "session":
            sessions.append(entry)
        elif entry["event"] == "clock":
            jumps.append(entry)
        elif entry["event"] == "finished":
            finished = entry
    if finished is None:
        raise LedgerError("the latency run is not complete; give its harness latency command again")
    found = [
        StageTimes(stage, rates.get(stage.name), _ordered(asked[stage.name], stage))
        for stage in stages_of(suite)
        if asked[stage.name]
    ]
    if not found or found[0].stage.name != CLOSED:
        raise LedgerError("the log holds no times of the closed loop; it is damaged")
    capacity = capacity_per_hour(found[0].asked)
    for item in found[1:]:
        _check_arrivals(item, capacity, suite.seed)
    skipped = tuple(stage for stage in stages_of(suite) if not asked[stage.name])
    if skipped and not any(item.saturated for item in found):
        raise LedgerError(f"{skipped[0].name} was left out, and no step saturated the device")
    return Times(tuple(found), skipped, tuple(sessions), tuple(jumps), peaks, finished)


def _ordered(asked: list[Asked], stage: Stage) -> tuple[Asked, ...]:
    numbers = sorted(item.number for item in asked)
    if numbers != list(range(stage.studies)):
        raise LedgerError(f"{stage.name}: requests are missing or stand twice in the log")
    for item in asked:
        if not item.due_s - _ROUNDING <= item.began_s <= item.ended_s <= item.ready_s:
            raise LedgerError(f"{stage.name}: the times of request {item.number} run backwards")
    return tuple(sorted(asked, key=lambda item: item.number))


def _check_arrivals(times: StageTimes, capacity: float, seed: int) -> None:
    """Whether studies were due when the seed says: late starts may not move an arrival."""
    name, rate = times.stage.name, times.rate_per_hour
    if rate is None or not math.isclose(rate, times.stage.rate(capacity), rel_tol=1e-6):
        raise LedgerError(f"{name}: was run at another rate than the suite's")
    wanted = gaps(name, times.stage.studies, rate, seed)
    session, due = -1, 0.0
    for item, gap in zip(times.asked, wanted, strict=True):
        due = gap if item.session != session else due + gap
        session = item.session
        if abs(item.due_s - due) > _ROUNDING:
            raise LedgerError(f"{name}: request {item.number} did not arrive when the suite's seed says")
