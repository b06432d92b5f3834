"""Annotations kept on disk, so that no text is read twice by the same annotator."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.annotators.base import Graph, GraphAnnotator, Labeler
from harness.digests import code_digest, digest_value
from harness.errors import HarnessError
from harness.report import FINDINGS

_log: Final = logging.getLogger(__name__)
_ASKED_AT_ONCE: Final = 500
_PATIENCE_S: Final = 60.0

Result = TypeVar("Result")
Read = Callable[[Sequence[str]], Sequence[Any]]
"""Texts to plain JSON values, one each."""


class AnnotationCache:
    """What one annotator said of texts, in one SQLite file of a folder.

    The file is named by a digest of the annotator's signature and of the harness's own code, an
    entry by the SHA-256 of its text: another annotator, or a changed one, reads another file. Each
    entry carries a digest over key and value; one that does not match is read anew, and a file
    that is no database is set aside. Several processes may share a folder.

    It holds words of reports: keep the folder where reports may lie.
    """

    def __init__(self, folder: Path, signature: str) -> None:
        name = digest_value([signature, _code()])
        self.path = folder / f"{name[:40]}.sqlite"

    def read(self, texts: Sequence[str], read: Read) -> list[Any]:
        """The values of texts, in their order; `read` is asked once for each text not known yet.

        Raises:
            HarnessError: the folder cannot be written.
        """
        keys = [_key(text) for text in texts]
        known = self._known(sorted(set(keys)))
        todo = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if todo:
            found = dict(zip(todo, read(list(todo.values())), strict=True))
            self._add(found)
            # Through JSON like the others, so that a value does not depend on where it came from.
            known |= {key: json.loads(json.dumps(value)) for key, value in found.items()}
        return [known[key] for key in keys]

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        def select(database: sqlite3.Connection) -> dict[bytes, Any]:
            known: dict[bytes, Any] = {}
            for start in range(0, len(keys), _ASKED_AT_ONCE):
                some = keys[start : start + _ASKED_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = database.execute(
                    f"SELECT text, value, digest FROM annotations WHERE text IN ({marks})",  # noqa: S608
                    some,
                )
                known |= {
                    key: json.loads(value) for key, value, digest in rows if digest == _seal(key, value)
                }
            return known

        return self._in_database(select)

    def _add(self, found: dict[bytes, Any]) -> None:
        values = [(key, json.dumps(value)) for key, value in found.items()]
        entries = [(key, value, _seal(key, value)) for key, value in values]
        self._in_database(
            lambda database: database.executemany(
                "INSERT OR REPLACE INTO annotations VALUES (?, ?, ?)", entries
            )
        )

    def _in_database(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Does something in one transaction; a damaged file is set aside and a new one begun."""
        try:
            try:
                return self._transaction(work)
            except sqlite3.OperationalError:  # locked, full, not writable: not a damaged file
                raise
            except sqlite3.DatabaseError:
                _log.warning("%s: damaged, and set aside; its texts are read again", self.path)
                self.path.replace(self.path.with_suffix(".damaged"))
                return self._transaction(work)
        except (OSError, sqlite3.Error) as error:
            raise HarnessError(
                f"{self.path}: annotations cannot be kept here: {error}; free some space, or name "
                "another folder with --annotations"
            ) from None

    def _transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, timeout=_PATIENCE_S)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS annotations"
                " (text BLOB PRIMARY KEY, value TEXT NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID"
            )
            return work(database)


class CachedLabeler(Labeler):
    """A labeler that reads no text twice."""

    def __init__(self, labeler: Labeler, folder: Path) -> None:
        self.name = labeler.name  # type: ignore[misc]
        self.heavy = labeler.heavy  # type: ignore[misc]
        self.labeler = labeler
        self._cache = AnnotationCache(folder, f"labels|{labeler.signature()}")

    def signature(self) -> str:
        """The labeler's own."""
        return self.labeler.signature()

    def label(self, texts: Sequence[str]) -> NDArray[np.int8]:
        """As the labeler."""
        rows = self._cache.read(texts, lambda new: self.labeler.label(new).tolist())
        return np.array(rows, dtype=np.int8).reshape(len(texts), len(FINDINGS))

    def label_reports(self, texts: Sequence[str], records: Sequence[str]) -> NDArray[np.int8]:
        """As the labeler; what it takes from structured reports is not kept, for nothing is read."""
        return self.label(texts) if self.labeler.reads_texts else self.labeler.label_reports(texts, records)


class CachedGraphs(GraphAnnotator):
    """A graph annotator that reads no text twice."""

    def __init__(self, annotator: GraphAnnotator, folder: Path) -> None:
        self.name = annotator.name  # type: ignore[misc]
        self.heavy = annotator.heavy  # type: ignore[misc]
        self.annotator = annotator
        self._cache = AnnotationCache(folder, f"graphs|{annotator.signature()}")

    def signature(self) -> str:
        """The annotator's own."""
        return self.annotator.signature()

    def annotate(self, texts: Sequence[str]) -> list[Graph | None]:
        """As the annotator."""
        return self._cache.read(texts, self.annotator.annotate)


@cache
def _code() -> str:
    return code_digest()


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _seal(key: bytes, value: str) -> bytes:
    return hashlib.blake2b(key + str(value).encode("utf-8", "surrogatepass"), digest_size=16).digest()
