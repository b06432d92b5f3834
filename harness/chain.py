"""A hash-chained log: each line holds the digest of the one before it."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.chain_head import Head, check_head, read_head, write_head
from harness.digests import canonical_json, digest_value
from harness.errors import LedgerError

START: Final = "0" * 64


class Chain:
    """An append-only log of JSON lines.

    Each line is `{"seq", "time", "event", ..., "previous", "digest"}`, where `digest` is the
    SHA-256 of the line without it, in canonical JSON. A changed, dropped or reordered line breaks
    every digest after it. A line cut short by a crash is not yet written, and is removed when the
    log is next opened for writing; anything else that does not fit is damage. A head beside the log
    (`harness.chain_head`) says how far it went, so that a tail cut off is found too.
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
            LedgerError: a line was changed, dropped or reordered, or the last ones were cut off; names
                the first such line.
        """
        head = read_head(self.path)
        if not self.path.exists():
            check_head(self.path, head, 0, "", anchored=False)
            return
        previous, lines, at_head, anchored = START, 0, "", False
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
            previous, lines = stated, number
            anchored = anchored or entry.get("anchored") is True
            if head is not None and head.seq == number - 1:
                at_head = stated
            yield {**entry, "digest": stated}
        check_head(self.path, head, lines, at_head, anchored)

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
            **({} if self.seq else {"anchored": True}),
            "previous": self.head,
        }
        entry["digest"] = digest_value(entry)
        try:
            with self.path.open("ab") as stream:
                stream.write(canonical_json(entry).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            write_head(self.path, Head(entry["seq"], entry["digest"], entry["time"]))
        except OSError as error:
            raise LedgerError(
                f"{self.path}: cannot be written: {error.strerror}. Nothing is lost: free some space "
                "and give the same command again"
            ) from None
        self.seq, self.head = self.seq + 1, entry["digest"]
        return entry

    def repair(self) -> None:
        """Cuts off a last line that a crash left half written, and lets the head catch up by one line."""
        if self.path.exists():
            content = self.path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole != len(content):
                with self.path.open("r+b") as stream:
                    stream.truncate(whole)
            last, head = self.last(), read_head(self.path)
            if last is not None and (head is None or head.seq < last["seq"]):
                write_head(self.path, Head(last["seq"], last["digest"], last["time"]))

    def last(self) -> dict[str, Any] | None:
        """The last complete line, after checking all; None where there is none."""
        return next(iter(deque(self.entries(), maxlen=1)), None)

    def _lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line
