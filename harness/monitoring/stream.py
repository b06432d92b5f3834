"""Reading what production wrote: JSON lines or Parquet, a file or a folder, from where one stopped."""

from __future__ import annotations

import contextlib
import heapq
import json
import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.monitoring.records import NOT_JSON, Faults, Place, moment

SUFFIXES: Final = (".jsonl", ".parquet")
JUMP: Final = 86_400.0
"""Seconds. A line so far ahead of the one before it has a wrong clock, and does not hold up its file."""


class StreamError(HarnessError):
    """The stream is not there, was cut, or cannot be read; it may be again later."""


@dataclass(slots=True)
class Position:
    """How far a file has been read: the byte (Parquet: the row) after the last line, and its number."""

    offset: int = 0
    line: int = 0
    time: float | None = None
    """Of the last line that has one, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class _Line:
    turn: float
    """When it is read: its own time, unless that cannot be."""
    place: Place
    value: Any
    end: Position


class Stream:
    """The lines of a file, or of a folder's files merged by their times: several nodes, one stream.

    Each line is read once, and those of one file in its order. JSON lines may grow while they are read: a
    last line without its end is left for the next time. Parquet files must be whole when they appear (write
    beside, then rename). One line a file is held at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.positions: dict[str, Position] = {}
        self.waiting: dict[str, int] = {}
        """File -> line number of a half-written last line."""

    def files(self) -> list[Path]:
        """What there is to read now, by name.

        Raises:
            StreamError: there is no such file or folder, or it cannot be read.
        """
        try:
            if self.path.is_file():
                return [self.path]
            if self.path.is_dir():
                return sorted(
                    item for item in self.path.iterdir() if item.suffix in SUFFIXES and item.is_file()
                )
        except OSError as error:
            raise StreamError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        raise StreamError(f"{self.path}: no such file or folder; nothing to monitor")

    def lines(self, faults: Faults, until: dict[str, int] | None = None) -> Iterator[tuple[Place, Any]]:
        """Place and value of each line not read so far, oldest first; a line that is not JSON is counted.

        Args:
            faults: is added to.
            until: file -> where to stop; other files are not read. None: to the end of all.

        Raises:
            StreamError: a file is not what was read of it, or cannot be read.
        """
        self.waiting.clear()
        named = [path for path in self.files() if until is None or path.name in until]
        files = [self._file(path, None if until is None else until[path.name]) for path in named]
        for line in heapq.merge(*files, key=lambda line: line.turn):
            self.positions[line.place.file] = line.end
            if line.value is _BROKEN:
                faults.add(NOT_JSON, line.place)
            else:
                yield line.place, line.value

    def _file(self, path: Path, stop: int | None) -> Iterator[_Line]:
        at = replace(self.positions.setdefault(path.name, Position()))
        read = _parquet if path.suffix == ".parquet" else self._json
        try:
            # Its first line waits for its turn with the file closed: a folder may hold very many.
            with contextlib.closing(read(path, at, stop)) as begun:
                first = next(begun, None)
            if first is not None:
                yield _line(at, *first)
                for found in read(path, at, stop):
                    yield _line(at, *found)
        except OSError as error:
            raise StreamError(f"{path}: cannot be read: {error.strerror or error}") from None

    def _json(
        self, path: Path, at: Position, stop: int | None
    ) -> Generator[tuple[Place, Any, int], None, None]:
        offset, number, size = at.offset, at.line, path.stat().st_size
        with path.open("rb") as stream:
            stream.seek(max(0, offset - 1))
            if size < offset or (offset and stream.read(1) != b"\n"):
                raise StreamError(
                    f"{path}: has {size:,} bytes, of which {offset:,} were read before: it was cut or "
                    "written anew. Start a new file instead, or a new output folder"
                )
            for line in stream:
                if stop is not None and offset >= stop:
                    return
                if not line.endswith(b"\n"):
                    self.waiting[path.name] = number + 1
                    return
                place = Place(path.name, offset, number + 1)
                offset += len(line)
                number += 1
                if line.strip():
                    try:
                        value = json.loads(line)
                    except (ValueError, RecursionError):
                        value = _BROKEN
                    yield place, value, offset


_BROKEN: Final = object()


def _line(at: Position, place: Place, value: Any, offset: int) -> _Line:
    """A line with its turn; moves `at` to its end."""
    time = moment(value.get("time")) if isinstance(value, Mapping) else None
    turn = -math.inf if at.time is None else at.time
    if time is not None:
        turn = time if at.time is None or time <= at.time + JUMP else at.time
        at.time = time
    at.offset, at.line = offset, place.line
    return _Line(turn, place, value, replace(at))


def _parquet(path: Path, at: Position, stop: int | None) -> Generator[tuple[Place, Any, int], None, None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    read = at.offset
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows < read:
                raise StreamError(f"{path}: has fewer rows than were read before; it was written anew")
            row = 0
            for batch in file.iter_batches(batch_size=4096):
                if row + batch.num_rows <= read:
                    row += batch.num_rows
                    continue
                for value in batch.to_pylist():
                    row += 1
                    if stop is not None and row > stop:
                        return
                    if row > read:
                        # Parquet has every column in every row; an empty field is one left out,
                        # but for the latency, where null says that no report came.
                        kept = {key: item for key, item in value.items() if item is not None}
                        if "latency_s" in value and kept.get("kind") != "reading":
                            kept.setdefault("latency_s", None)
                        yield Place(path.name, row - 1, row), kept, row
    except pa.ArrowInvalid:
        raise StreamError(
            f"{path}: not a whole Parquet file; write it beside its place and rename it when it is done"
        ) from None
