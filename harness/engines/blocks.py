"""Work on blocks of studies in processes of this machine, results in the order of the blocks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final, TypeVar

from harness.errors import EngineError, HarnessError

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW: Final = 4
"""Blocks that are done before another process would be up."""

_SPAWN = multiprocessing.get_context("spawn")


def map_blocks(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`work` of every item, in order; at most one item a worker is held.

    Args:
        work: a pure function that can be pickled.
        items: taken as they are needed.
        workers: processes; with 1, or few items, it is done in this one.

    Raises:
        HarnessError: as `work`. EngineError: a process died, or failed otherwise.
    """
    rest = iter(items)
    first = list(islice(rest, FEW + 1))
    if workers == 1 or len(first) <= FEW:
        yield from map(work, chain(first, rest))
        return
    pool: list[tuple[Connection, SpawnProcess]] = []
    try:
        for _ in range(workers):
            ours, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=_serve, args=(work, theirs), daemon=True)
            process.start()
            theirs.close()
            pool.append((ours, process))
        idle, busy = deque(pool), deque[tuple[Connection, SpawnProcess]]()
        for item in chain(first, rest):
            if not idle:
                worker = busy.popleft()
                yield _result(*worker)
                idle.append(worker)
            worker = idle.popleft()
            try:
                worker[0].send(item)
            except (BrokenPipeError, ConnectionResetError):
                _result(*worker)
            busy.append(worker)
        while busy:
            yield _result(*busy.popleft())
    finally:
        for connection, process in pool:
            connection.close()
            process.kill()
            process.join()


def _result(connection: Connection, process: SpawnProcess) -> Any:
    try:
        kind, answer = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        raise EngineError(
            f"a process that read reports died (exit code {process.exitcode}); out of memory? "
            "What is written stands: give the same command again"
        ) from None
    if kind == "done":
        return answer
    raise (HarnessError if kind == "refused" else EngineError)(answer)


def _serve(work: Callable[[Any], Any], connection: Connection) -> None:
    """Answers until the pipe closes, as it does when the other process ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process is told, and ends this one
    os.dup2(sys.stderr.fileno(), 1)
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[str, Any] = ("done", work(item))
        except HarnessError as error:
            answer = ("refused", str(error))
        except Exception as error:  # its message may hold words of a report
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
            answer = ("failed", f"reading reports failed: {type(error).__name__} at {place}")
        connection.send(answer)
