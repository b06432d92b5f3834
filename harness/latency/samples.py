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
from harness.latency.schedule import Stage, gaps, stages_of, warm_up_places
from harness.latency.suite import CLOSED, LatencySuite
from harness.outcome import Status

Floats = NDArray[np.float64]
LOST: Final = "interrupted"
"""The status of a study that had arrived when a session ended, and of which no outcome is known."""
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
    earlier: tuple[Asked, ...] = ()
    """Of attempts at an open stage that were interrupted, whereupon it was begun again."""
    before: frozenset[int] = frozenset()
    """Studies asked before this stage, to warm up or in another stage."""

    @property
    def latencies(self) -> Floats:
        """Shape (requests,); infinite without a report. Of several attempts at a request the worst counts."""
        worst = {item.number: item.latency_s for item in self.asked}
        for item in self.earlier:
            worst[item.number] = max(worst.get(item.number, 0.0), item.latency_s)
        return np.array(list(worst.values()))

    @property
    def attempts(self) -> int:
        """How often the stage was begun; a closed loop is taken up where it stopped."""
        return 1 + len({item.session for item in self.earlier})

    @property
    def lost(self) -> int:
        """Requests of which no outcome is known, because a session was interrupted."""
        return len({item.number for item in (*self.asked, *self.earlier) if item.status == LOST})

    @property
    def repeats(self) -> int:
        """Requests about a study that had been asked before: somebody may remember the answer."""
        return len(self.asked) - len({item.study for item in self.asked} - self.before)

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
        23:33-45), and its members are taken to be as good as one (Kish). A study asked twice counts once, and
        one asked before the stage not at all.
        """
        distinct = len({item.study for item in self.asked} - self.before)
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
        ordered, enough = np.sort(self.latencies), max(1, math.floor(self.worth + 1e-9))
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
    entries = list(entries)
    attempts = read_attempts(entries, suite)
    rates: dict[str, float] = {}
    sessions, jumps, peaks, finished, there = list[Any](), list[Any](), dict[str, int](), None, 0
    for entry in entries:
        if entry["event"] == "times":
            peaks = {**peaks, **entry["peaks"]}
        elif entry["event"] == "context":
            there = entry["studies"]
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
    first, *steps = stages_of(suite)
    if not attempts[CLOSED] or not there:
        raise LedgerError("the log holds no times of the closed loop; it is damaged")
    closed = _ordered([item for asked in attempts[CLOSED].values() for item in asked], first)
    before = frozenset(warm_up_places(suite, there))
    found = [StageTimes(first, None, closed, before=before)]
    capacity = capacity_per_hour(closed)
    for stage in sorted(steps, key=lambda step: step.rate(capacity)):
        if attempts[stage.name]:
            before |= {item.study for item in found[-1].asked}
            found.append(_open(stage, rates.get(stage.name), attempts[stage.name], capacity, suite, before))
    found.sort(key=lambda item: item.stage.first)
    skipped = tuple(stage for stage in steps if not attempts[stage.name])
    if skipped and not any(item.saturated for item in found):
        raise LedgerError(f"{skipped[0].name} was left out, and no step saturated the device")
    return Times(tuple(found), skipped, tuple(sessions), tuple(jumps), peaks, finished)


def read_attempts(
    entries: Iterable[Mapping[str, Any]], suite: LatencySuite
) -> dict[str, dict[int, list[Asked]]]:
    """What was asked, by stage and session, in the order of the log.

    A study that was asked and of which no outcome is known counts as one without a report at the time limit.
    """
    found: dict[str, dict[int, list[Asked]]] = {stage.name: {} for stage in stages_of(suite)}
    for entry in entries:
        if entry["event"] not in ("times", "lost"):
            continue
        asked = found[entry["stage"]].setdefault(entry["session"], [])
        if entry["event"] == "times":
            asked += [Asked(session=entry["session"], **item) for item in entry["records"]]
            continue
        began, limit = entry["began_s"], entry["began_s"] + suite.execution.timeout_s
        asked.append(
            Asked(
                entry["number"], entry["study"], entry["session"], entry["due_s"], began, limit, limit, LOST
            )
        )
    return found


def _open(
    stage: Stage,
    rate: float | None,
    attempts: Mapping[int, list[Asked]],
    capacity: float,
    suite: LatencySuite,
    before: frozenset[int],
) -> StageTimes:
    """An open stage: the attempt that was ended, and what is known of those that were not."""
    if rate is None or not math.isclose(rate, stage.rate(capacity), rel_tol=1e-6):
        raise LedgerError(f"{stage.name}: was run at another rate than the suite's")
    due = np.cumsum(gaps(stage.name, stage.studies, rate, suite.seed))
    *broken, last = (attempts[session] for session in sorted(attempts))
    earlier: list[Asked] = []
    for asked in broken:
        _check_times(asked, stage)
        _check_arrivals(asked, due, stage)
        # Whoever had arrived by then stood in the queue; the interruption does not undo the wait.
        until, numbers = max(item.ready_s for item in asked), {item.number for item in asked}
        earlier += asked
        for number in range(int(np.searchsorted(due, until, side="right"))):
            if number not in numbers:
                arrived = float(due[number])
                earlier.append(Asked(number, -1, asked[0].session, arrived, arrived, arrived, arrived, LOST))
    whole = _ordered(last, stage)
    _check_arrivals(whole, due, stage)
    return StageTimes(stage, rate, whole, tuple(earlier), before)


def _ordered(asked: list[Asked], stage: Stage) -> tuple[Asked, ...]:
    numbers = sorted(item.number for item in asked)
    if numbers != list(range(stage.studies)):
        raise LedgerError(f"{stage.name}: requests are missing or stand twice in the log")
    _check_times(asked, stage)
    return tuple(sorted(asked, key=lambda item: item.number))


def _check_times(asked: Sequence[Asked], stage: Stage) -> None:
    for item in asked:
        if not item.due_s - _ROUNDING <= item.began_s <= item.ended_s <= item.ready_s:
            raise LedgerError(f"{stage.name}: the times of request {item.number} run backwards")


def _check_arrivals(asked: Sequence[Asked], due: Floats, stage: Stage) -> None:
    """Whether studies were due when the seed says: late starts may not move an arrival."""
    for item in asked:
        if not 0 <= item.number < len(due) or abs(item.due_s - due[item.number]) > _ROUNDING:
            raise LedgerError(
                f"{stage.name}: request {item.number} did not arrive when the suite's seed says"
            )
