"""A simulated candidate on a clock that only moves when told, and latency runs on both."""

import contextlib
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from harness.candidates.base import Candidate
from harness.cohorts.base import Cohort
from harness.latency.device import Device
from harness.latency.run import Instruments, LatencyRequest, execute
from harness.outcome import Outcome, Status
from harness.study import Case, Reference, Study

A10G = Device("NVIDIA A10G", "gpu", 24_146_608_128, "535.183.01", 300.0, False, 1, "a host", "NVML")
H100 = Device("NVIDIA H100 80GB HBM3", "gpu", 85_520_809_984, "550.54", 700.0, False, 1, "a host", "NVML")


class FakeClock:
    """Seconds pass when something waits or works; the wall clock can be set."""

    def __init__(self):
        self.time, self.offset = 1000.0, 1.7e9

    def now(self):
        return self.time

    def wall(self):
        return self.time + self.offset

    def sleep(self, seconds):
        self.time += max(seconds, 1e-6)


@dataclass
class FakeServer:
    """Takes so many seconds a study, by number of request; "late", "died" or another status fails."""

    clock: FakeClock
    service: object
    """Number of the request (warm-up included) -> seconds, or (seconds, status)."""
    load_s: float = 2.0
    timeout_s: float = 30.0
    pid: int = 4711
    asked: int = 0
    starts: int = 0
    seen: list = field(default_factory=list)

    def start(self):
        self.starts += 1
        self.clock.time += self.load_s

    def ask(self, study):
        answer = self.service(self.asked)
        self.asked += 1
        self.seen.append(study.study_id)
        seconds, status = answer if isinstance(answer, tuple) else (answer, Status.OK)
        if seconds > self.timeout_s:
            seconds, status = self.timeout_s, Status.LATE
        self.clock.time += seconds
        account = {"host_peak_bytes": 10**9}
        if status is Status.OK:
            phases = {"preprocessing": 0.1, "inference": 0.3, "decoding": 0.5, "formatting": 0.05}
            account["phases_s"] = {name: share * seconds for name, share in phases.items()}
            account["tokens"] = {"read": 100, "written": 50}
        return Outcome(study.study_id, status, None, "", seconds, account)

    def stop(self):
        pass


@dataclass
class FakeProbe:
    found: Device = A10G

    def before(self):
        pass

    def device(self, pid, account):
        return self.found

    def used_bytes(self):
        return 5 * 10**9 if self.found.kind == "gpu" else 0


class Nothing(Cohort):
    """Studies without pictures."""

    name = "nothing"
    labels_source = "none"
    exclusions = ()

    def __init__(self, studies):
        self.ids = [f"s{k:05d}" for k in range(studies)]
        self.eligible = studies

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return Case(Study(self.ids[index], ()), f"p{index}", Reference())

    def study_ids(self):
        return list(self.ids)

    def patient_ids(self):
        return [f"p{k}" for k in range(len(self.ids))]


class Simulated(Candidate):
    name = "simulated"

    def digest(self):
        return "5" * 64

    def report(self, study):
        raise AssertionError("the server answers")


def suite_of(closed=300, steps=(), criteria=None, warm_up=3, **changes):
    """The text of a latency suite."""
    data = {
        "name": "timed", "version": 1, "kind": "latency", "seed": 7, "warm_up": warm_up,
        "target": {"device": "NVIDIA A10G", "memory_gb": 24, "driver": "535", "power_limit_w": 300},
        "execution": {"timeout_s": 30, "start_timeout_s": 60},
        "closed": {"studies": closed},
        "criteria": criteria or [
            {"id": "p50", "value": "p50", "below_s": 5},
            {"id": "p99", "value": "p99", "below_s": 15},
            {"id": "maximum", "value": "maximum", "below_s": 30},
            {"id": "throughput", "value": "throughput", "at_least_per_hour": 200},
        ],
    }  # fmt: skip
    if steps:
        data["open"] = {"steps": list(steps)}
    return yaml.safe_dump({**data, **changes}, sort_keys=False)


def timed(folder: Path, service, text=None, *, studies=2000, device=A10G, clock=None, server=None):
    """Runs a latency suite on a simulated candidate; returns the ledger."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "suite.yaml"
    path.write_text(text or suite_of(), encoding="utf-8")
    clock = clock or FakeClock()
    if not callable(service):
        values = itertools.cycle(np.asarray(service).tolist()) if np.ndim(service) else None
        constant = service
        service = (lambda _: next(values)) if values else (lambda _: constant)
    server = server or FakeServer(clock, service)
    request = LatencyRequest(path, Nothing(studies), "nothing:", Simulated(), "simulated", folder / "run")
    return execute(request, instruments=Instruments(server, clock, FakeProbe(device)))


def statuses(ledger):
    """Criterion -> status."""
    return {item["id"]: item["status"] for item in ledger.results()["verdict"]["decisions"]}


def stage(ledger, name):
    """What was found of a stage."""
    return next(item for item in ledger.results()["stages"] if item["stage"] == name)


@contextlib.contextmanager
def edited_log(ledger):
    """The entries of a log, to be changed as one who can also make a new chain would."""
    from harness.chain import Chain

    path = ledger.root / "log.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    yield entries
    path.unlink()
    path.with_name("log.head.json").unlink()
    chain = Chain(path)
    for entry in entries:
        known = ("seq", "time", "event", "previous", "digest", "anchored")
        chain.append(entry["event"], **{key: value for key, value in entry.items() if key not in known})
