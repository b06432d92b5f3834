"""Reading what production wrote: JSON lines or Parquet, a file or a folder, from where one stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import HarnessError
from harness.monitoring.records import Faults, Place

SUFFIXES: Final = (".jsonl", ".parquet")


@dataclass(slots=True)
class Position:
    """How far a file has been read: the byte (Parquet: the row) after the last line, and its number."""

    offset: int = 0
    line: int = 0


class Stream:
    """The lines of a file, or of a folder's files in the order of their names.

    Each line is read once. JSON lines may grow while they are read: a last line without its end is
    left for the next time. Parquet files must be whole when they appear (write beside, then rename).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.positions: dict[str, Position] = {}
        self.waiting: dict[str, int] = {}
        """File -> line number of a half-written last line."""

    def files(self) -> list[Path]:
        """What there is to read now, by name.

        Raises:
            HarnessError: there is no such file or folder.
        """
        if self.path.is_file():
            return [self.path]
        if not self.path.is_dir():
            raise HarnessError(f"{self.path}: no such file or folder; nothing to monitor")
        return sorted(item for item in self.path.iterdir() if item.suffix in SUFFIXES and item.is_file())

    def lines(self, faults: Faults, until: dict[str, int] | None = None) -> Iterator[tuple[Place, Any]]:
        """Place and value of each line not read so far; a line that is not JSON is counted.

        Args:
            faults: is added to.
            until: file -> where to stop; other files are not read. None: to the end of all.

        Raises:
            HarnessError: a file is shorter than what was read of it, or cannot be read.
        """
        self.waiting.clear()
        for path in self.files():
            name = path.name
            if until is not None and name not in until:
                continue
            position = self.positions.setdefault(name, Position())
            try:
                read = _parquet if path.suffix == ".parquet" else self._json
                for place, value in read(path, position, None if until is None else until[name]):
                    if value is _BROKEN:
                        faults.add("not JSON", place)
                    else:
                        yield place, value
            except OSError as error:
                raise HarnessError(f"{path}: cannot be read: {error.strerror or error}") from None

    def _json(self, path: Path, position: Position, stop: int | None) -> Iterator[tuple[Place, Any]]:
        size = path.stat().st_size
        if size < position.offset:
            raise HarnessError(
                f"{path}: has {size:,} bytes, of which {position.offset:,} were read before: it was cut or "
                "written anew. Start a new file instead, or a new output folder"
            )
        with path.open("rb") as stream:
            stream.seek(position.offset)
            for line in stream:
                if stop is not None and position.offset >= stop:
                    return
                if not line.endswith(b"\n"):
                    self.waiting[path.name] = position.line + 1
                    return
                place = Place(path.name, position.offset, position.line + 1)
                position.offset += len(line)
                position.line += 1
                if line.strip():
                    try:
                        value = json.loads(line)
                    except (ValueError, RecursionError):
                        value = _BROKEN
                    yield place, value


_BROKEN: Final = object()


def _parquet(path: Path, position: Position, stop: int | None) -> Iterator[tuple[Place, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows < position.offset:
                raise HarnessError(f"{path}: has fewer rows than were read before; it was written anew")
            row = 0
            for batch in file.iter_batches(batch_size=4096):
                if row + batch.num_rows <= position.offset:
                    row += batch.num_rows
                    continue
                for value in batch.to_pylist():
                    row += 1
                    if stop is not None and row > stop:
                        return
                    if row > position.offset:
                        position.offset = position.line = row
                        # Parquet has every column in every row; an empty field is one left out,
                        # but for the latency, where null says that no report came.
                        kept = {key: item for key, item in value.items() if item is not None}
                        if "latency_s" in value and kept.get("kind") != "reading":
                            kept.setdefault("latency_s", None)
                        yield Place(path.name, row - 1, row), kept
    except pa.ArrowInvalid:
        raise HarnessError(
            f"{path}: not a whole Parquet file; write it beside its place and rename it when it is done"
        ) from None
