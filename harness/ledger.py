"""What happened: a run folder of Parquet parts, each written once, under a hash-chained log."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.chain import Chain
from harness.digests import canonical_json, digest_file, digest_object, digest_value
from harness.errors import LedgerError

Table = Literal["cases", "predictions", "timings", "rows"]
TABLES: Final[tuple[Table, ...]] = ("cases", "predictions", "timings", "rows")

DIGESTED: Final[tuple[Table, ...]] = ("cases", "predictions", "rows")
"""What the ledger digest is made of; times differ from run to run: evidence, not content."""


LABELS: Final = pa.list_(pa.int8())
"""Type of a column of `State` codes."""

BLOCK: Final = 500
"""Studies held at a time: some MB."""

_PARTS_HELD: Final = 16
"""Parts kept open for reading; workers finish nearly in the order of the studies."""


class Readable(Protocol):
    """A ledger, or what a packet attaches of it: enough to work out estimates and verdict again."""

    root: Path
    identity: dict[str, Any]
    log: Chain

    def read(self, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
        """A table, sorted by study id."""

    def blocks(self, table: Table, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The same, some studies at a time."""

    def results(self) -> dict[str, Any]:
        """results.json."""

    def digest(self) -> str:
        """The ledger digest."""


class Ledger:
    """A run folder.

    ```
    run.json                who, what, with which digests; written first, never changed
    suite.yaml              the suite file as it was
    log.jsonl               the hash chain; a part counts only if it stands here
    log.head.json           how far the log went; may be signed
    cases/00000.parquet     references, labels, groups, digests of the studies that were asked
    predictions/00000...    status and report of each study
    timings/00000...        latency of each study
    rows/00000...           labels read from texts, and the integer row of each measure
    results.json            estimates and verdict, derived from the rows
    ```

    A part is written beside its name, flushed, renamed, and then entered in the log. What a crash
    leaves between two of these steps is removed when the folder is next opened for writing.
    """

    def __init__(self, root: Path) -> None:
        """Opens an existing run folder for reading; checks the log's chain and the identity.

        Raises:
            LedgerError: there is no run, or its log or identity was changed.
        """
        self.root = root
        if not (root / "run.json").exists():
            inside = sorted(path.parent for path in root.glob("*/run.json"))
            hint = f"did you mean {inside[0]}?" if inside else "make one with: harness run"
            raise _misuse(f"{root}: no run here (no run.json); {hint}")
        self.log = Chain(root / "log.jsonl")
        try:
            self.identity: dict[str, Any] = json.loads((root / "run.json").read_bytes())
        except ValueError:
            raise LedgerError(f"{root / 'run.json'}: not JSON; the run folder is damaged") from None
        self._parts: dict[Table, dict[str, dict[str, Any]]] = {table: {} for table in TABLES}
        started = False
        for entry in self.log.entries():
            if entry["event"] == "started":
                started = True
                if entry["identity"] != digest_value(self.identity):
                    raise LedgerError(f"{root / 'run.json'}: was changed after the run began")
            elif entry["event"] == "part":
                self._parts[entry["table"]][entry["part"]] = entry
        if not started:
            raise LedgerError(f"{root}: the log does not hold the start of the run; it is damaged")

    @classmethod
    @contextlib.contextmanager
    def writing(cls, root: Path, identity: dict[str, Any], suite_text: bytes) -> Iterator[Ledger]:
        """Begins a run, or takes up the one that is there if it is the very same; holds the folder.

        What a crash left unfinished is removed, under the lock, so that it cannot be the work of
        another process that is still at it.

        Raises:
            LedgerError: another process is writing this run; the folder holds something else:
                another run (says what differs), or files that are not a run; it cannot be written.
        """
        with _only_writer(root):
            if not (root / "run.json").exists():
                _begin(root, identity, suite_text)
            Chain(root / "log.jsonl").repair()
            ledger = cls(root)
            different = sorted(
                key for key in {*identity, *ledger.identity} if identity.get(key) != ledger.identity.get(key)
            )
            if different:
                raise _misuse(
                    f"{root}: holds another run; different: {', '.join(different)}. "
                    "Name a new folder, or remove this one"
                )
            ledger._sweep()
            yield ledger

    def write(self, table: Table, records: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
        """Adds one part and enters it in the log. Records must hold `study_id`.

        Raises:
            LedgerError: the disk is full or cannot be written; what was there before stands.
        """
        part = f"{len(self._parts[table]):05d}"
        path = self._path(table, part)
        data = pa.Table.from_pylist(list(records), schema=schema)
        temporary = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            pq.write_table(data, temporary, compression="zstd")
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
            entry = self.log.append(
                "part", table=table, part=part, studies=len(records), sha256=digest_file(path)
            )
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise LedgerError(
                f"{path}: cannot be written: {error.strerror}. Nothing is lost: free some space "
                "and give the same command again"
            ) from None
        self._parts[table][part] = entry

    def read(self, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
        """All parts of a table, sorted by study id; digests are checked.

        Raises:
            LedgerError: a part is missing or was changed, or a study stands in it twice.
        """
        tables = [self._part(table, part, columns) for part in self._names(table)]
        joined = pa.concat_tables(tables).sort_by("study_id")
        self._check_once(table, joined.column("study_id"))
        return joined

    def blocks(
        self, table: Table, columns: Sequence[str] | None = None, size: int = BLOCK
    ) -> Iterator[pa.Table]:
        """What `read` gives, so many studies at a time; but for the ids only these are held.

        Blocks of tables that hold the same studies are of the same studies.

        Raises:
            LedgerError: as `read`.
        """
        names = self._names(table)
        ids = [self._part(table, part, ["study_id"]).column("study_id") for part in names]
        chunks = [chunk for column in ids for chunk in column.chunks]
        order = pa.table(
            {
                "study_id": pa.chunked_array(chunks, pa.string()),
                "part": np.repeat(np.arange(len(ids)), [len(column) for column in ids]),
                "row": np.concatenate([np.arange(len(column)) for column in ids]),
            }
        ).sort_by("study_id")
        self._check_once(table, order.column("study_id"))
        part, row = (order.column(name).to_numpy() for name in ("part", "row"))
        del order, ids
        held: OrderedDict[int, pa.Table] = OrderedDict()

        def piece(number: int, rows: NDArray[np.int64]) -> pa.Table:
            if number not in held:
                path = self._path(table, names[number])
                held[number] = pq.read_table(path, columns=list(columns) if columns else None)
            held.move_to_end(number)
            found = held[number].take(rows)
            if len(held) > _PARTS_HELD:
                held.popitem(last=False)
            return found

        for start in range(0, len(part), size):
            those, rows = part[start : start + size], row[start : start + size]
            places = [np.flatnonzero(those == number) for number in np.unique(those)]
            joined = pa.concat_tables([piece(int(those[place[0]]), rows[place]) for place in places])
            yield joined.take(np.argsort(np.concatenate(places))).combine_chunks()

    def _names(self, table: Table) -> list[str]:
        if not self._parts[table]:
            raise LedgerError(f"{self.root}: no {table} yet; the run is not complete")
        return sorted(self._parts[table])

    def _part(self, table: Table, part: str, columns: Sequence[str] | None) -> pa.Table:
        """A part, after checking its digest."""
        path = self._path(table, part)
        if not path.exists():
            raise LedgerError(f"{path}: is in the log but not there")
        if digest_file(path) != self._parts[table][part]["sha256"]:
            raise LedgerError(f"{path}: was changed after it was written")
        return pq.read_table(path, columns=list(columns) if columns else None)

    def _check_once(self, table: Table, ids: pa.ChunkedArray) -> None:
        if len(ids.unique()) != len(ids):
            raise LedgerError(f"{self.root}: a study stands twice in {table}")

    def done(self, table: Table) -> set[str]:
        """The ids of the studies already written."""
        if not self._parts[table]:
            return set()
        return set(self.read(table, ["study_id"]).column("study_id").to_pylist())

    def digest(self) -> str:
        """SHA-256 (hex) of what was asked and what was answered.

        It does not depend on the number of processes, on the order of work, on crashes and
        resumes, or on times.
        """
        asked = {key: self.identity[key] for key in ("suite", "cohort", "candidate")}
        return digest_object({**asked, **{table: self._digests(table) for table in DIGESTED}})

    def _digests(self, table: Table) -> Iterator[str]:
        for block in self.blocks(table):
            yield from map(digest_value, block.to_pylist())

    def write_results(self, results: dict[str, Any]) -> None:
        """Writes results.json and enters its digest in the log."""
        path = self.root / "results.json"
        write_atomically(path, json.dumps(results, indent=1, allow_nan=False).encode() + b"\n")
        if self._results_entry().get("sha256") != digest_file(path):
            self.log.append("results", sha256=digest_file(path), verdict=results["verdict"]["status"])

    def results(self) -> dict[str, Any]:
        """The estimates and verdict of a complete run.

        Raises:
            LedgerError: the run is not complete, or results.json was changed.
        """
        path = self.root / "results.json"
        if not path.exists():
            raise LedgerError(f"{self.root}: the run is not complete; give its harness run command again")
        if self._results_entry().get("sha256") != digest_file(path):
            raise LedgerError(f"{path}: was changed after it was written")
        results: dict[str, Any] = json.loads(path.read_bytes())
        return results

    def _results_entry(self) -> dict[str, Any]:
        last: dict[str, Any] = {}
        for entry in self.log.entries():
            if entry["event"] == "results":
                last = entry
        return last

    def _path(self, table: Table, part: str) -> Path:
        return self.root / table / f"{part}.parquet"

    def _sweep(self) -> None:
        """Removes parts that a crash left outside the log."""
        for table in TABLES:
            known = {self._path(table, part) for part in self._parts[table]}
            for path in (self.root / table).glob("*"):
                if path not in known:
                    path.unlink()


def matrix(table: pa.Table, column: str) -> NDArray[np.int64]:
    """A column of equally long lists as an array, shape (rows, length)."""
    lists = table.column(column).combine_chunks()
    flat: NDArray[np.int64] = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    return flat.reshape(table.num_rows, -1)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that it is there whole or not at all.

    Raises:
        LedgerError: the disk is full or cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        shutil.move(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise LedgerError(f"{path}: cannot be written: {error.strerror}; free some space") from None


@contextlib.contextmanager
def _only_writer(root: Path) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        stream = (root / "lock").open("w")
    except OSError as error:
        raise _misuse(f"{root}: cannot be written: {error.strerror}; name another folder") from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _misuse(f"{root}: another process is writing this run") from None
        yield


def _begin(root: Path, identity: dict[str, Any], suite_text: bytes) -> None:
    """Writes suite, log and identity, in this order: without the last there is no run yet."""
    begun = {"suite.yaml", "log.jsonl", "log.head.json", "log.head.json.tmp", "run.json.tmp",
             "suite.yaml.tmp", "lock"}  # fmt: skip
    if {item.name for item in root.iterdir()} - begun:
        raise _misuse(f"{root}: is not empty and holds no run; name a new folder")
    for name in ("log.head.json", "log.jsonl"):
        (root / name).unlink(missing_ok=True)
    write_atomically(root / "suite.yaml", suite_text)
    Chain(root / "log.jsonl").append("started", identity=digest_value(identity))
    write_atomically(root / "run.json", canonical_json(identity).encode())


def _misuse(message: str) -> LedgerError:
    error = LedgerError(message)
    error.exit_code = 2
    return error
