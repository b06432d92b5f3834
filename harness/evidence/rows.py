"""The ledger without its texts: one Parquet file of integers from which every table follows again."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from harness.chain import Chain
from harness.errors import LedgerError
from harness.evidence.identifiers import Identifiers, check_ages
from harness.ledger import BLOCK, Ledger, Table
from harness.resampling_ids import resampling_ids
from harness.suite import Suite, read_suite

ROWS: Final = "rows.parquet"
STUDY_COLUMNS: Final = ("study_id", "patient_id", "cluster", "status", "latency_s", "groups", "labels",
                        "reference_labels", "candidate_labels")  # fmt: skip
"""What `rows.parquet` says of each study besides its measures' columns, `MEASURE/COLUMN`."""

_TABLES: Final[dict[Table, tuple[str, ...]]] = {
    "cases": ("study_id", "patient_id", "cluster", "groups", "labels"),
    "predictions": ("study_id", "status"),
    "timings": ("study_id", "latency_s"),
    "rows": ("study_id", "reference_labels", "candidate_labels"),
}


def attached_rows(ledger: Ledger, suite: Suite, identifiers: Identifiers) -> bytes:
    """`rows.parquet`: a study a line, by its pseudonym; the same ledger and key give the same bytes.

    Columns: those of `STUDY_COLUMNS`, then `MEASURE/COLUMN`, 64-bit integers, for every column of every
    measure. `cluster` stands for the patient where resampling weights are drawn; `labels` are the
    cohort's, `reference_labels` those that were judged by (`State` codes, in the order of `FINDINGS`).

    Raises:
        HarnessError: the groups tell single ages that identify.
    """
    cases, rows = ledger.read("cases"), ledger.read("rows")
    status = ledger.read("predictions", ["study_id", "status"])
    seconds = dict(
        zip(
            *(ledger.read("timings").column(name).to_pylist() for name in ("study_id", "latency_s")),
            strict=True,
        )
    )
    studies, patients = (cases.column(name).to_pylist() for name in ("study_id", "patient_id"))
    groups = cases.column("groups").to_pylist()
    check_ages(json.loads(text) for text in groups)
    columns: dict[str, Any] = {
        "study_id": [identifiers.study(study) for study in studies],
        "patient_id": [identifiers.patient(patient) for patient in patients],
        "cluster": resampling_ids(cases, suite.inference.seed),
        "status": status.column("status"),
        "latency_s": [seconds.get(study) for study in studies],
        "groups": groups,
        "labels": cases.column("labels"),
        "reference_labels": rows.column("reference_labels"),
        "candidate_labels": rows.column("candidate_labels"),
    }
    for key, measure in suite.build_measures().items():
        table = rows.column(key).combine_chunks()
        for place, name in enumerate(measure.columns):
            columns[f"{key}/{name}"] = pa.compute.list_element(table, place)
    joined = pa.table(columns).sort_by("study_id").combine_chunks()
    stream = io.BytesIO()
    pq.write_table(joined, stream, compression="zstd", row_group_size=1 << 20, write_page_checksum=True)
    return stream.getvalue()


class LoggedRun:
    """A packet's evidence folder without its rows, as the public variant is: identity, log and results."""

    def __init__(self, root: Path) -> None:
        """Opens an evidence folder.

        Raises:
            LedgerError: a file is missing or is not what its name says; the log's chain is broken.
        """
        self.root = root
        self.identity: dict[str, Any] = read_object(root / "run.json")
        self.log = Chain(root / "log.jsonl")

    def results(self) -> dict[str, Any]:
        """results.json as attached."""
        return read_object(self.root / "results.json")

    def digest(self) -> str:
        """The ledger digest as attached; it cannot be worked out without the texts."""
        return str(self.results()["ledger"])


class Evidence(LoggedRun):
    """A packet's evidence folder, read as a `Ledger` is: `read`, `identity`, `results`, `log`, `digest`.

    Ids are pseudonyms; there are no texts, no paths and no pictures.
    """

    def __init__(self, root: Path) -> None:
        """Opens an evidence folder with rows.

        Raises:
            LedgerError: a file is missing or is not what its name says; the log's chain is broken.
        """
        super().__init__(root)
        try:
            self._rows = pq.read_table(root / ROWS, page_checksum_verification=True)
            missing = set(STUDY_COLUMNS) - set(self._rows.column_names)
        except (OSError, ValueError) as error:
            raise LedgerError(f"{root / ROWS}: cannot be read ({_first_line(error)})") from None
        if missing:
            raise LedgerError(f"{root / ROWS}: lacks the columns {', '.join(sorted(missing))}")

    def read(self, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
        """A table as `Ledger.read` gives it, less what is not attached; sorted by pseudonym.

        Raises:
            LedgerError: a column is not there.
        """
        names = _TABLES[table]
        try:
            found = self._rows.select(names)
            if table == "rows":
                for part in read_suite(self.root / "suite.yaml").measures:
                    found = found.append_column(part.key, self._measure(part.key, part.build().columns))
            return found.select(columns) if columns else found
        except KeyError as error:
            raise LedgerError(f"{self.root / ROWS}: no column {_first_line(error)}") from None

    def blocks(self, table: Table, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """What `read` gives, some studies at a time."""
        found = self.read(table, columns)
        for start in range(0, found.num_rows, BLOCK):
            yield found.slice(start, BLOCK)

    def _measure(self, key: str, names: Sequence[str]) -> pa.Array:
        columns = [self._rows.column(f"{key}/{name}").to_numpy() for name in names]
        if any(column.dtype.kind != "i" for column in columns):
            raise LedgerError(f"{self.root / ROWS}: column {key} holds what is no whole number")
        flat = [value for row in zip(*(column.tolist() for column in columns), strict=True) for value in row]
        offsets = range(0, len(flat) + 1, len(names))
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.int64()))


def open_evidence(folder: Path) -> Evidence:
    """The evidence folder of a packet with rows.

    Raises:
        LedgerError: there is none, or it is damaged.
    """
    return Evidence(folder)


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        LedgerError: it cannot be read, or is no object.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LedgerError(f"{path}: cannot be read ({_first_line(error)})") from None
    if not isinstance(found, dict):
        raise LedgerError(f"{path}: is no JSON object")
    return found


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
