"""Does the candidate write for this study, or the same for every study?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from harness.digests import digest_file
from harness.measures.base import Pairs, Section, WeightedMeasure, ratio
from harness.measures.near_copies import NearCopies
from harness.measures.tokens import TOKENIZERS

Ints = NDArray[np.int64]

_NO_INTERVAL: Final = "a resample repeats studies, so its share of distinct reports is no estimate"


class DegenerateOutput(WeightedMeasure):
    """How often the same report comes again; one constant report scores well on overlap measures.

    "most-common": studies with the most common report / studies. "distinct": different reports /
    studies, 1 where no two are alike; it falls as studies are added, so it has no interval. Both
    are also given of the references, for scale: radiologists word many normal studies alike. Two
    reports are the same when their words are: case, punctuation and spacing do not count. Failed
    studies all have the same, empty report.

    "near-copy", with a training set: studies whose report is a near-copy of a training report /
    studies. It shares with one of them at least 4/5 of all three-word runs that occur in either
    (resemblance; Broder, 1997).

    The interval of a most common share is that of a proportion, with patients as clusters. The
    report was chosen for being common, so the upper bound errs to the high side, if at all.

    Args:
        section: "report" (findings and impression), "findings" or "impression".
        training: path of the reports that the candidate learned from: .csv or .jsonl with columns
            `findings` and/or `impression`, or `report`; or .txt, one report a line. The file is
            read again wherever the measure is used, by the gate too.
    """

    name = "degenerate_output"
    higher_is_better = False
    needs = ()
    without_interval = MappingProxyType({"distinct": _NO_INTERVAL, "reference-distinct": _NO_INTERVAL})

    def __init__(self, section: Section = "report", training: str | None = None) -> None:
        if section not in get_args(Section):
            raise ValueError(f"section must be one of {', '.join(get_args(Section))}")
        if training is not None and not Path(training).is_file():
            raise ValueError(f"training: {training}: no such file")
        self.section, self.training = section, training
        near = training is not None
        self.columns = ("report_digest", "reference_digest", *(["near_copy"] if near else []))
        self.values = ("most-common", "distinct", "reference-most-common", "reference-distinct",
                       *(["near-copy"] if near else []))  # fmt: skip

    def signature(self) -> str:
        """`degenerate_output|tok:ptb|case:lower|punct:no|section:SECTION|vN`, and the training set."""
        parts = [self.name, TOKENIZERS["ptb"].signature, f"section:{self.section}"]
        if self.training is not None:
            parts.append(f"near-copy:jaccard3>=0.8|training:{digest_file(Path(self.training))[:12]}")
        return "|".join([*parts, f"v{self.version}"])

    def rows(self, pairs: Pairs) -> Ints:
        """62-bit digests of candidate's and reference's words, and 1 for a near-copy; (n, 2 or 3)."""
        tokenize = TOKENIZERS["ptb"]
        candidates = [tokenize(text) for text in pairs.candidate.texts(self.section)]
        references = [tokenize(text) for text in pairs.reference.texts(self.section)]
        columns = [list(map(_digest, candidates)), list(map(_digest, references))]
        if self.training is not None:
            columns.append([self._copies.near(words) for words in candidates])
        return np.array(columns, dtype=np.int64).T.reshape(len(pairs), len(self.columns))

    @cached_property
    def _copies(self) -> NearCopies:
        return NearCopies.read(Path(self.training or ""), self.section)

    def weighted(self, rows: Ints, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The shares, in [0, 1]."""
        studies = weights.sum(axis=-1)
        shares = []
        for column in range(2):
            groups = _group_sums(rows[:, column], weights)
            shares += [ratio(groups.max(axis=-1, initial=0.0), studies),
                       ratio((groups > 0).sum(axis=-1).astype(np.float64), studies)]  # fmt: skip
        if self.training is not None:
            shares.append(ratio(weights @ rows[:, 2].astype(np.float64), studies))
        return np.stack(shares, axis=-1)

    def counts(self, rows: Ints) -> Mapping[str, tuple[Ints, Ints]]:
        """Studies with the most common report (of equals, the least digest); near-copies."""
        studies = np.ones(len(rows), dtype=np.int64)
        found = {
            "most-common": (_is_most_common(rows[:, 0]), studies),
            "reference-most-common": (_is_most_common(rows[:, 1]), studies),
        }
        if self.training is not None:
            found["near-copy"] = (rows[:, 2], studies)
        return found


def _digest(words: Sequence[str]) -> int:
    text = " ".join(words).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 2


def _group_sums(digests: Ints, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each different report, shape (..., different reports)."""
    order = np.argsort(digests, kind="stable")
    starts = np.unique(digests[order], return_index=True)[1]
    if not len(starts):
        return np.zeros((*weights.shape[:-1], 0))
    return np.add.reduceat(weights[..., order], starts, axis=-1)


def _is_most_common(digests: Ints) -> Ints:
    names, counts = np.unique(digests, return_counts=True)
    return (digests == names[counts.argmax()]).astype(np.int64) if len(names) else digests
