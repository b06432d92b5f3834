"""An error analysis as files for other programs: JSON and Parquet, without any word of a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from harness.error_analysis.model import Error, ErrorAnalysis, Span
from harness.ledger import write_atomically

_SPANS: Final = pa.list_(pa.struct([("start", pa.int32()), ("end", pa.int32()), ("kind", pa.string())]))
_NAMES: Final = pa.list_(pa.string())
ERRORS: Final = pa.schema(
    [
        ("study_id", pa.string()),
        ("patient_id", pa.string()),
        ("finding", pa.string()),
        ("error_class", pa.string()),
        ("critical", pa.bool_()),
        ("status", pa.string()),
        ("reference_state", pa.string()),
        ("candidate_state", pa.string()),
        ("reference_spans", _SPANS),
        ("candidate_spans", _SPANS),
        ("reference_laterality", pa.string()),
        ("candidate_laterality", pa.string()),
        ("reference_severity", pa.string()),
        ("candidate_severity", pa.string()),
        ("missing", _NAMES),
        ("also", _NAMES),
        ("said_instead", _NAMES),
    ]
)
"""One row an error. Spans are characters [start, end) of findings and impression, joined by a line
break."""


def write_files(out: Path, analysis: ErrorAnalysis) -> list[Path]:
    """Writes errors.json and errors.parquet into a folder; returns their paths.

    Raises:
        LedgerError: the disk is full or cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(analysis.as_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomically(out / "errors.json", text.encode())
    table = pa.Table.from_pylist([_record(error) for error in analysis.errors], schema=ERRORS)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomically(out / "errors.parquet", sink.getvalue().to_pybytes())
    return [out / "errors.json", out / "errors.parquet"]


def _record(error: Error) -> dict[str, Any]:
    record = {name: getattr(error, name) for name in ERRORS.names}
    for side in ("reference_spans", "candidate_spans"):
        record[side] = [_span(span) for span in record[side]]
    return {
        key: str(value)
        if isinstance(value, str)
        else [str(item) for item in value]
        if key in _LISTS
        else value
        for key, value in record.items()
    }


_LISTS: Final = ("missing", "also", "said_instead")


def _span(span: Span) -> dict[str, Any]:
    return {"start": span.start, "end": span.end, "kind": span.kind}
