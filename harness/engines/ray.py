"""Runs a candidate on a Ray cluster: an actor for each GPU, or for each core where there is none."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from harness.candidates.base import Candidate
from harness.digests import code_digest
from harness.engines.base import Item, Result
from harness.engines.ray_worker import RayWorker
from harness.engines.worker import READY
from harness.errors import CandidateError, EngineError, HarnessError
from harness.outcome import Outcome, Status
from harness.study import Study

OLDEST: Final = (2, 40)
"""The oldest Ray that this was written for."""
BATCH: Final = 4
"""Studies handed over at a time: enough that Ray's own work is small beside a study's 50 ms."""
AHEAD: Final = 2
"""Batches that an actor has in its hands, so that it never waits for the next one."""
TRIES: Final = 3
"""Workers that may be lost over one study, and starts that may fail in a row."""


@dataclass(frozen=True, slots=True)
class RayEngine:
    """A cluster that is there already; none is started.

    Args:
        address: as `ray.init` takes it: `HOST:PORT`, `ray://HOST:PORT`, or `auto` for the cluster of
            this machine or of RAY_ADDRESS.
        workers: actors at most; None for one a GPU, or one a core where the cluster has no GPU.
    """

    address: str = "auto"
    workers: int | None = None

    def ask(
        self,
        candidate: Candidate,
        studies: Iterable[Study],
        *,
        timeout_s: float,
        start_timeout_s: float,
    ) -> Iterator[Outcome]:
        """One outcome a study, in any order; as `harness.engines.base.Engine`.

        A study whose actor or node is lost is asked again, by itself, elsewhere. One over which
        `TRIES` workers were lost has died like one that ends its process.

        Raises:
            CandidateError: the candidate cannot be prepared anywhere.
            EngineError: no worker is left.
            HarnessError: Ray is missing or too old, or the cluster cannot be joined.
        """
        ray, ours = connect(self.address)
        try:
            run = _Run(ray, candidate, iter(studies), timeout_s, start_timeout_s)
            yield from run.outcomes(self.workers)
        finally:
            if ours:
                ray.shutdown()

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], *, heavy: bool) -> Iterator[Result]:
        """`work` of every item, in order; where an actor or node is lost, Ray does its items again.

        Raises:
            HarnessError: as `work`, or as `ask`. EngineError: a worker failed, or none is left.
        """
        ray, ours = connect(self.address)
        actors: list[Any] = []
        try:
            count, resources = _places(ray, self.workers)
            # Pure work may be done twice: what is written is what comes back here, once.
            remote = ray.remote(**resources, max_restarts=-1, max_task_retries=TRIES)(_Reader)
            actors += [remote.remote(work) for _ in range(count)]
            waiting: deque[Any] = deque()
            for number, item in enumerate(items):
                if len(waiting) == AHEAD * count:
                    yield _got(ray, waiting.popleft())
                waiting.append(actors[number % count].read.remote(item))
            while waiting:
                yield _got(ray, waiting.popleft())
        finally:
            for actor in actors:
                with contextlib.suppress(Exception):
                    ray.kill(actor)
            if ours:
                ray.shutdown()


class _Reader:
    """An actor that holds annotators."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work

    def read(self, item: Any) -> Any:
        return self._work(item)


def _got(ray: Any, ref: Any) -> Any:
    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, HarnessError):
            raise error.cause from None
        raise EngineError(f"reading reports failed: {type(error.cause).__name__}") from None
    except ray.exceptions.RayError as error:
        raise EngineError(
            f"a worker that read reports was lost: {type(error).__name__}; give the same command again"
        ) from None


def _places(ray: Any, workers: int | None) -> tuple[int, dict[str, int]]:
    """How many actors there are room for, and what each takes."""
    found = ray.cluster_resources()
    gpus, cores = int(found.get("GPU", 0)), int(found.get("CPU", 1))
    room = gpus or max(1, cores)  # one for which there is no room would be waited for
    return min(workers or room, room), {"num_cpus": 1, "num_gpus": 1 if gpus else 0}


def connect(address: str) -> tuple[Any, bool]:
    """The module `ray`, joined to a cluster, and whether it was joined here.

    Raises:
        HarnessError: Ray is missing or too old; no cluster answers; it has another version.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise HarnessError("the engine ray needs Ray; install it with: pip install 'harness[ray]'") from None
    if tuple(int(part) for part in ray.__version__.split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise HarnessError(
            f"Ray {ray.__version__} is too old, {oldest} or newer is needed: pip install 'harness[ray]'"
        )
    if ray.is_initialized():
        return ray, False
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except ConnectionError:
        raise HarnessError(
            f"no Ray cluster at {address}; start one with: ray start --head, and name it with --address"
        ) from None
    except (RuntimeError, ValueError) as error:  # another version, a malformed address
        told = " ".join(str(error).split())
        raise HarnessError(f"the Ray cluster at {address} cannot be joined: {told}") from None
    return ray, True


@dataclass(slots=True, eq=False)
class _Actor:
    handle: Any
    starting: Any
    """What comes of its start; None once it is ready."""
    hands: deque[tuple[Any, list[Study]]] = field(default_factory=deque)
    """Batches given to it, the first of which it is at."""
    alone: bool = False
    """It is at a study that was in a lost worker's hands, and gets no other."""

    def refs(self) -> list[Any]:
        return [self.starting] if self.starting is not None else [ref for ref, _ in self.hands]


@dataclass(slots=True, eq=False)
class _Run:
    ray: Any
    candidate: Candidate
    waiting: Iterator[Study]
    timeout_s: float
    start_timeout_s: float
    actors: list[_Actor] = field(default_factory=list)
    again: deque[Study] = field(default_factory=deque)
    """What lost workers had in their hands."""
    losses: Counter[str] = field(default_factory=Counter)
    """Study id -> workers that were lost while at it."""
    failures: int = 0
    """Starts that failed in a row."""
    reason: str = ""
    """Why the last worker was lost."""
    refused: str = ""
    """What the last node said that could not answer."""

    def outcomes(self, workers: int | None) -> Iterator[Outcome]:
        count, resources = _places(self.ray, workers)
        remote = self.ray.remote(**resources, max_restarts=0, max_task_retries=0)(RayWorker)
        told = (self.candidate, code_digest(), self.candidate.digest(), self.start_timeout_s)
        try:
            for _ in range(count):
                self._add(remote, told)
            alive = time.monotonic()
            while True:
                self._hand_out()
                refs = [ref for actor in self.actors for ref in actor.refs()]
                ready = any(actor.starting is None for actor in self.actors)
                if ready and not any(actor.hands for actor in self.actors):
                    return
                alive = time.monotonic() if ready else alive
                left = alive + self.start_timeout_s - time.monotonic()
                if not refs or left <= 0:
                    raise self._nobody()
                done, _ = self.ray.wait(refs, num_returns=1, timeout=None if ready else left)
                for actor in [item for item in self.actors if set(item.refs()) & set(done)]:
                    yield from self._take(actor, remote, told)
        finally:
            for actor in self.actors:
                with contextlib.suppress(Exception):  # an actor that is gone needs no stopping
                    if actor.starting is None and not actor.hands:
                        self.ray.get(actor.handle.stop.remote(), timeout=5)
                    self.ray.kill(actor.handle)

    def _add(self, remote: Any, told: tuple[Any, ...]) -> None:
        handle = remote.remote(*told)
        self.actors.append(_Actor(handle, handle.start.remote()))

    def _hand_out(self) -> None:
        """Gives every actor that is ready something to do, those with the least first.

        What a lost worker had in its hands is given by itself, to an actor with nothing else, so that no
        study is taken for one that takes its worker down because it lay beside it.
        """
        for depth in range(AHEAD):
            for actor in self.actors:
                if actor.starting is not None or len(actor.hands) != depth or (depth and actor.alone):
                    continue
                if self.again and depth:
                    continue
                actor.alone = bool(self.again)
                batch = [self.again.popleft()] if self.again else list(islice(self.waiting, BATCH))
                if not batch:
                    return
                actor.hands.append((actor.handle.answer.remote(batch, self.timeout_s), batch))

    def _take(self, actor: _Actor, remote: Any, told: tuple[Any, ...]) -> Iterator[Outcome]:
        """What an actor has done; where it is lost, another is started in its place."""
        errors = self.ray.exceptions
        ref = actor.refs()[0]
        try:
            answer = self.ray.get(ref)
        except errors.RayTaskError as error:
            if not isinstance(error.cause, OSError | HarnessError):
                raise EngineError(f"a worker failed with {type(error.cause).__name__}") from None
            # A full disk, or a candidate that does not load again, is that node's trouble.
            told_of = error.cause.strerror if isinstance(error.cause, OSError) else str(error.cause)
            yield from self._lose(actor, told_of or type(error.cause).__name__)
        except errors.RayError as error:
            yield from self._lose(actor, type(error).__name__)
        else:
            if actor.starting is None:
                actor.hands.popleft()
                yield from answer
                return
            if answer == READY:
                actor.starting, self.failures = None, 0
                return
            self.refused = self.reason = answer
            yield from self._lose(actor, answer)
        # Where starts fail again and again the others go on without it.
        if self.failures < TRIES and not self.refused:
            self._add(remote, told)

    def _lose(self, actor: _Actor, reason: str) -> Iterator[Outcome]:
        self.reason = reason
        self.actors.remove(actor)
        with contextlib.suppress(Exception):
            self.ray.kill(actor.handle)
        if actor.starting is not None:
            self.failures += 1
        for place, (_, batch) in enumerate(actor.hands):
            for study in batch:
                self.losses[study.study_id] += place == 0  # it was not yet at the batches behind
                if self.losses[study.study_id] < TRIES:
                    self.again.append(study)
                else:
                    yield Outcome(study.study_id, Status.DIED, None, f"{TRIES} workers were lost", 0.0)

    def _nobody(self) -> HarnessError:
        if self.refused:
            return CandidateError(f"no worker can answer: {self.refused}")
        told = f"; the last was lost: {self.reason}" if self.reason else ""
        return EngineError(
            f"no Ray worker was ready within {self.start_timeout_s:g} s{told}. Is there a free "
            "GPU or core? What is written stands: give the same command again"
        )
