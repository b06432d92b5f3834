"""ROUGE-L as Google's reference implementation computes it: mean of study scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import Measure, Pairs, Section, from_fixed, ratio, to_fixed
from harness.measures.tokens import TOKENIZERS


class RougeL(Measure):
    """Mean over studies of the F1 of the longest common subsequence of tokens.

    Lin, ACL 2004 workshop; F1 with equal weights, tokens and stemming as in Google's
    implementation. A study whose candidate or reference has no tokens scores 0.

    Args:
        stem: Porter-stem tokens of more than three characters.
        section: "report" (findings and impression), "findings" or "impression".
    """

    name = "rougeL"

    def __init__(self, stem: bool = True, section: Section = "report") -> None:
        if section not in ("report", "findings", "impression"):
            raise ValueError("section must be report, findings or impression")
        self.stem = stem
        self.section = section
        self.columns = ("score", "score_fraction", "studies")
        self.values = ("value",)

    def signature(self) -> str:
        """`rougeL|google|stem|section:SECTION|vN`, or `nostem`."""
        stem = "stem" if self.stem else "nostem"
        return f"rougeL|google|{stem}|section:{self.section}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """The study's F1 in fixed point (`to_fixed`), and 1; shape (n, 3)."""
        tokenize = TOKENIZERS["google-stem" if self.stem else "google"]
        scores = [
            lcs_f1(tokenize(candidate), tokenize(reference))
            for candidate, reference in zip(
                pairs.candidate.texts(self.section),
                pairs.reference.texts(self.section),
                strict=True,
            )
        ]
        fixed = to_fixed(np.array(scores, dtype=np.float64))
        return np.concatenate([fixed, np.ones((len(pairs), 1), dtype=np.int64)], axis=1)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean, in [0, 1]."""
        return ratio(from_fixed(totals)[..., None], totals[..., 2:])


def lcs_f1(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of the longest common subsequence: 2 L / (len(candidate) + len(reference))."""
    if not candidate or not reference:
        return 0.0
    return 2 * lcs_length(candidate, reference) / (len(candidate) + len(reference))


def lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel (Hyyrö, 2004): one bit a token of `first`, one addition a token of `second`; bits
    that end as 0 count the subsequence.
    """
    places: dict[str, int] = {}
    for index, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << index
    full = (1 << len(first)) - 1
    bits = full
    for token in second:
        match = bits & places.get(token, 0)
        bits = (bits + match | bits - match) & full
    return len(first) - bits.bit_count()
