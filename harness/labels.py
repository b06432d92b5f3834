"""Files of reports to files of labels in CheXpert's convention, and against people's labels."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from harness.annotators.accuracy import Accuracy, measure
from harness.annotators.base import Labeler
from harness.digests import digest_file
from harness.errors import HarnessError
from harness.plugins import load
from harness.records import Record, read_records
from harness.report import FINDINGS, INDEX, Finding, State, join_sections

BLOCK: Final = 256
"""Reports labelled at a time: what a stream holds in memory."""
CODES: Final = {State.POSITIVE: "1", State.NEGATIVE: "0", State.UNCERTAIN: "-1", State.NOT_MENTIONED: ""}
"""CheXpert's values (Irvin et al., AAAI 2019)."""
_STATES: Final = {
    "1": State.POSITIVE, "1.0": State.POSITIVE, "0": State.NEGATIVE, "0.0": State.NEGATIVE,
    "-1": State.UNCERTAIN, "-1.0": State.UNCERTAIN, "": State.NOT_MENTIONED,
}  # fmt: skip


class Row(NamedTuple):
    """One report: its id, and its text by column."""

    id: str
    texts: dict[str, str]

    @property
    def text(self) -> str:
        """The columns that say something, one below the other."""
        return join_sections(self.texts.values())


def open_labeler(name: str) -> Labeler:
    """An installed labeler of texts.

    Raises:
        HarnessError: not installed, or it labels no texts.
    """
    cls = load("annotators", name)
    if not (isinstance(cls, type) and issubclass(cls, Labeler)):
        raise HarnessError(f"{name} is no labeler; try rules")
    if not cls.reads_texts:
        raise HarnessError(f"{name} reads structured reports, not texts; try rules")
    return cls()


def read_texts(path: Path, id_column: str, columns: Sequence[str]) -> Iterator[Row]:
    """The reports of a file, streamed.

    Raises:
        HarnessError: while reading: a column that is not there, no id, an id twice, a value that is
            no text; with file and line.
    """
    lines: dict[str, int] = {}
    for line, record in read_records(path, HarnessError):
        for column in (id_column, *columns):
            if column not in record:
                raise HarnessError(f"{path}:{line}: no column {column} (there: {', '.join(record)})")
        name = _id(path, line, record, id_column)
        if name in lines:
            raise HarnessError(f"{path}:{line}: {id_column} stands twice, first on line {lines[name]}")
        lines[name] = line
        texts = {}
        for column in columns:
            value = record[column]
            if value is not None and not isinstance(value, str):
                raise HarnessError(f"{path}:{line}: {column} is no text")
            texts[column] = value or ""
        yield Row(name, texts)


def _id(path: Path, line: int, record: Record, column: str) -> str:
    value = record[column]
    name = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name:
        raise HarnessError(f"{path}:{line}: no {column}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise HarnessError(f"{path}:{line}: {column} holds half a character; write it anew") from None
    return name


def write_csv(stream: TextIO, id_column: str, labeler: Labeler, rows: Iterable[Row]) -> None:
    """CheXpert's CSV: the id, then the 14 findings; 1, 0, -1 or blank."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([id_column, *FINDINGS])
    for block, labels in _labelled(labeler, rows):
        writer.writerows(
            [row.id, *(CODES[State(code)] for code in codes)]
            for row, codes in zip(block, labels.tolist(), strict=True)
        )


def write_jsonl(stream: TextIO, id_column: str, labeler: Labeler, rows: Iterable[Row]) -> None:
    """An object a report: id, labels, and the mentions that prove them where the labeler tells."""
    mentions = getattr(labeler, "mentions", None)
    for block, labels in _labelled(labeler, rows):
        for row, codes in zip(block, labels.tolist(), strict=True):
            record: dict[str, Any] = {
                id_column: row.id,
                "labels": {
                    str(finding): int(code) if (code := CODES[State(state)]) else None
                    for finding, state in zip(FINDINGS, codes, strict=True)
                },
            }
            if mentions is not None:
                record["mentions"] = [_mention(item, row) for item in mentions(row.text)]
            stream.write(json.dumps(record) + "\n")


def _labelled(labeler: Labeler, rows: Iterable[Row]) -> Iterator[tuple[list[Row], NDArray[np.int8]]]:
    stream = iter(rows)
    while block := list(islice(stream, BLOCK)):
        yield block, labeler.label([row.text for row in block])


def _mention(item: Any, row: Row) -> dict[str, Any]:
    """A mention with its places in the columns: [column, start, end], in characters."""

    def place(span: tuple[int, int] | None) -> list[Any] | None:
        if span is None:
            return None
        start = 0
        for column, text in row.texts.items():
            if not text.strip():
                continue
            if span[0] < start + len(text):
                return [column, span[0] - start, min(span[1] - start, len(text))]
            start += len(text) + 1
        raise AssertionError("a mention outside its text")

    return {
        "finding": str(item.finding),
        "label": int(CODES[item.state]),
        "words": row.text[item.start : item.end],
        "at": place((item.start, item.end)),
        "cue": place(item.cue),
        "severity": item.severity and str(item.severity),
        "severity_at": place(item.severity_span),
        "laterality": item.laterality and str(item.laterality),
        "laterality_at": place(item.laterality_span),
    }


def compare(
    path: Path,
    against: Path,
    id_column: str,
    columns: Sequence[str],
    labeler: Labeler,
    rows: Sequence[Row],
    source: str = "",
) -> Accuracy:
    """A labeler's accuracy on reports that people labelled.

    Raises:
        HarnessError: labels that cannot be read, or a report without any.
    """
    truth, findings = _read_truth(against, id_column)
    without = [row.id for row in rows if row.id not in truth]
    if without or not rows:
        raise HarnessError(
            f"{against}: {len(without):,} of the {len(rows):,} reports of {path} have no row there; "
            "label them or leave them out of both"
        )
    labels = labeler.label([row.text for row in rows])
    people = np.array([truth[row.id] for row in rows], dtype=np.int8)
    return Accuracy(
        labeler=labeler.signature(),
        reports=len(rows),
        source=source,
        texts_digest=digest_file(path),
        labels_digest=digest_file(against),
        sections=tuple(columns),
        counts=measure(labels, people, findings),
    )


def _read_truth(path: Path, id_column: str) -> tuple[dict[str, list[State]], list[Finding]]:
    """Id -> states of all 14, and the findings that have a column."""
    truth: dict[str, list[State]] = {}
    findings: list[Finding] = []
    for line, record in read_records(path, HarnessError):
        if id_column not in record:
            raise HarnessError(f"{path}:{line}: no column {id_column} (there: {', '.join(record)})")
        if not truth:
            findings = [finding for finding in FINDINGS if finding in record]
            written_otherwise = {finding.lower(): finding for finding in FINDINGS if finding not in record}
            for column in record:
                if right := written_otherwise.get(column.strip().lower().replace("_", " ")):
                    raise HarnessError(f"{path}: unknown column {column}; did you mean {right}?")
            if not findings:
                raise HarnessError(f"{path}: has none of CheXpert's 14 columns, such as {FINDINGS[9]}")
        name = _id(path, line, record, id_column)
        if name in truth:
            raise HarnessError(f"{path}:{line}: {id_column} stands twice")
        states = [State.NOT_MENTIONED] * len(FINDINGS)
        for finding in findings:
            value = record.get(finding)
            written = "" if value is None else str(value).strip()
            if written not in _STATES:
                raise HarnessError(f"{path}:{line}: {finding} must be 1, 0, -1 or blank")
            states[INDEX[finding]] = _STATES[written]
        truth[name] = states
    return truth, findings
