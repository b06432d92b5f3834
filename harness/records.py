"""Rows of a CSV or JSONL file (`.gz` too), each with its line number."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from harness.errors import HarnessError

Record = dict[str, Any]

STANDARD_INPUT: Final = Path("-")
_READ: Final = 1 << 14
"""Bytes read at a time: some reports."""


def read_records(path: Path, error: type[HarnessError]) -> Iterator[tuple[int, Record]]:
    """Line number and values of every row, streamed. Blank lines are passed over.

    Args:
        path: a file that ends in .csv, .jsonl or .ndjson, or in one of these and .gz. Where there is
            no ending, as for a pipe, or "-" for standard input, it is JSONL if it begins with "{".
        error: what is raised for a file that cannot be read, with `file:line` and the remedy.
    """
    kind = _kind(path, error)
    with _told(path, error) as near, _open(path) as binary:
        for line, _, row in _rows(binary, kind or _sniffed(binary), near):
            yield line, row


class RecordFile:
    """Rows of a file that are read again when asked for: what is held of each is where it begins.

    A file that is compressed is unpacked into a nameless temporary file, which ends with this object.

    Args:
        path: as for `read_records`, but for standard input.
        error: as for `read_records`.
    """

    def __init__(self, path: Path, error: type[HarnessError]) -> None:
        self.path, self.error = path, error
        self._header: list[str] = []
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "error": self.error}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def scan(self) -> Iterator[tuple[int, int, Record]]:
        """Line number, place and values of every row, streamed.

        Raises:
            HarnessError: of the kind asked for, with `file:line` and the remedy.
        """
        with _told(self.path, self.error) as near:
            yield from _rows(self._lines_from(0), self._kind, near)

    def at(self, place: int) -> Record:
        """The row that begins at a place that `scan` gave. Threads and forked processes may share it."""
        lines = self._lines_from(place)
        with _told(self.path, self.error):
            try:
                if self._kind != ".csv":
                    row: Record = json.loads(next(lines))
                    return row
                if not self._header:
                    self._header = next(csv.reader(_decoded(self._lines_from(0)), strict=True))
                return dict(zip(self._header, next(csv.reader(_decoded(lines), strict=True)), strict=True))
            except (StopIteration, ValueError, csv.Error):
                raise self.error(f"{self.path}: was changed while it was in use") from None

    def _open(self) -> None:
        self._kind: str = _kind(self.path, self.error)
        with _told(self.path, self.error):
            stream = _open(self.path)
            if self.path.suffix == ".gz":
                with stream:
                    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object
                    shutil.copyfileobj(stream, unpacked)
                    unpacked.flush()
                self._stream: BinaryIO = unpacked
            else:
                self._stream = stream
            self._kind = self._kind or _sniffed(stream)

    def _lines_from(self, place: int) -> Iterator[bytes]:
        """Lines with their ends, read by place: the file has no position that readers would share."""
        rest, number = b"", self._stream.fileno()
        while more := os.pread(number, _READ, place):
            place += len(more)
            *lines, rest = (rest + more).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest


def _kind(path: Path, error: type[HarnessError]) -> str:
    """The ending that tells how a file is read; "" where there is none."""
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    kind = kind.removesuffix(".gz")
    if kind not in ("", ".csv", ".jsonl", ".ndjson"):
        raise error(f"{path}: must be .csv or .jsonl (or either with .gz)")
    return kind


@contextlib.contextmanager
def _told(path: Path, error: type[HarnessError]) -> Iterator[list[int]]:
    """Says what is wrong with a file; gives a list whose last item is the line before the trouble."""
    near = [0]
    try:
        yield near
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise error(f"{path}: near line {near[-1] + 1}: not UTF-8; save the file as UTF-8") from None
    except (OSError, EOFError) as cause:
        raise error(f"{path}: cannot be read, or cut short: {cause}") from None
    except _BadLineError as cause:
        raise error(f"{path}:{cause}") from None


def _rows(lines: Iterable[bytes], kind: str, near: list[int]) -> Iterator[tuple[int, int, Record]]:
    for line, place, row in _csv(lines) if kind == ".csv" else _jsonl(lines):
        if _holds_nul(row):
            raise _BadLineError(f"{line}: holds a NUL character; the file is damaged")
        near[-1] = line
        yield line, place, row


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(_holds_nul(part) for part in value)
    return isinstance(value, str) and "\x00" in value


class _BadLineError(Exception):
    pass


def _open(path: Path) -> io.BufferedReader:
    if path == STANDARD_INPUT:
        return open(0, "rb", closefd=False)
    return io.BufferedReader(gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _sniffed(binary: io.BufferedReader) -> str:
    return ".jsonl" if binary.peek(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else ".csv"


def _csv(lines: Iterable[bytes]) -> Iterator[tuple[int, int, Record]]:
    csv.field_size_limit(1 << 30)  # a report may be longer than the module's 128 KB
    taken = _Taken(lines)
    reader = csv.reader(_decoded(taken), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise _BadLineError(f"1: column {twice[0]} stands twice")
        first, place = reader.line_num + 1, taken.size  # the reader takes no line ahead
        for row in reader:
            if row:
                if len(row) != len(header):
                    raise _BadLineError(f"{first}: {len(row)} values under {len(header)} columns")
                yield first, place, dict(zip(header, row, strict=True))
            first, place = reader.line_num + 1, taken.size
    except csv.Error as cause:
        raise _BadLineError(f"{reader.line_num}: not valid CSV: {cause}") from None


def _jsonl(lines: Iterable[bytes]) -> Iterator[tuple[int, int, Record]]:
    taken = _Taken(lines)
    place = 0
    for number, line in enumerate(_decoded(taken), start=1):
        here, place = place, taken.size
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as cause:
            raise _BadLineError(f"{number}: not valid JSON: {cause}") from None
        if not isinstance(row, dict):
            raise _BadLineError(f"{number}: must be an object, one a line")
        yield number, here, row


class _Taken:
    """Lines, and how many bytes of them were taken so far."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.size += len(line)
            yield line


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    """Text, less a byte order mark."""
    for number, line in enumerate(lines):
        yield line.decode("utf-8-sig" if number == 0 else "utf-8")
