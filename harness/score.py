"""Texts against texts, without a cohort: measures of two files joined by id, or of two columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.annotators.base import Labeler
from harness.annotators.rules import RulesLabeler
from harness.errors import HarnessError
from harness.estimates import Estimate, Settings, estimate_all
from harness.measures.base import Pairs, Side
from harness.measures.names import named_measure
from harness.records import Record, RecordFile, read_records
from harness.report import FINDINGS, State

CONFIDENCE: Final = 0.95
REPLICATES: Final = 2000
SEED: Final = 0
IDS: Final = ("id", "study_id")
TEXTS: Final = ("text", "report")

_BLOCK: Final = 1000
"""Texts measured at a time."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a file are read; None means the usual names."""

    text: str | None = None
    id: str | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One hypothesis and its reference."""

    hypothesis: str
    reference: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Scores:
    """What came of it."""

    estimates: list[Estimate]
    """By the names of the measures, in their order."""
    studies: int
    clusters: int
    empty_hypotheses: int
    """Scored as failures: they missed everything."""
    empty_references: int

    def as_json(self) -> list[dict[str, Any]]:
        """One object a value, NaN as None."""
        objects = []
        for item in self.estimates:
            plain = item.as_json()
            objects.append(
                {
                    "measure": shown_name(item),
                    "signature": item.signature,
                    "value": plain["estimate"],
                    "low": plain["low"],
                    "high": plain["high"],
                    "n": item.n_studies,
                    "clusters": item.n_patients,
                    "empty_hypotheses": self.empty_hypotheses,
                    "numerator": item.numerator,
                    "denominator": item.denominator,
                    "confidence": item.confidence,
                    "method": item.method,
                    "reason": item.reason,
                }
            )
        return objects


def shown_name(item: Estimate) -> str:
    """`bleu4.coco`, or `findings_f1.macro-14` where a measure has several values."""
    return item.measure if item.value == "value" else f"{item.measure}.{item.value}"


def score(pairs: Iterable[Pair], names: Sequence[str]) -> Scores:
    """Scores pairs by measures of these names (see `named_measure`), with clustered intervals.

    Labels, where a measure needs them, are the rule-based labeler's on both sides; the signature
    then says so. A hypothesis without a word is a failed study.

    Raises:
        PluginError: a name that is no measure. HarnessError: a name twice, or no pair at all.
    """
    measures = {name: named_measure(name) for name in names}
    if not names or len(measures) < len(names):
        raise HarnessError("measures: each needs to be named, and once")
    for name, measure in measures.items():
        if "graphs" in measure.needs:
            raise HarnessError(f"{name}: needs graphs of the texts; a suite can ask for it: harness run")
    labeler = RulesLabeler() if any("labels" in measure.needs for measure in measures.values()) else None
    rows: dict[str, list[NDArray[np.int64]]] = {name: [] for name in names}
    clusters: list[str] = []
    empty = np.zeros(2, dtype=np.int64)
    stream = iter(pairs)
    while block := list(islice(stream, _BLOCK)):
        clusters += [pair.cluster for pair in block]
        candidate = _side([pair.hypothesis for pair in block], labeler)
        reference = _side([pair.reference for pair in block], labeler)
        failed, missing = (
            np.array([not text.strip() for text in side.findings]) for side in (candidate, reference)
        )
        empty += (failed.sum(), missing.sum())
        for name, measure in measures.items():
            rows[name].append(measure.rows(Pairs(reference, candidate, failed)))
    if not clusters:
        raise HarnessError("there is no text to score")
    estimates = estimate_all(
        measures,
        {name: np.concatenate(parts) for name, parts in rows.items()},
        clusters,
        {},
        Settings(confidence=CONFIDENCE, bound_confidences=(), replicates=REPLICATES, seed=SEED),
    )
    signed = [
        replace(item, signature=f"{item.signature}|{labeler.signature()}|references:labeler")
        if labeler is not None and "labels" in measures[item.measure].needs
        else item
        for item in estimates
    ]
    return Scores(signed, len(clusters), len(set(clusters)), *map(int, empty))


def _side(texts: Sequence[str], labeler: Labeler | None) -> Side:
    unread = np.full((len(texts), len(FINDINGS)), State.NOT_COVERED, dtype=np.int8)
    return Side(texts, [""] * len(texts), unread if labeler is None else labeler.label(texts))


def joined(
    hypotheses: Path, references: Path, of_hypotheses: Columns, of_references: Columns
) -> Iterator[Pair]:
    """The texts of two files with the same ids, in the order of the hypotheses.

    Every id must stand once in each file: a reference without hypothesis is no smaller test, and a
    hypothesis without reference may be from the wrong file. A report that failed is a row with an
    empty text. The cluster is the one in the references; without one, each study is its own.

    Raises:
        HarnessError: an id twice, missing, or too many; a column that is not there; a file that
            cannot be read. The message names file and line.
    """
    # Of references, which must be known before, only places are held, unless they come by a pipe.
    file = RecordFile(references, HarnessError) if references.is_file() else None
    rows = file.scan() if file else ((line, 0, row) for line, row in read_records(references, HarnessError))
    wanted: dict[str, tuple[int, int | str, str]] = {}
    for line, place, name, text, cluster in _texts(references, of_references, rows):
        if name in wanted:
            raise HarnessError(f"{references}:{line}: id stands twice, first on line {wanted[name][0]}")
        wanted[name] = (line, place if file else text, cluster or name)
    seen: dict[str, int] = {}
    unplaced = ((line, 0, row) for line, row in read_records(hypotheses, HarnessError))
    for line, _, name, text, _ in _texts(hypotheses, of_hypotheses, unplaced):
        if name in seen:
            raise HarnessError(f"{hypotheses}:{line}: id stands twice, first on line {seen[name]}")
        if name not in wanted:
            raise HarnessError(f"{hypotheses}:{line}: id is not in {references}")
        seen[name] = line
        first, held, reference_cluster = wanted[name]
        if file is not None and isinstance(held, int):
            there = f"{references}:{first}"
            row = file.at(held)
            held = _text(row, of_references.text or _usual(row, TEXTS, "--text", there), there)
        yield Pair(text, str(held), reference_cluster)
    if missing := [line for name, (line, _, _) in wanted.items() if name not in seen]:
        raise HarnessError(
            f"{references}:{missing[0]}: id is not in {hypotheses}, nor are {len(missing) - 1} more of "
            f"{len(wanted)}; a report that failed needs a row with an empty text"
            if len(missing) > 1
            else f"{references}:{missing[0]}: id is not in {hypotheses}; a report that failed needs a "
            "row with an empty text"
        )


def beside(path: Path, hypothesis: str, reference: str, columns: Columns) -> Iterator[Pair]:
    """Two columns of one file. Rows need no id; with one, none may stand twice.

    Raises:
        HarnessError: as `joined`.
    """
    seen: dict[str, int] = {}
    for line, row in read_records(path, HarnessError):
        name = str(line)
        if columns.id is not None:
            name = _name(row, columns.id, f"{path}:{line}")
            if name in seen:
                raise HarnessError(f"{path}:{line}: id stands twice, first on line {seen[name]}")
            seen[name] = line
        cluster = name if columns.cluster is None else _name(row, columns.cluster, f"{path}:{line}")
        texts = [_text(row, column, f"{path}:{line}") for column in (hypothesis, reference)]
        yield Pair(texts[0], texts[1], cluster)


def _texts(
    path: Path, columns: Columns, rows: Iterable[tuple[int, int, Record]]
) -> Iterator[tuple[int, int, str, str, str]]:
    """Line, place, id, text and cluster ("" without one) of each row."""
    for line, at, row in rows:
        place = f"{path}:{line}"
        name = _name(row, columns.id or _usual(row, IDS, "--id", place), place)
        text = _text(row, columns.text or _usual(row, TEXTS, "--text", place), place)
        yield line, at, name, text, _name(row, columns.cluster, place) if columns.cluster else ""


def _usual(row: Record, names: Sequence[str], option: str, place: str) -> str:
    found = next((name for name in names if name in row), None)
    if found is None:
        raise HarnessError(
            f"{place}: no column {' or '.join(names)}; name one with {option}: {', '.join(row)}"
        )
    return found


def _value(row: Record, column: str, place: str) -> Any:
    if column not in row:
        near = difflib.get_close_matches(column, row, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(row)}"
        raise HarnessError(f"{place}: no column {column}; {hint}")
    return row[column]


def _name(row: Record, column: str, place: str) -> str:
    value = _value(row, column, place)
    name = str(value).strip() if isinstance(value, str | int) else ""
    if not name:
        raise HarnessError(f"{place}: {column} is empty, or no name")
    return name


def _text(row: Record, column: str, place: str) -> str:
    value = _value(row, column, place)
    if value is not None and not isinstance(value, str):
        raise HarnessError(f"{place}: {column} is no text")
    return value or ""
