"""The monitor's folder: a chained log of windows, and the keys that tell duplicates."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from harness.chain import Chain
from harness.digests import canonical_json
from harness.errors import LedgerError
from harness.monitoring.stream import Position

KEY_BYTES: Final = 16
"""Of a record: 8 of kind and study, 8 of what it says."""


@contextlib.contextmanager
def hold(root: Path, who: str) -> Iterator[None]:
    """Keeps a folder to one process, and repairs its log.

    Args:
        root: the folder; made if it is not there.
        who: what holds it, in words.

    Raises:
        LedgerError: another process holds it, it cannot be written, or its log is damaged.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / "lock").open("w")
    except OSError as error:
        raise LedgerError(f"{root}: cannot be written: {error.strerror}; name another folder") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(f"{root}: another {who} is running on this folder") from None
        Chain(root / "log.jsonl").repair()
        yield


class Journal:
    """Where windows are entered once.

    ```
    log.jsonl       the hash chain: begun, configured, window, stream, posted
    windows.jsonl   each window's counts and looks, for log shippers
    alerts.jsonl    each alert raised or cleared, each detector that became NOT EVALUATED or is back
    seen.bin        keys and contents of records, 16 bytes each; a window's entry says how many count
    ```

    A window is judged when its entry is whole on the disk. Everything else is written before it and cut
    back to what the entry says, or follows from it and is completed, when the folder is opened again.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = Chain(root / "log.jsonl")
        self.seen = 0
        """How many keys the log knows of."""

    @classmethod
    @contextlib.contextmanager
    def writing(cls, root: Path) -> Iterator[Journal]:
        """Opens the folder for writing, and removes what a crash left half done.

        Raises:
            LedgerError: another process holds it, it cannot be written, or its log is damaged.
        """
        with hold(root, "monitor"):
            yield cls(root)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry of the log, checked.

        Raises:
            LedgerError: a line was changed, dropped or reordered.
        """
        return self.log.entries()

    def windows(self) -> Iterator[dict[str, Any]]:
        """The windows judged so far."""
        return (entry for entry in self.entries() if entry["event"] == "window")

    def enter(self, window: dict[str, Any], keys: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
        """Enters a window, after the keys and contents that a period's end adds.

        Raises:
            LedgerError: the disk is full or cannot be written; the window is then not judged.
        """
        added = b"".join(key + content for key, content in keys)
        if added:
            try:
                with (self.root / "seen.bin").open("ab") as stream:
                    stream.write(added)
                    stream.flush()
                    os.fsync(stream.fileno())
            except OSError as error:
                raise LedgerError(
                    f"{self.root / 'seen.bin'}: cannot be written: {error.strerror}; free some space"
                ) from None
            self.seen += len(added) // KEY_BYTES
        entry = self.log.append("window", **window, seen=self.seen)
        self._publish(entry)
        return entry

    def notice(self, silent: str, alert: dict[str, Any]) -> dict[str, Any]:
        """Enters, between windows, that the stream fell silent (why), or is back (empty).

        Raises:
            LedgerError: the disk is full or cannot be written.
        """
        entry = self.log.append("stream", silent=silent, alerts=[alert])
        self._publish(entry)
        return entry

    def _publish(self, entry: dict[str, Any]) -> None:
        """Appends an entry to the files that other programs follow."""
        for name, told in _FOLLOWED.items():
            _append(self.root / name, told(entry))

    def complete(self) -> None:
        """Completes, from the log, the files that other programs follow."""
        for name, told in _FOLLOWED.items():
            path = self.root / name
            path.touch()
            have = _whole_lines(path)
            missing = list[dict[str, Any]]()
            for entry in self.entries():
                lines = told(entry)
                missing += lines[max(0, have) :]
                have -= min(max(0, have), len(lines))
            _append(path, missing)

    def keys(self, count: int, last: int) -> list[tuple[bytes, bytes]]:
        """The last among the first `count`, with contents; what is beyond was never entered, and is cut off.

        Raises:
            LedgerError: there are fewer than the log says.
        """
        path = self.root / "seen.bin"
        self.seen = count
        if not count:
            path.unlink(missing_ok=True)
            return []
        size = path.stat().st_size if path.exists() else 0
        if size < count * KEY_BYTES:
            raise LedgerError(f"{path}: is shorter than the log says; the folder is damaged")
        os.truncate(path, count * KEY_BYTES)
        first = max(0, count - last)
        with path.open("rb") as stream:
            stream.seek(first * KEY_BYTES)
            content = stream.read()
        half = KEY_BYTES // 2
        return [
            (content[at : at + half], content[at + half : at + KEY_BYTES])
            for at in range(0, len(content), KEY_BYTES)
        ]


def flat(entry: dict[str, Any]) -> dict[str, Any]:
    """A window without what only a resume needs."""
    return {key: entry[key] for key in ("start", "end", "counts", "service", "looks", "alerts", "faults")}


def alerts_of(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The alerts that an entry raised or cleared, each with its time and proof."""
    time = entry.get("end", entry["time"])
    return [{"time": time, **alert, "entry": entry["digest"]} for alert in entry.get("alerts", [])]


_FOLLOWED: Final[dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]]] = {
    "windows.jsonl": lambda entry: [flat(entry)] if entry["event"] == "window" else [],
    "alerts.jsonl": alerts_of,
}
"""File that other programs follow -> its lines of an entry."""


def positions_of(plain: dict[str, list[Any]]) -> dict[str, Position]:
    """File -> position, from an entry."""
    return {name: Position(*values) for name, values in plain.items()}


def _append(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    text = "".join(canonical_json(line) + "\n" for line in lines)
    if text:
        try:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(text)
        except OSError as error:
            raise LedgerError(f"{path}: cannot be written: {error.strerror}; free some space") from None


def _whole_lines(path: Path) -> int:
    """How many lines are whole; a half-written last one is cut off."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)
    return content.count(b"\n")
