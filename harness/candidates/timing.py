"""Where a candidate's time goes: a stopwatch that it may fill, and that costs nothing where none runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal, get_args

Phase = Literal["preprocessing", "inference", "decoding", "formatting"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
"""From pictures and words to the model's input; through the encoders; token by token; to a report."""

_RUNNING: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


class Stopwatch:
    """Seconds of each phase of one study, each counted once: a phase within another stops the outer."""

    def __init__(self) -> None:
        self.seconds: dict[Phase, float] = {}
        self.tokens: dict[str, int] = {}
        self._open: list[Phase] = []
        self._since = time.perf_counter()

    @contextmanager
    def running(self) -> Iterator[Stopwatch]:
        """Within it, `phase` and `count_tokens` fill this stopwatch."""
        before = _RUNNING.set(self)
        try:
            yield self
        finally:
            _RUNNING.reset(before)

    def turn(self, to: Phase | None) -> None:
        """Ends the stretch that ran so far; a phase opens, None closes the innermost."""
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now
        if to is None:
            self._open.pop()
        else:
            self._open.append(to)

    def account(self) -> dict[str, Any]:
        """Plain values: `phases_s`, and `tokens` of what was counted; empty where nothing was told."""
        told: dict[str, Any] = {}
        if self.seconds:
            told["phases_s"] = {name: round(seconds, 6) for name, seconds in self.seconds.items()}
        if self.tokens:
            told["tokens"] = dict(self.tokens)
        return told


@contextmanager
def phase(name: Phase) -> Iterator[None]:
    """What runs within it counts to this phase of the study at hand.

    Work that a GPU does behind the caller's back counts where the caller waits for it.

    Raises:
        ValueError: no such phase.
    """
    if name not in PHASES:
        raise ValueError(f"{name!r} is no phase; phases are {', '.join(PHASES)}")
    watch = _RUNNING.get()
    if watch is None:
        yield
        return
    watch.turn(name)
    try:
        yield
    finally:
        watch.turn(None)


def count_tokens(*, read: int, written: int) -> None:
    """How many tokens the language model read (pictures and prompt) and wrote for the study at hand."""
    watch = _RUNNING.get()
    if watch is not None:
        for name, number in (("read", read), ("written", written)):
            watch.tokens[name] = watch.tokens.get(name, 0) + number
