"""A stream read in an order that a log remembers: a resume reads the same records up to the same look."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import LedgerError
from harness.monitoring.records import Faults, Place
from harness.monitoring.stream import Stream


class Followed:
    """The lines of a stream, and how far they were read, as plain values for a log's entries."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self.stream, self.faults = Stream(path), faults
        self._content = hashlib.sha256()
        self._marked: dict[str, list[int]] = {}

    def lines(self) -> Iterator[tuple[Place, Any]]:
        """What is new.

        Raises:
            HarnessError: the stream is missing, or was cut.
        """
        yield from self._lines(None)

    def again(self, entry: dict[str, Any]) -> Iterator[tuple[Place, Any]]:
        """What was read before `mark` gave this entry, and after the one before it.

        Raises:
            LedgerError: it is no longer what it was.
        """
        yield from self._lines({name: offset for name, (offset, _) in entry["read"].items()})
        if self._content.hexdigest() != entry["content"]:
            raise LedgerError(
                f"{self.stream.path}: the records up to line {entry['seq'] + 1} of the log are not those "
                "that were read then; put the stream back as it was"
            )
        self._marked = entry["read"]

    def mark(self) -> dict[str, Any]:
        """How far it was read, and a digest of all that was."""
        self._marked = self._positions()
        return {"read": self._marked, "content": self._content.hexdigest()}

    @property
    def moved(self) -> bool:
        """Whether something was read since the last mark."""
        return self._positions() != self._marked

    def _positions(self) -> dict[str, list[int]]:
        found = {name: [at.offset, at.line] for name, at in sorted(self.stream.positions.items())}
        return {name: at for name, at in found.items() if at[0]}

    def _lines(self, until: dict[str, int] | None) -> Iterator[tuple[Place, Any]]:
        for place, value in self.stream.lines(self.faults, until):
            self._content.update(json.dumps(value, sort_keys=True, default=str).encode())
            yield place, value


class Clock:
    """The stream's own time: the median of its last five records, so that one mad clock moves nothing."""

    def __init__(self, ahead: float) -> None:
        self.last: deque[float] = deque(maxlen=5)
        self.ahead = ahead
        """Seconds off the stream's time that show a wrong clock."""

    @property
    def now(self) -> float | None:
        """Seconds since 1970; None before the first record."""
        return statistics.median(self.last) if self.last else None

    def take(self, time: float, place: Place, faults: Faults) -> float:
        """Takes in a record's time; returns it, or the stream's own where it cannot be true."""
        if self.last and time < self.last[-1]:
            faults.add("clock went back", place)
        self.last.append(time)
        now = statistics.median(self.last)
        if len(self.last) > 2 and abs(time - now) > self.ahead:
            faults.add("clock far from the stream's time", place)
            return now
        return time
