"""Rows of a CSV or JSONL file (`.gz` too), each with its line number."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from harness.errors import HarnessError

Record = dict[str, Any]

STANDARD_INPUT: Final = Path("-")


def read_records(path: Path, error: type[HarnessError]) -> Iterator[tuple[int, Record]]:
    """Line number and values of every row, streamed. Blank lines are passed over.

    Args:
        path: a file that ends in .csv, .jsonl or .ndjson, or in one of these and .gz. Where there is
            no ending, as for a pipe, or "-" for standard input, it is JSONL if it begins with "{".
        error: what is raised for a file that cannot be read, with `file:line` and the remedy.
    """
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    kind = kind.removesuffix(".gz")
    if kind not in ("", ".csv", ".jsonl", ".ndjson"):
        raise error(f"{path}: must be .csv or .jsonl (or either with .gz)")
    line = 0
    try:
        with _open(path) as binary, io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as stream:
            kind = kind or _sniffed(binary)
            rows = _csv(stream) if kind == ".csv" else _jsonl(stream)
            for line, row in rows:
                if _holds_nul(row):
                    raise error(f"{path}:{line}: holds a NUL character; the file is damaged")
                yield line, row
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise error(f"{path}: near line {line + 1}: not UTF-8; save the file as UTF-8") from None
    except (OSError, EOFError) as cause:
        raise error(f"{path}: cannot be read, or cut short: {cause}") from None
    except _BadLineError as cause:
        raise error(f"{path}:{cause}") from None


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


def _csv(stream: TextIO) -> Iterator[tuple[int, Record]]:
    csv.field_size_limit(1 << 30)  # a report may be longer than the module's 128 KB
    reader = csv.reader(stream, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise _BadLineError(f"1: column {twice[0]} stands twice")
        first = reader.line_num + 1
        for row in reader:
            if row:
                if len(row) != len(header):
                    raise _BadLineError(f"{first}: {len(row)} values under {len(header)} columns")
                yield first, dict(zip(header, row, strict=True))
            first = reader.line_num + 1
    except csv.Error as cause:
        raise _BadLineError(f"{reader.line_num}: not valid CSV: {cause}") from None


def _jsonl(stream: TextIO) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as cause:
            raise _BadLineError(f"{number}: not valid JSON: {cause}") from None
        if not isinstance(row, dict):
            raise _BadLineError(f"{number}: must be an object, one a line")
        yield number, row
