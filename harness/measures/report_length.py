"""How long the reports are, beside the references."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import Measure, Pairs, Section, ratio


class ReportLength(Measure):
    """Mean words of candidate and reference, and their ratio.

    Words are runs without white space. "ratio" is all the candidate's words / all the
    reference's: below 1 the candidate says less. An empty report has 0 words and counts.

    Args:
        section: "report" (findings and impression), "findings" or "impression".
    """

    name = "report_length"
    needs = ()
    columns = ("candidate_words", "reference_words", "studies")
    values = ("candidate", "reference", "ratio")

    def __init__(self, section: Section = "report") -> None:
        if section not in get_args(Section):
            raise ValueError(f"section must be one of {', '.join(get_args(Section))}")
        self.section = section

    def signature(self) -> str:
        """`report_length|unit:word|tok:raw|section:SECTION|vN`."""
        return f"{self.name}|unit:word|tok:raw|section:{self.section}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Words of the candidate, of the reference, and 1; shape (n, 3)."""
        words = [
            [len(text.split()) for text in side.texts(self.section)]
            for side in (pairs.candidate, pairs.reference)
        ]
        return np.stack([*words, np.ones(len(pairs))], axis=1).astype(np.int64)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Words, words, and a ratio of 0 or more."""
        candidate, reference, studies = (totals[..., column] for column in range(3))
        values = (ratio(candidate, studies), ratio(reference, studies), ratio(candidate, reference))
        return np.stack(values, axis=-1)
