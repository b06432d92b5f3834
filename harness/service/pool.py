"""Worker processes that hold a candidate, for callers in threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

from harness.candidates.base import Candidate
from harness.engines.local import Worker
from harness.engines.worker import Batch
from harness.errors import CandidateError
from harness.outcome import Outcome, Status
from harness.study import Study

_AGAIN_S = 5.0
"""Between two attempts to start a worker that does not come up."""
_LOST = (Status.LATE, Status.DIED)
"""Of a whole batch: which study did it shows when each is asked alone."""


class NoWorker(Exception):  # noqa: N818 - an answer, not a defect
    """No worker became free in time; nobody was asked."""


class Pool:
    """A candidate in worker processes. One that is late or dies is replaced, behind the answer's back.

    Args:
        candidate: who is asked.
        workers: processes.
        timeout_s: seconds for a batch, and again for each of its studies alone where the batch was late or
            the worker died over it.
        start_timeout_s: seconds for loading; and for a worker to come back, before a study of such a batch is
            asked alone.
    """

    def __init__(
        self,
        candidate: Candidate,
        *,
        workers: int = 1,
        timeout_s: float = 30.0,
        start_timeout_s: float = 600.0,
    ) -> None:
        self.candidate, self.timeout_s, self._start_timeout_s = candidate, timeout_s, start_timeout_s
        self._workers = [Worker(candidate) for _ in range(workers)]
        self._idle: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
        """None is the last: the pool was stopped."""
        self._down: set[int] = set()
        self._stopping = threading.Event()
        self._ending = threading.Lock()

    @property
    def size(self) -> int:
        """Processes."""
        return len(self._workers)

    @property
    def up(self) -> int:
        """Processes that can be asked, or are at work."""
        return self.size - len(self._down)

    def start(self) -> None:
        """Loads the candidate in every worker.

        Raises:
            CandidateError: it does not load.
        """
        try:
            for worker in self._workers:
                worker.start(self._start_timeout_s)
                self._idle.put(worker)
        except CandidateError:
            self.stop()
            raise

    def ask(self, studies: Sequence[Study], template: str | None = None) -> list[Outcome]:
        """The outcomes, in order. One bad study fails alone.

        Raises:
            NoWorker: none became free within `timeout_s`, none came back within `start_timeout_s`, or the
                pool was stopped.
        """
        outcomes = self._once(studies, template, self.timeout_s)
        if len(studies) == 1:
            return outcomes
        return [
            self._once([study], template, self._start_timeout_s)[0] if outcome.status in _LOST else outcome
            for study, outcome in zip(studies, outcomes, strict=True)
        ]

    def stop(self) -> None:
        """Ends every process."""
        self._stopping.set()
        self._idle.put(None)
        for worker in self._workers:
            self._end(worker)

    def _end(self, worker: Worker) -> None:
        with self._ending:  # closed twice at once, its pipe's number may be another's already
            worker.stop()

    def _once(self, studies: Sequence[Study], template: str | None, patience_s: float) -> list[Outcome]:
        try:
            worker = self._idle.get(timeout=patience_s)
        except queue.Empty:
            raise NoWorker from None
        if worker is None:
            self._idle.put(None)  # for the next one that waits
            raise NoWorker
        try:
            return worker.ask(Batch(tuple(studies), template), self.timeout_s)
        finally:  # whatever happened, it comes back
            if worker.lost:
                self._down.add(id(worker))
                threading.Thread(target=self._replace, args=(worker,), daemon=True).start()
            else:
                self._idle.put(worker)

    def _replace(self, worker: Worker) -> None:
        self._end(worker)
        while not self._stopping.is_set():
            try:
                worker.start(self._start_timeout_s)
            except Exception:  # whatever it is, the pool is one worker short until a start succeeds
                self._end(worker)
                self._stopping.wait(_AGAIN_S)
                continue
            if self._stopping.is_set():
                self._end(worker)
                return
            self._down.discard(id(worker))
            self._idle.put(worker)
            return
