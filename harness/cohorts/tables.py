"""CSV tables whose columns, types and completeness are checked as they are read."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.errors import CohortError
from harness.report import Finding, State


def find_table(folders: Iterable[Path], stem: str) -> Path | None:
    """`stem.csv.gz` or `stem.csv` in the first folder that has it."""
    for folder in folders:
        for ending in (".csv.gz", ".csv"):
            path = folder / (stem + ending)
            if path.exists():
                return path
    return None


def read_table(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """The given columns (name -> pandas dtype) of a CSV file, compressed or not.

    Raises:
        CohortError: the file is cut short, is not CSV, lacks a column, or holds a value that is not
            of its column's type; the message names the file and the remedy.
    """
    try:
        header = pd.read_csv(path, nrows=0).columns
        for column in columns:
            if column not in header:
                near = difflib.get_close_matches(column, header, n=1)
                hint = f"; did the file mean {near[0]}?" if near else ""
                raise CohortError(f"{path}: no column {column} (there: {', '.join(header[:12])}){hint}")
        table = pd.read_csv(path, usecols=list(columns), dtype=str, keep_default_na=False)
    except (EOFError, zlib.error, OSError) as error:
        raise CohortError(f"{path}: cut short or damaged ({error}); download it again") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CohortError(f"{path}: not a readable CSV table ({error})") from None
    for column, dtype in columns.items():
        if dtype == "str":
            continue
        numbers = pd.to_numeric(table[column], errors="coerce")
        bad = numbers.isna() | (numbers != numbers.round())
        if bad.any():
            line = int(bad.to_numpy().argmax()) + 2
            raise CohortError(f"{path}:{line}: {column} is not a whole number; is the file cut short?")
        table[column] = numbers.to_numpy().astype(dtype)
    return table


def read_labels(path: Path, keys: Sequence[str], names: Sequence[Finding]) -> pd.DataFrame:
    """A table of CheXpert labels: 1, 0, -1 and blank as `State` codes (int8).

    Raises:
        CohortError: as `read_table`, or a label is anything else.
    """
    table = read_table(path, {**dict.fromkeys(keys, "int64"), **dict.fromkeys(names, "str")})
    for name in names:
        table[name] = label_codes(table[name], path, name)
    return table


def label_codes(values: pd.Series[str], path: Path, name: str) -> NDArray[np.int8]:
    """Label texts to `State` codes, shape (n,).

    Raises:
        CohortError: a value that is not 1, 0, -1 or blank, with its line.
    """
    codes = {
        "1": State.POSITIVE, "1.0": State.POSITIVE, "0": State.NEGATIVE, "0.0": State.NEGATIVE,
        "-1": State.UNCERTAIN, "-1.0": State.UNCERTAIN, "": State.NOT_MENTIONED,
    }  # fmt: skip
    stripped = values.str.strip()
    coded = stripped.map(codes)
    if coded.isna().any():
        line = int(coded.isna().to_numpy().argmax()) + 2
        raise CohortError(f"{path}:{line}: {name} must be 1, 0, -1 or blank")
    return coded.to_numpy().astype(np.int8)


def refuse_duplicates(path: Path, table: pd.DataFrame, key: str) -> None:
    """Refuses a table in which a key stands twice.

    Raises:
        CohortError: with both lines.
    """
    twice = table[key].duplicated(keep=False).to_numpy()
    if twice.any():
        second = int(table[key].duplicated().to_numpy().argmax())
        first = int((table[key] == table[key].iloc[second]).to_numpy().argmax())
        raise CohortError(f"{path}:{second + 2}: {key} stands twice, first on line {first + 2}; keep one row")
