"""Which texts nearly repeat one of many others, exactly and without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.errors import CohortError
from harness.measures.base import Section
from harness.measures.tokens import TOKENIZERS
from harness.records import Record, read_records
from harness.report import join_sections

RUN: Final = 3
"""Words of a run; a shorter text is one run."""


class NearCopies:
    """An index of texts by their runs of three words.

    Two texts are near-copies when at least 4/5 of all runs that occur in either occur in both
    (Jaccard resemblance; Broder, On the resemblance and containment of documents, 1997).
    """

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        """Indexes texts, each given as its words; texts without words are passed over."""
        self._codes: dict[tuple[str, ...], int] = {}
        codes, sizes = [], []
        for runs in {frozenset(_runs(words)) for words in texts if words}:
            codes += [self._codes.setdefault(run, len(self._codes)) for run in runs]
            sizes.append(len(runs))
        self._sizes = np.array(sizes, dtype=np.int64)
        text = np.repeat(np.arange(len(sizes)), self._sizes)
        code = np.array(codes, dtype=np.int64)
        self._texts: NDArray[np.intp] = text[np.argsort(code, kind="stable")]
        self._ends = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=len(self._codes)))])

    @classmethod
    def read(cls, path: Path, section: Section = "report") -> NearCopies:
        """The index of a file: .csv or .jsonl with sections or reports, or .txt, one a line.

        Raises:
            CohortError: it cannot be read, lacks the columns, or holds no text.
        """
        index = cls(map(TOKENIZERS["ptb"], _texts(path, section)))
        if not len(index._sizes):
            raise CohortError(f"{path}: holds no report to compare with")
        return index

    def near(self, words: Sequence[str]) -> bool:
        """Whether a text, given as its words, is a near-copy of one in the index."""
        runs = set(_runs(words)) if words else set()
        known = [self._codes[run] for run in runs if run in self._codes]
        if not known:
            return False
        hits = np.concatenate([self._texts[self._ends[code] : self._ends[code + 1]] for code in known])
        shared = np.bincount(hits, minlength=len(self._sizes))
        return bool((5 * shared >= 4 * (self._sizes + len(runs) - shared)).any())


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[place : place + RUN]) for place in range(max(1, len(words) - RUN + 1)))


def _texts(path: Path, section: Section) -> Iterator[str]:
    if path.suffix == ".txt":
        try:
            yield from path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CohortError(f"{path}: cannot be read as UTF-8 text: {type(error).__name__}") from None
        return
    for line, row in read_records(path, CohortError):
        yield _text(row, section, f"{path}:{line}")


def _text(row: Record, section: Section, place: str) -> str:
    wanted = ["findings", "impression"] if section == "report" and "report" not in row else [section]
    there = [row[name] for name in wanted if name in row]
    if not there:
        raise CohortError(f"{place}: needs {' and/or '.join(wanted)}, or report; it has {', '.join(row)}")
    if any(not isinstance(text, str | None) for text in there):
        raise CohortError(f"{place}: {' and '.join(wanted)} must be text")
    return join_sections(text or "" for text in there)
