"""The monitor: stream to windows to entries, from where it stopped, each window once."""

from __future__ import annotations

import contextlib
import statistics
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.digests import digest_file, digest_value
from harness.errors import HarnessError
from harness.monitoring import faults as stream_faults
from harness.monitoring.config import MonitorConfig, read_config
from harness.monitoring.counts import count
from harness.monitoring.journal import Journal, alerts_of, positions_of
from harness.monitoring.judge import UNKNOWN, Judge, iso
from harness.monitoring.records import FAULTS_SHOWN, Faults, Record, parse
from harness.monitoring.reference import read_reference
from harness.monitoring.rules import State
from harness.monitoring.stream import Stream, StreamError
from harness.monitoring.webhooks import Webhooks
from harness.monitoring.windows import REMEMBERED, Windows

SHOWN: Final = 24 * 60
"""Windows kept at hand for the status page: 60 days of hours."""


class Monitor:
    """A configuration, its reference, and the folder it writes; make one with `Monitor.opened`."""

    def __init__(self, path: Path, config: MonitorConfig, journal: Journal) -> None:
        self.config, self.journal = config, journal
        base = path.parent
        reference = base / config.reference
        self.judge = Judge(config, read_reference(reference, config.stream.ignore))
        self.stream = Stream(base / config.stream.path)
        self.faults = Faults()
        self.windows = Windows(
            length=config.window_h * 3600,
            per_period=config.per_period,
            lateness=config.stream.lateness_min * 60,
            ahead=config.stream.ahead_h * 3600,
        )
        self.recent: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        """The last entries, oldest first."""
        self.totals: Counter[str] = Counter()
        """Windows, reports, failed, readings and alerts since the beginning."""
        self.fault_totals: Counter[str] = Counter()
        self.fault_places: dict[str, list[str]] = {}
        self.history: deque[dict[str, Any]] = deque(maxlen=SHOWN)
        """The last alerts raised and cleared."""
        self.first_start = ""
        """When the first window began."""
        self._read: dict[str, list[Any]] = {}
        """File -> how far the log says it was read; each entry holds what changed."""
        self._resumed: dict[str, Any] | None = None
        """What of the log's last window is still to be read again."""
        self._unplaced = 0
        """Unplaced records that were counted in a window."""
        self._gone = ""
        """Why the stream could not be read; empty where it could."""
        self._told = ""
        """What the log says last of the stream's silence; empty where it is none."""
        self.webhooks = Webhooks(config, journal)
        self._begin({"window_h": config.window_h, "period_h": config.period_h},
                    {"config": config.digest(), "reference": _digest(reference)})  # fmt: skip

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path) -> Iterator[Monitor]:
        """Reads the configuration and takes up the folder where it was left.

        Raises:
            SuiteError: the configuration cannot be used.
            HarnessError: the reference cannot be used; the folder was made with other windows.
            LedgerError: the folder is damaged, or another monitor holds it.
        """
        config = read_config(path)
        read_reference(path.parent / config.reference, config.stream.ignore)  # before a folder is made
        with Journal.writing(path.parent / config.out) as journal:
            yield cls(path, config, journal)

    def advance(self) -> int:
        """Reads what is new, and judges the windows that are over; returns how many.

        Where the stream fell silent, is gone, or is back, that is entered too.

        Raises:
            StreamError: the stream is missing, or was cut; what was judged before stays, and the next call
                tries again.
            LedgerError: the folder cannot be written.
        """
        judged, self._gone = 0, ""
        try:
            self._refill()
            for place, value in self.stream.lines(self.faults):
                self._count_unplaced()
                record = self._parse(value, place)
                if record is None:
                    continue
                self.windows.add(record, self.faults)
                while (window := self.windows.over()) is not None:
                    self._close(window)
                    judged += 1
        except StreamError as error:
            self._gone = str(error)
            self._caught_up()
            raise
        self._caught_up()
        return judged

    def silence(self) -> str:
        """Why the stream says nothing of now: it is gone, or silent for too long; empty where it speaks."""
        if self._gone:
            return f"the stream is gone: {self._gone}"
        limit, now = self.config.stream.stale_after_h, datetime.now(UTC).timestamp()
        if limit is None:
            return ""
        last = statistics.median(self.windows.clock) if self.windows.clock else None
        if last is None:
            silent = now - datetime.fromisoformat(self.begun).timestamp() > limit * 3600
            return "the stream is silent: it never had a record" if silent else ""
        if now - last > limit * 3600:
            return f"the stream is silent: its time is {iso(last)}, more than {limit:g} h ago"
        if last - now > self.windows.ahead:
            return f"the stream's time is {iso(last)}, far ahead of this machine's: silence would not be seen"
        return ""

    def stale(self) -> bool:
        """Whether the stream is gone, or has been silent for too long."""
        return bool(self.silence())

    def faulty(self) -> str:
        """What is wrong with too many records of a window that is still open; empty where nothing is."""
        for window, found in sorted(self.windows.faults.items()):
            counts = count(self.windows.open.get(window, []))
            counts.update(found)
            if why := stream_faults.told(counts):
                return f"{why}, in the window from {iso(window * self.windows.length)}, which is still open"
        return ""

    def state(self) -> State:
        """ALERT if one is raised; else NOT EVALUATED if a detector or the stream is silent; else QUIET."""
        found = self.judge.state()
        unknown = found is State.QUIET and (self.stale() or self.faulty())
        return State.NOT_EVALUATED if unknown else found

    def _count_unplaced(self) -> None:
        """Counts what could not be placed in the window in which the stream's time lies."""
        if new := self.faults.unplaced - self._unplaced:
            self.windows.fault("unplaced", new)
            self._unplaced = self.faults.unplaced

    def _caught_up(self) -> None:
        """After the last line: enters that the stream fell silent or is back, once."""
        self._count_unplaced()
        why = self.silence()
        if bool(why) == bool(self._told):
            return
        event, reason = ("not evaluated", why) if why else ("evaluated", "the stream is back")
        alert = {"id": "silence", "event": event, "action": UNKNOWN if why else "", "reason": reason}
        entry = self.journal.notice(why, alert)
        self._told = why
        self.history.extend(alerts_of(entry))
        self.webhooks.expect(entry)

    def _close(self, window: int) -> None:
        # Whatever the order in which files were read: a resume may read them in another.
        records = sorted(self.windows.open.get(window, []), key=_order)
        period = sorted(self.windows.period(window), key=_order)
        entry = self.judge.judge(window, records, period, self.windows.faults.get(window))
        keys = self.windows.close()
        entered = self.journal.enter({**entry, "faults": self.faults.take(), "resume": self._resume()}, keys)
        self._tell(entered)
        self.webhooks.expect(entered)

    def _tell(self, entry: dict[str, Any]) -> None:
        """Adds an entry to what pages and metrics show."""
        self.recent.append(entry)
        self.first_start = self.first_start or entry["start"]
        counts = entry["counts"]
        self.totals.update({name: counts.get(name, 0) for name in ("reports", "failed", "readings")})
        self.totals["windows"] += 1
        self.totals["alerts"] += sum(alert["event"] == "raised" for alert in entry["alerts"])
        self.history.extend(alerts_of(entry))
        for kind, fault in entry["faults"].items():
            self.fault_totals[kind] += fault["count"]
            places = self.fault_places.setdefault(kind, [])
            places += fault["places"][: FAULTS_SHOWN - len(places)]

    def faults_told(self) -> list[tuple[str, int, list[str]]]:
        """Kind, count and first places of the stream's faults; those of open windows among them."""
        kinds = sorted({*self.fault_totals, *self.faults.counts})
        return [
            (
                kind,
                self.fault_totals[kind] + self.faults.counts[kind],
                [*self.fault_places.get(kind, []), *self.faults.places.get(kind, [])][:FAULTS_SHOWN],
            )
            for kind in kinds
        ]

    def _resume(self) -> dict[str, Any]:
        """What a resume needs beside the log's counts: how far files were read, and from where again."""
        first = self.windows.first_places()
        read = {name: [at.offset, at.line, at.time] for name, at in sorted(self.stream.positions.items())}
        moved = {name: at for name, at in read.items() if self._read.get(name) != at}
        self._read = read
        return {
            "read": moved,
            "again": {name: [place.offset, place.line - 1] for name, place in sorted(first.items())},
            **self.windows.state(),
        }

    def _begin(self, fixed: dict[str, Any], asked: dict[str, str]) -> None:
        """Begins the log, or takes up what it holds."""
        last: dict[str, Any] | None = None
        begun: dict[str, Any] | None = None
        configured: dict[str, Any] = {}
        for entry in self.journal.entries():
            if entry["event"] == "begun":
                begun = entry
            elif entry["event"] == "configured":
                configured = entry
            elif entry["event"] == "window":
                self.judge.recall(entry)
                self._tell(entry)
                self._read |= entry["resume"]["read"]
                last = entry
            elif entry["event"] == "stream":
                self._told = entry["silent"]
                self.history.extend(alerts_of(entry))
            self.webhooks.recall(entry)
        if begun is None:
            begun = self.journal.log.append("begun", **fixed)
        elif any(begun[key] != value for key, value in fixed.items()):
            error = HarnessError(
                f"{self.journal.root}: was begun with windows of {begun['window_h']:g} h and periods of "
                f"{begun['period_h']:g} h; they cannot change. Name a new folder under `out`"
            )
            raise error
        self.begun = begun["time"]
        """When the monitor first ran, by this machine's clock."""
        if any(configured.get(key) != value for key, value in asked.items()):
            self.journal.log.append("configured", **asked)
        self.journal.complete()
        keys = self.journal.keys(last["seen"] if last else 0, REMEMBERED)
        self.windows.remember(keys)
        if last is not None:
            self.windows.restore(last["resume"])
            self._resumed = last["resume"]

    def _refill(self) -> None:
        """After a resume: reads again the records of open windows, and goes on after the last line read."""
        if self._resumed is None:
            return
        read = positions_of(self._read)
        again = positions_of(self._resumed["again"])
        old = Stream(self.stream.path)
        if missing := again.keys() - {path.name for path in old.files()}:
            raise StreamError(
                f"{self.stream.path}: {', '.join(sorted(missing))}: gone, with records of windows that are "
                "not yet judged; put it back until their period is over"
            )
        old.positions = again
        unheard = Faults()  # these faults are in the log already
        for place, value in old.lines(unheard, until={name: read[name].offset for name in again}):
            record = self._parse(value, place, unheard)
            if record is not None:
                self.windows.refill(record)
        self.stream.positions = read
        self._resumed = None

    def _parse(self, value: Any, place: Any, faults: Faults | None = None) -> Record | None:
        return parse(
            value, place, self.faults if faults is None else faults,
            self.judge.reference.dimensions, self.config.stream.ignore,
        )  # fmt: skip


def _order(record: Record) -> tuple[float, str, int]:
    return record.time, record.place.file, record.place.offset


def _digest(path: Path) -> str:
    if path.is_file():
        return digest_file(path)
    return digest_value([[item.name, digest_file(item)] for item in sorted(path.iterdir()) if item.is_file()])
