"""The candidate in its own process, asked one study after another."""

from __future__ import annotations

from multiprocessing.connection import wait
from typing import Protocol

from harness.candidates.base import Candidate
from harness.engines.local import Worker
from harness.outcome import Outcome
from harness.study import Study


class Server(Protocol):
    """What answers studies; tests have their own, on their own clock."""

    @property
    def pid(self) -> int:
        """Of its process."""

    def start(self) -> None:
        """Starts a process and loads the candidate into it."""

    def ask(self, study: Study) -> Outcome:
        """One study's report, or what came instead."""

    def stop(self) -> None:
        """Ends the process."""


class ProcessServer:
    """A worker process as a run has it, with one thread for the processor's part of the work."""

    def __init__(self, candidate: Candidate, timeout_s: float, start_timeout_s: float) -> None:
        self._worker = Worker(candidate)
        self._timeout_s, self._start_timeout_s = timeout_s, start_timeout_s

    @property
    def pid(self) -> int:
        """Of the worker process."""
        return self._worker.process.pid or 0

    def start(self) -> None:
        """Starts it, in place of one that was there.

        Raises:
            CandidateError: the candidate does not load.
        """
        self._worker.restart(self._start_timeout_s)

    def ask(self, study: Study) -> Outcome:
        """Waits for the report, at most as long as the suite allows."""
        if not self._worker.give(study, self._timeout_s):
            return self._worker.take(late=False)
        return self._worker.take(late=not wait([self._worker.connection], self._timeout_s))

    def stop(self) -> None:
        """Ends it, whatever it is at."""
        self._worker.stop()
