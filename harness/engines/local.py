"""Runs a candidate in worker processes of this machine, each study under a time limit."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

from harness.candidates.base import Candidate
from harness.engines.base import Item, Result
from harness.engines.blocks import map_blocks
from harness.engines.frames import read
from harness.engines.worker import READY, Batch, serve
from harness.errors import CandidateError
from harness.outcome import Outcome, Status
from harness.report import Report
from harness.study import Study

_SPAWN = multiprocessing.get_context("spawn")
"""Forking a process that has threads (torch, pyarrow) can hang; a spawned one starts clean."""
_REST_S: Final = 2.0
"""At least so long has the rest of an answer that has begun to come. One that was given in time waits in
the worker for this process, which may have been at something else until after the deadline."""


def run_local(
    candidate: Candidate,
    studies: Iterable[Study],
    *,
    workers: int = 1,
    timeout_s: float = 30.0,
    start_timeout_s: float = 600.0,
) -> Iterator[Outcome]:
    """Asks for every study's report; yields outcomes as they come, one a study.

    A worker that is late or dies is replaced; its study is an outcome like any other. The
    candidate never runs in this process.

    Raises:
        CandidateError: the candidate cannot be prepared at all.
    """
    rest = iter(studies)
    first = list(islice(rest, max(1, workers)))
    pool, waiting = [Worker(candidate) for _ in first], chain(first, rest)
    after = next(waiting, None)  # at hand before a worker is free for it
    try:
        for worker in pool:
            worker.start(start_timeout_s)
        idle, busy = list(pool), dict[Connection, Worker]()
        found: list[Outcome] = []
        while True:
            while idle and after is not None:
                study, worker = after, idle.pop()
                if not worker.give(study, timeout_s):  # it died while it had nothing to do
                    worker.restart(start_timeout_s)
                    worker.give(study, timeout_s)
                busy[worker.connection] = worker
                after = next(waiting, None)
            # Only now, so that the candidate works on while the caller writes these down.
            yield from found
            found = []
            if not busy:
                return
            until = min(worker.deadline for worker in busy.values())
            ready = wait(list(busy), timeout=max(0.0, until - time.monotonic()))
            now = time.monotonic()
            for connection, worker in list(busy.items()):
                if connection not in ready and now < worker.deadline:
                    continue
                late = connection not in ready
                outcome = worker.take(late)
                del busy[connection]
                if worker.lost:
                    worker.restart(start_timeout_s)
                idle.append(worker)
                found.append(outcome)
    finally:
        for worker in pool:
            worker.stop()


@dataclass(slots=True, eq=False)
class Worker:
    """A process that holds a candidate and answers one study, or one batch, after another."""

    candidate: Candidate
    process: SpawnProcess = field(init=False)
    connection: Connection = field(init=False)
    study_id: str = ""
    began: float = 0.0
    deadline: float = float("inf")
    lost: bool = False
    """It was asked and gave no answer: it hangs, stopped in the middle, or is no more."""

    def start(self, limit_s: float) -> None:
        """Starts the process and waits until the candidate is loaded.

        Raises:
            CandidateError: it cannot be sent there, does not load, or not within the limit.
        """
        self.lost = False
        self.connection, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=serve, args=(self.candidate, theirs), daemon=True)
        try:
            self.process.start()
        except (TypeError, AttributeError) as error:  # what pickle raises for what it cannot take
            raise CandidateError(
                f"candidate {self.candidate.name} cannot be sent to a worker process: {error}; "
                "keep open files and loaded weights out of its constructor"
            ) from None
        theirs.close()
        try:
            message = read(self.connection, time.monotonic() + limit_s)
        except TimeoutError:
            raise CandidateError(
                f"candidate {self.candidate.name} was not ready after {limit_s:g} s; raise "
                "execution.start_timeout_s if it needs longer to load"
            ) from None
        except (EOFError, OSError):
            raise CandidateError(
                f"candidate {self.candidate.name} died while loading ({self._exit()}); out of memory?"
            ) from None
        if message != READY:
            raise CandidateError(f"candidate {self.candidate.name} does not load: {message}")

    def give(self, study: Study, timeout_s: float) -> bool:
        """Hands a study over; False where the process is no more."""
        self.study_id = study.study_id
        self.began = time.monotonic()
        self.deadline = self.began + timeout_s
        try:
            self.connection.send(study)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def take(self, late: bool) -> Outcome:
        """What came of it; it must be restarted where it is `lost` then."""
        self.lost = True
        if late:
            return self._without_answer(Status.LATE, "")
        try:
            told = read(self.connection, max(self.deadline, time.monotonic() + _REST_S))
        except TimeoutError:
            return self._without_answer(Status.LATE, "")
        except (EOFError, OSError):
            return self._without_answer(Status.DIED, self._exit())
        self.lost = False
        status, answer, error, account, finished = told
        # By the clock that all processes of a machine share: whether an answer is late, and how long it took,
        # does not hang on when this process came to read it.
        if finished > self.deadline:
            return Outcome(self.study_id, Status.LATE, None, "", finished - self.began)
        report = Report.model_validate_json(answer) if answer else None
        return Outcome(self.study_id, Status(status), report, error, finished - self.began, account)

    def ask(self, batch: Batch, timeout_s: float) -> list[Outcome]:
        """Hands a batch over and waits for it: an outcome for each study, in order.

        Where the whole batch is late, or the process died, no one can tell which study did it: each
        outcome says so, and the worker is `lost` and must be restarted.
        """
        self.lost = True
        began = time.monotonic()

        def all_of(status: Status, reason: str) -> list[Outcome]:
            taken = time.monotonic() - began
            return [Outcome(study.study_id, status, None, reason, taken) for study in batch.studies]

        try:
            self.connection.send(batch)
            answers = read(self.connection, began + timeout_s)
        except TimeoutError:
            return all_of(Status.LATE, "")
        except (EOFError, OSError):
            return all_of(Status.DIED, self._exit())
        self.lost = False
        taken = time.monotonic() - began
        return [
            Outcome(
                study.study_id, status, Report.model_validate_json(answer) if answer else None, error, taken
            )
            for study, (status, answer, error) in zip(batch.studies, answers, strict=True)
        ]

    def _without_answer(self, status: Status, reason: str) -> Outcome:
        return Outcome(self.study_id, status, None, reason, time.monotonic() - self.began)

    def _exit(self) -> str:
        """How the process ended; one that only closed its end of the pipe lives on."""
        self.process.join(_REST_S)
        return f"exit code {self.process.exitcode}"

    def restart(self, limit_s: float) -> None:
        """Ends the process and starts another, as `start` does."""
        self.stop()
        self.start(limit_s)

    def stop(self) -> None:
        """Ends the process, whatever it is at."""
        with contextlib.suppress(AttributeError, OSError):  # never started
            self.connection.close()
        if (process := getattr(self, "process", None)) is not None and process.pid:
            process.kill()
            process.join()


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Worker processes of this machine."""

    workers: int = 1

    def ask(
        self,
        candidate: Candidate,
        studies: Iterable[Study],
        *,
        timeout_s: float,
        start_timeout_s: float,
    ) -> Iterator[Outcome]:
        """As `run_local`."""
        return run_local(
            candidate,
            studies,
            workers=self.workers,
            timeout_s=timeout_s,
            start_timeout_s=start_timeout_s,
        )

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], *, heavy: bool) -> Iterator[Result]:
        """As `map_blocks`; in this process where it is heavy."""
        return map_blocks(work, items, 1 if heavy else self.workers)


def default_workers() -> int:
    """One worker a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
