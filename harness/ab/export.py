"""A hospital's export as text cells: CSV or Parquet, every row with the line where it stands."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import CohortError


@dataclass(frozen=True, slots=True)
class Export:
    """Columns and rows."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[Mapping[str, str], ...]
    lines: tuple[int, ...]
    """Of each row: the line of a CSV file where it begins; for Parquet its number, from 1."""

    def place(self, row: int) -> str:
        """`file:line`."""
        if self.path.suffix == ".parquet":
            return f"{self.path}: row {self.lines[row]}"
        return f"{self.path}:{self.lines[row]}"


def read_export(path: Path) -> Export:
    """Reads a table; cells are text without the white space around it, missing ones "".

    Raises:
        CohortError: the file is not there, is empty, damaged, or not a table with unique columns.
    """
    if not path.is_file():
        raise CohortError(f"{path}: no such file; name a CSV (.csv) or Parquet (.parquet) export")
    found = list(_parquet(path) if path.suffix == ".parquet" else _csv(path))
    if not found:
        raise CohortError(f"{path}: empty file; export it again, with a header and a row for each rating")
    header = found[0][1]
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise CohortError(f"{path}:1: column {sorted(twice)[0]} stands twice; rename one")
    rows, lines = [], []
    for line, cells in found[1:]:
        if len(cells) != len(header):
            raise CohortError(
                f"{path}:{line}: {len(cells)} cells, but the header has {len(header)} columns; "
                "put texts with commas or line breaks in double quotes"
            )
        rows.append(dict(zip(header, cells, strict=True)))
        lines.append(line)
    if not rows:
        raise CohortError(f"{path}:1: a header and no row; export it again, with a row for each rating")
    return Export(path, tuple(header), tuple(rows), tuple(lines))


def _csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            begin = 1
            for cells in reader:
                if cells:  # an empty line is none
                    yield begin, [cell.strip() for cell in cells]
                begin = reader.line_num + 1
    except csv.Error as error:
        raise CohortError(
            f"{path}:{begin}: not a readable CSV table ({error}); is a quotation mark left open?"
        ) from None
    except UnicodeDecodeError:
        raise CohortError(f"{path}: not UTF-8 text; export it as CSV UTF-8, or as Parquet") from None
    except OSError as error:
        raise CohortError(f"{path}: cannot be read: {error.strerror}") from None


def _parquet(path: Path) -> Iterator[tuple[int, list[str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError):
        raise CohortError(f"{path}: not a readable Parquet file; export it again") from None
    yield 0, [str(name).strip() for name in table.column_names]
    columns = [column.to_pylist() for column in table.columns]
    for place, cells in enumerate(zip(*columns, strict=True), 1):
        yield place, [_text(cell) for cell in cells]


def _text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, list):
        return ";".join(map(str, cell)) or "none"
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell).strip()
