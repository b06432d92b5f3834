"""What a killed session leaves: every request is written down before it is made, and its outcome at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from harness.chain import Chain
from harness.errors import LedgerError


class Journal:
    """Lines beside the log, flushed but not forced to the disk, so that a line costs no study time.

    The chained log takes times in batches. A process that is killed leaves here what the log does not hold
    yet, and which study had been asked and not answered; `absorb` enters both in the log.
    """

    def __init__(self, log: Path) -> None:
        self.path = log.with_name("asked.jsonl")
        self._stream: BinaryIO | None = None

    def begin(self, session: int) -> None:
        """A new one, of one session; the one before must have been absorbed."""
        self.close()
        temporary = self.path.with_name(self.path.name + ".tmp")
        self._stream = temporary.open("wb")
        self._append({"session": session})
        os.fsync(self._stream.fileno())
        temporary.replace(self.path)

    def asking(self, stage: str, number: int, study: int, due_s: float, began_s: float) -> None:
        """A request that is about to be made; seconds since its stage began."""
        self._append(
            {"asking": {"number": number, "study": study, "due_s": due_s, "began_s": began_s}, "stage": stage}
        )

    def answered(self, stage: str, record: Mapping[str, Any]) -> None:
        """What came of it; of several records of a request the last one counts."""
        self._append({"record": dict(record), "stage": stage})

    def close(self) -> None:
        """Leaves the file where it is."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def remove(self) -> None:
        """Once the log holds everything."""
        self.close()
        self.path.unlink(missing_ok=True)

    def absorb(self, chain: Chain) -> None:
        """Enters in the log what the session before left: times, and requests without an outcome (`lost`).

        Raises:
            LedgerError: the log tells of a session whose journal is not there.
        """
        sessions, known = 0, set[tuple[str, int, int]]()
        for entry in chain.entries():
            if entry["event"] == "session":
                sessions += 1
            elif entry["event"] == "times":
                known |= {(entry["stage"], entry["session"], item["number"]) for item in entry["records"]}
            elif entry["event"] == "lost":
                known.add((entry["stage"], entry["session"], entry["number"]))
        lines = self._lines()
        session = lines[0].get("session", -1) if lines else -1
        if session < sessions - 1:
            raise LedgerError(
                f"{self.path}: is missing or of another session; nobody can tell which studies had been "
                "asked when the run was interrupted. Name a new folder"
            )
        asking: dict[tuple[str, int], dict[str, Any]] = {}
        records: dict[str, dict[int, dict[str, Any]]] = {}
        for line in lines[1:]:
            stage = line["stage"]
            if "asking" in line:
                asking[stage, line["asking"]["number"]] = line["asking"]
            else:
                record = line["record"]
                asking.pop((stage, record["number"]), None)
                if (stage, session, record["number"]) not in known:
                    records.setdefault(stage, {})[record["number"]] = record
        for stage, found in records.items():
            chain.append("times", stage=stage, session=session, records=list(found.values()), peaks={})
        for (stage, number), request in asking.items():
            if (stage, session, number) not in known:
                chain.append("lost", stage=stage, session=session, **request)

    def _append(self, line: Mapping[str, Any]) -> None:
        assert self._stream is not None  # noqa: S101 - begun before any study is timed
        try:
            self._stream.write(json.dumps(line).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise LedgerError(f"{self.path}: cannot be written: {error.strerror}") from None

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        whole = self.path.read_bytes().split(b"\n")[:-1]  # a line cut short was not written
        try:
            return [json.loads(line) for line in whole]
        except ValueError:
            raise LedgerError(f"{self.path}: is damaged; name a new folder") from None
