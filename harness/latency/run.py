"""The straight line for time: suite, cohort and candidate to raw times in a chained log, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from harness import __version__
from harness.candidates.base import Candidate
from harness.chain import Chain
from harness.cohorts.base import Cohort
from harness.digests import code_digest, code_revision, environment
from harness.errors import CandidateError, CohortError
from harness.latency.clock import Clock, SystemClock, Watch
from harness.latency.conclude import conclude
from harness.latency.device import Elsewhere, Probe, SystemProbe
from harness.latency.journal import Journal
from harness.latency.samples import LOST, Asked, StageTimes, capacity_per_hour, read_attempts
from harness.latency.schedule import Stage, gaps, order, stages_of, warm_up_places
from harness.latency.server import ProcessServer, Server
from harness.latency.suite import CLOSED, KIND, LatencySuite, read_latency_suite
from harness.ledger import Ledger
from harness.outcome import Outcome, Status
from harness.run import Progress, manifest_digest
from harness.study import Study

_BATCH, _PAUSE_S, _KEPT_S = 64, 0.05, 5.0
"""Times are written when so many wait, or after so many seconds, in a pause of so long where there is one."""
_DEAD: Final = (Status.LATE, Status.DIED)


@dataclass(frozen=True, slots=True)
class LatencyRequest:
    """What a latency run is asked to do."""

    suite: Path
    cohort: Cohort
    cohort_locator: str
    candidate: Candidate
    candidate_locator: str
    out: Path


@dataclass(frozen=True, slots=True)
class Instruments:
    """What measures. Tests put in their own; None: the machine's."""

    server: Server | None = None
    clock: Clock = field(default_factory=SystemClock)
    probe: Probe = field(default_factory=SystemProbe)


def execute(
    request: LatencyRequest,
    progress: Progress = lambda step, done, total: None,
    instruments: Instruments | None = None,
) -> Ledger:
    """Measures, decides and writes results; goes on where it stopped if the folder holds this very run.

    Raises:
        HarnessError: bad input of any kind; see the tree in `harness.errors`.
    """
    suite = read_latency_suite(request.suite)
    ids = request.cohort.study_ids()
    if not ids:
        raise CohortError("the cohort holds no study; nothing can be timed")
    places = order(ids, suite.seed)[: suite.cohort.studies]
    chosen = sorted((ids[place], place) for place in places)
    request.candidate.check([study for study, _ in chosen])
    cohort_digest, _ = manifest_digest(request.cohort, chosen, progress)
    identity = {
        "format": 1,
        "kind": KIND,
        "harness": __version__,
        "code": code_digest(),
        "suite": suite.digest(),
        "suite_name": suite.name,
        "suite_version": suite.version,
        "cohort": cohort_digest,
        "cohort_kind": request.cohort.name,
        "candidate": request.candidate.digest(),
        "candidate_kind": request.candidate.name,
    }
    tools = instruments or Instruments()
    server = tools.server or ProcessServer(
        request.candidate.afresh(), suite.execution.timeout_s, suite.execution.start_timeout_s
    )
    if request.candidate.remote:
        tools = replace(tools, probe=Elsewhere())
    with Ledger.writing(request.out, identity, request.suite.read_bytes()) as ledger:
        events = {entry["event"] for entry in ledger.log.entries()}
        if "context" not in events:
            size = request.candidate.size()
            ledger.log.append(
                "context",
                environment=environment(),
                revision=code_revision(),
                cohort=request.cohort_locator,
                candidate=request.candidate_locator,
                clock=getattr(tools.clock, "name", type(tools.clock).__name__),
                studies=len(places),
                size=None if size is None else asdict(size),
            )
        if "finished" not in events:
            studies = [request.cohort[place].study for place in places]
            _Run(ledger.log, suite, studies, server, tools, progress).measure()
        Journal(ledger.log.path).remove()
        ledger.write_results(conclude(ledger, suite))
    return ledger


class _Run:
    """One session: a candidate's process, and what is still to be asked."""

    def __init__(
        self,
        log: Chain,
        suite: LatencySuite,
        studies: list[Study],
        server: Server,
        tools: Instruments,
        progress: Progress,
    ) -> None:
        self.log, self.suite, self.studies, self.server = log, suite, studies, server
        self.clock, self.probe, self.progress = tools.clock, tools.probe, progress
        self.watch = Watch(self.clock)
        self.account: Mapping[str, Any] = {}
        self.journal = Journal(log.path)
        self.journal.absorb(log)
        entries = list(log.entries())
        self.session = sum(entry["event"] == "session" for entry in entries)
        attempts = read_attempts(entries, suite)
        self.asked: dict[str, list[Asked]] = {}
        for stage in stages_of(suite):
            found = attempts[stage.name]
            if stage.name == CLOSED:
                self.asked[stage.name] = [item for asked in found.values() for item in asked]
            else:  # a queue cannot be taken up again: what is not whole is begun again
                whole = [asked for asked in found.values() if _whole(stage, asked)]
                self.asked[stage.name] = whole[-1] if whole else []
        self.peaks: dict[str, int] = {}
        for entry in entries:
            if entry["event"] == "times":
                self.peaks |= entry["peaks"]
        self.waiting: list[Asked] = []
        self.slowest = 0.0
        self.broken: CandidateError | None = None
        self.written = self.clock.now()

    def measure(self) -> None:
        """All stages that are still open."""
        closed, *steps = stages_of(self.suite)
        try:
            self._begin()
            self._closed(closed)
            capacity = capacity_per_hour(self.asked[CLOSED])
            for step in sorted(steps, key=lambda step: step.rate(capacity)):
                rate = step.rate(capacity)
                self._open(step, rate)
                if StageTimes(step, rate, tuple(self.asked[step.name])).saturated:
                    break
            self._look_at_clock()
            device = self.probe.device(self.server.pid, self.account)
            self.log.append("finished", session=self.session, device=device.as_json())
        finally:
            self.server.stop()
            self.journal.close()

    def _begin(self) -> None:
        """Starts the candidate, warms it up, and looks what it runs on."""
        self.probe.before()
        began = self.clock.now()
        self.server.start()
        load_s = self.clock.now() - began
        warm = []
        count = self.suite.warm_up
        for number, place in enumerate(warm_up_places(self.suite, len(self.studies))):
            study = self.studies[place]
            start = self.clock.now()
            outcome, ended = self._ask(study)
            self._ready(outcome)
            self._go_on()
            warm.append({"seconds": round(ended - start, 6), "status": outcome.status.value})
            self.progress("warming up", number + 1, count)
        device = self.probe.device(self.server.pid, self.account)
        self.journal.begin(self.session)
        self.log.append(
            "session",
            session=self.session,
            load_s=round(load_s, 6),
            warm_up=warm,
            device=device.as_json(),
        )

    def _closed(self, stage: Stage) -> None:
        missing = self._missing(stage)
        if not missing:
            return
        self._enter(stage, None)
        origin = self.clock.now()
        try:
            for number in missing:
                began = self.clock.now() - origin
                self._time(stage, number, origin, began)
        finally:
            self._write(stage)

    def _open(self, stage: Stage, rate: float) -> None:
        """Asks each study when it is due, or as soon after that as the device is free.

        An interruption empties the queue, and with it the wait of all that stood in it; so a stage that was
        interrupted is begun again whole. What was timed before stays in the log and counts.
        """
        missing = self._missing(stage)
        if not missing:
            return
        self._enter(stage, rate)
        between = gaps(stage.name, stage.studies, rate, self.suite.seed)
        origin, due = self.clock.now(), 0.0
        try:
            for number in missing:
                due += float(between[number])
                left = origin + due - self.clock.now()
                if left > _PAUSE_S and self.clock.now() - self.written > _KEPT_S:
                    self._write(stage)
                    left = origin + due - self.clock.now()
                while left > 0:  # a sleep may end early
                    self.clock.sleep(left)
                    left = origin + due - self.clock.now()
                self._time(stage, number, origin, due)
        finally:
            self._write(stage)

    def _time(self, stage: Stage, number: int, origin: float, due: float) -> None:
        place = stage.study(number, len(self.studies))
        began = self.clock.now()
        due_s, began_s = round(due, 6), round(max(began - origin, due), 6)
        self.journal.asking(stage.name, number, place, due_s, began_s)
        outcome, ended = self._ask(self.studies[place])
        account = outcome.account
        asked = Asked(
            number=number,
            study=place,
            session=self.session,
            due_s=due_s,
            began_s=began_s,
            ended_s=round(ended - origin, 6),
            # Until it is known how long a new process takes to start: as long as it may.
            ready_s=round(ended - origin + self.suite.execution.start_timeout_s, 6),
            status=outcome.status.value,
            phases_s=dict(account.get("phases_s", {})),
            tokens=dict(account.get("tokens", {})),
        )
        if outcome.status in _DEAD:  # starting takes long, and may be interrupted
            self.journal.answered(stage.name, _plain(asked))
        asked = replace(asked, ready_s=round(self._ready(outcome) - origin, 6))
        self.journal.answered(stage.name, _plain(asked))
        self.waiting.append(asked)
        self.asked[stage.name].append(asked)
        late = self.clock.now() - self.written > _KEPT_S
        # What a lost disk could take away is written at once where it is the worst so far.
        if late or not asked.ok or asked.latency_s > self.slowest or len(self.waiting) >= _BATCH:
            self._write(stage)
        self.slowest = max(self.slowest, asked.latency_s if asked.ok else 0.0)
        self._go_on()
        self.progress(self._told(stage), len(self.asked[stage.name]), stage.studies)

    def _ask(self, study: Study) -> tuple[Outcome, float]:
        """The outcome, and when it came."""
        outcome = self.server.ask(study)
        ended = self.clock.now()
        self.account = outcome.account or self.account
        for name in ("host_peak_bytes", "gpu_peak_bytes"):
            if name in outcome.account:
                self.peaks[name] = max(self.peaks.get(name, 0), int(outcome.account[name]))
        return outcome, ended

    def _ready(self, outcome: Outcome) -> float:
        """When the next study can be asked: at once, or after a new process has started."""
        if outcome.status in _DEAD:
            try:
                self.server.start()
            except CandidateError as error:  # once this study's time is in the log
                self.broken = error
        ready = self.clock.now()
        if used := self.probe.used_bytes():
            self.peaks["gpu_used_bytes"] = max(self.peaks.get("gpu_used_bytes", 0), used)
        return ready

    def _go_on(self) -> None:
        """Stops where the candidate could not be started again."""
        if self.broken is not None:
            raise self.broken

    def _missing(self, stage: Stage) -> list[int]:
        done = {item.number for item in self.asked[stage.name]}
        return [number for number in range(stage.studies) if number not in done]

    def _enter(self, stage: Stage, rate: float | None) -> None:
        self._look_at_clock()
        self.log.append("stage", stage=stage.name, session=self.session, rate_per_hour=rate)

    def _write(self, stage: Stage) -> None:
        if self.waiting:
            records = [_plain(item) for item in self.waiting]
            self.log.append(
                "times", stage=stage.name, session=self.session, records=records, peaks=dict(self.peaks)
            )
            self.waiting = []
            self._look_at_clock()
        self.written = self.clock.now()

    def _look_at_clock(self) -> None:
        if jump := self.watch.look():
            self.log.append("clock", session=self.session, **jump)

    def _told(self, stage: Stage) -> str:
        if stage.name == CLOSED:
            return "one at a time"
        return f"{stage.rate_per_hour:g}/h" if stage.rate_per_hour else f"{stage.load:g} of capacity"


def _whole(stage: Stage, asked: list[Asked]) -> bool:
    return {item.number for item in asked if item.status != LOST} == set(range(stage.studies))


def _plain(item: Asked) -> dict[str, Any]:
    return {key: value for key, value in asdict(item).items() if key != "session" and value != {}}
