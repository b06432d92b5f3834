"""A stream read in an order that a log remembers: a resume reads the same records up to the same look."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError, LedgerError
from harness.monitoring.records import Faults, Place
from harness.monitoring.stream import Stream

UNPLACED: Final = 0.01
"""Where a larger share of records belongs to no study or no time, what they would have said may decide."""


class Followed:
    """The lines of a stream, and how far they were read, as plain values for a log's entries."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self.stream, self.faults = Stream(path), faults
        self._content = hashlib.sha256()
        self._marked: dict[str, list[int]] = {}
        self._files: dict[str, tuple[int, int]] = {}
        """File -> device and inode, to tell one that was put in its place."""

    def lines(self) -> Iterator[tuple[Place, Any]]:
        """What is new.

        Raises:
            HarnessError: the stream is missing, was cut, or another file is in its place.
        """
        for path in self.stream.files():
            try:
                state = path.stat()
            except OSError as error:
                raise HarnessError(f"{path}: cannot be read: {error.strerror or error}") from None
            file = state.st_dev, state.st_ino
            if self._files.setdefault(path.name, file) != file and path.name in self._positions():
                raise HarnessError(f"{path}: is another file than the one that was read before")
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
        """Seconds since 1970; None before the third record: two cannot outvote a mad clock."""
        return statistics.median(self.last) if len(self.last) > 2 else None

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


class Seen:
    """Tells a record that came twice from one that says something else of the same study."""

    def __init__(self) -> None:
        self._contents: dict[tuple[str, str], set[bytes]] = {}

    def add(self, kind: str, study: str, value: Any, place: Place, faults: Faults) -> bool:
        """Whether a record is to be used: a copy of an earlier one is not. Counts both as faults."""
        content = hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).digest()[:8]
        before = self._contents.setdefault((kind, study), set())
        if content in before:
            faults.add("duplicate", place)
            return False
        if before:
            faults.add("a later record differs; the worse counts", place)
        before.add(content)
        return True
