"""A hash-chained log: each line holds the digest of the one before it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.digests import canonical_json, digest_value
from harness.errors import LedgerError

START: Final = "0" * 64


class Chain:
    """An append-only log of JSON lines.

    Each line is `{"seq", "time", "event", ..., "previous", "digest"}`, where `digest` is the
    SHA-256 of the line without it, in canonical JSON. A changed, dropped or reordered line breaks
    every digest after it. A line cut short by a crash is not yet written, and is removed when the
    log is next opened for writing; anything else that does not fit is damage.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seq = 0
        self.head = START
        for entry in self.entries():
            self.seq, self.head = entry["seq"] + 1, entry["digest"]

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every complete line, checked.

        Raises:
            LedgerError: a line was changed, dropped or reordered; names the first such line.
        """
        if not self.path.exists():
            return
        previous = START
        for number, line in enumerate(self._lines(), start=1):
            place = f"{self.path}:{number}"
            try:
                entry = json.loads(line)
                stated = entry.pop("digest")
            except (ValueError, KeyError, AttributeError, TypeError):
                raise LedgerError(f"{place}: not a log entry; the log is damaged") from None
            if entry.get("previous") != previous or entry.get("seq") != number - 1:
                raise LedgerError(f"{place}: does not follow the line before; one was dropped or moved")
            if digest_value(entry) != stated:
                raise LedgerError(f"{place}: was changed after it was written")
            previous = stated
            yield {**entry, "digest": stated}

    def append(self, event: str, **facts: Any) -> dict[str, Any]:
        """Writes one line and waits until it is on the disk.

        Raises:
            LedgerError: the disk is full or cannot be written.
        """
        entry: dict[str, Any] = {
            "seq": self.seq,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            **facts,
            "previous": self.head,
        }
        entry["digest"] = digest_value(entry)
        try:
            with self.path.open("ab") as stream:
                stream.write(canonical_json(entry).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot be written: {error.strerror}. Nothing is lost: free some space "
                "and give the same command again"
            ) from None
        self.seq, self.head = self.seq + 1, entry["digest"]
        return entry

    def repair(self) -> None:
        """Cuts off a last line that a crash left half written."""
        if self.path.exists():
            content = self.path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole != len(content):
                with self.path.open("r+b") as stream:
                    stream.truncate(whole)

    def _lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line
