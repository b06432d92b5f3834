"""Records to windows of event time, whatever their clocks and their order."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from harness.monitoring.records import Faults, Place, Record

_CLOCK: Final = 5
"""The stream's time is the median of so many records: one mad clock among them closes no window."""
REMEMBERED: Final = 500_000
"""Records of the past among which duplicates are told."""


@dataclass(slots=True)
class Windows:
    """Where each record is judged, and which windows are over.

    Window i spans `[i * length, (i + 1) * length)` seconds since 1970; so many of them make a period.
    A window is over when the stream's time has passed its end by `lateness`. A record whose own window
    is over ("late"), or lies more than `ahead` before the stream's time ("ahead"), is judged in the
    oldest window that is still open: nothing is left out for its clock. Duplicates are; one that says
    otherwise than its study's first record is a contradiction. `faults` counts, by window, what was late,
    ahead, contradicted, or could not be placed in any.
    """

    length: float
    per_period: int
    lateness: float
    ahead: float
    next: int | None = None
    """The oldest open window; None until there are records enough to tell the time by."""
    first: list[Record] = field(default_factory=list)
    """Those records, until then."""
    clock: deque[float] = field(default_factory=lambda: deque(maxlen=_CLOCK))
    open: dict[int, list[Record]] = field(default_factory=dict)
    """Window -> its records so far; it also holds those that are over, to the end of their period."""
    strayed: dict[str, dict[int, int]] = field(default_factory=dict)
    """File -> offset -> window, of records in `open` that are not in the window of their own time."""
    seen: dict[bytes, bytes] = field(default_factory=dict)
    """Keys and contents of the last records of periods that are over, oldest first."""
    keys: dict[bytes, bytes] = field(default_factory=dict)
    """Keys and contents of the records in `open`."""
    faults: dict[int, Counter[str]] = field(default_factory=dict)
    """Open window -> faults that came while it was the stream's present, by kind."""
    early: Counter[str] = field(default_factory=Counter)
    """Those that came before the first window."""

    def add(self, record: Record, faults: Faults) -> None:
        """Puts a record into its window, or counts it as a duplicate."""
        before = self.keys.get(record.key, self.seen.get(record.key))
        if before is not None:
            if before == record.content:
                faults.add("duplicate", record.place)
            else:
                faults.add("says otherwise than an earlier record of its study", record.place)
                self.fault("contradicted")
            return
        if self.clock and record.time < self.clock[-1]:
            faults.add("clock went back", record.place)
        self.clock.append(record.time)
        now = statistics.median(self.clock)
        if self.next is not None:
            self._place(record, now, faults)
            return
        self.first.append(record)
        self.keys[record.key] = record.content
        if len(self.first) == _CLOCK:
            sane = [one.time for one in self.first if abs(one.time - now) <= self.ahead]
            self.next = int(min(sane) // self.length)
            for one in self.first:
                self._place(one, now, faults)
            self.first = []
            if self.early:
                self.faults.setdefault(self.next, Counter()).update(self.early)
                self.early = Counter()

    def fault(self, kind: str, number: int = 1) -> None:
        """Counts faults in the window in which the stream's time lies."""
        if self.next is None:
            self.early[kind] += number
        else:
            now = int(statistics.median(self.clock) // self.length) if self.clock else self.next
            self.faults.setdefault(max(self.next, now), Counter())[kind] += number

    def _place(self, record: Record, now: float, faults: Faults) -> None:
        assert self.next is not None  # noqa: S101 - the caller knows the time
        window = own = int(record.time // self.length)
        if own < self.next:
            faults.add("late", record.place)
            window = self.next
            self.faults.setdefault(window, Counter())["late"] += 1
        elif record.time > now + self.ahead:
            faults.add("ahead of the stream's time", record.place)
            window = max(self.next, int(now // self.length))
            self.faults.setdefault(window, Counter())["ahead"] += 1
        self._put(record, window)

    def refill(self, record: Record) -> None:
        """Puts back a record that had been taken before the log was last written."""
        assert self.next is not None  # noqa: S101 - there was an entry
        if record.key in self.seen or record.key in self.keys:
            return
        window = self.strayed.get(record.place.file, {}).get(record.place.offset)
        if window is None:
            window = int(record.time // self.length)
            if window < self.period_start(self.next):
                return  # judged, and its period is over
        self._put(record, window)

    def over(self) -> int | None:
        """The oldest open window, if it is over."""
        if self.next is None or not self.clock:
            return None
        end = (self.next + 1) * self.length
        return self.next if statistics.median(self.clock) >= end + self.lateness else None

    def period_start(self, window: int) -> int:
        """The first window of the period that a window lies in."""
        return window - window % self.per_period

    def period(self, window: int) -> list[Record]:
        """All records of the period that ends with this window."""
        return [
            record
            for place in range(self.period_start(window), window + 1)
            for record in self.open.get(place, [])
        ]

    def close(self) -> list[tuple[bytes, bytes]]:
        """Ends the oldest open window; where a period ends with it, its keys and contents, now seen."""
        assert self.next is not None  # noqa: S101 - there is a window to close
        window, self.next = self.next, self.next + 1
        self.faults.pop(window, None)
        if self.next % self.per_period:
            return []
        done: list[tuple[bytes, bytes]] = []
        for place in [index for index in self.open if index <= window]:
            done += [(record.key, record.content) for record in self.open.pop(place)]
        for key, _ in done:
            self.keys.pop(key, None)
        self.remember(done)
        self.strayed = {
            file: kept
            for file, offsets in self.strayed.items()
            if (kept := {offset: place for offset, place in offsets.items() if place > window})
        }
        return done

    def remember(self, keys: Iterable[tuple[bytes, bytes]]) -> None:
        """Adds to `seen`, and forgets the oldest beyond `REMEMBERED`."""
        self.seen.update(keys)
        for key in list(itertools.islice(self.seen, max(0, len(self.seen) - REMEMBERED))):
            del self.seen[key]

    def first_places(self) -> dict[str, Place]:
        """File -> the first place of a record in `open`: from there a resume reads again."""
        first: dict[str, Place] = {}
        for records in self.open.values():
            for record in records:
                known = first.get(record.place.file)
                if known is None or record.place.offset < known.offset:
                    first[record.place.file] = record.place
        return first

    def state(self) -> dict[str, Any]:
        """What a resume needs, as plain values."""
        return {
            "next": self.next,
            "clock": list(self.clock),
            "strayed": {
                file: [[offset, window] for offset, window in sorted(offsets.items())]
                for file, offsets in sorted(self.strayed.items())
            },
            "faults": [
                [window, dict(sorted(kinds.items()))] for window, kinds in sorted(self.faults.items())
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up `state`."""
        self.next = state["next"]
        self.clock.extend(state["clock"])
        self.strayed = {file: dict(map(tuple, pairs)) for file, pairs in state["strayed"].items()}
        self.faults = {window: Counter(kinds) for window, kinds in state["faults"]}

    def _put(self, record: Record, window: int) -> None:
        self.open.setdefault(window, []).append(record)
        self.keys[record.key] = record.content
        if window != int(record.time // self.length):
            self.strayed.setdefault(record.place.file, {})[record.place.offset] = window
