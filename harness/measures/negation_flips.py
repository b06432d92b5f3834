"""How often a report denies what the reference asserts, or asserts what it denies."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import Measure, Pairs, Proportion, ratio
from harness.report import FINDINGS, INDEX, Finding, State

_CHOSEN = [INDEX[finding] for finding in FINDINGS if finding != Finding.NO_FINDING]


class NegationFlips(Measure):
    """Findings with opposite states / findings on which both sides are definite.

    Over the 13 findings of each study. Definite is positive or negative: what a side leaves out
    or doubts is not compared. The labels are the suite's: of several mentions in a text, positive
    beats uncertain beats negative.
    """

    name = "negation_flips"
    higher_is_better = False
    columns = ("flipped", "definite")
    values = ("value",)
    proportions = MappingProxyType({"value": Proportion("flipped", "definite")})

    def signature(self) -> str:
        """`negation_flips|vN`."""
        return f"{self.name}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Findings flipped, and findings on which both are definite; shape (n, 2)."""
        sides = (pairs.reference.labels[:, _CHOSEN], pairs.candidate.labels[:, _CHOSEN])
        definite = np.logical_and(*(np.isin(labels, (State.POSITIVE, State.NEGATIVE)) for labels in sides))
        flipped = definite & (sides[0] != sides[1])
        return np.stack([flipped.sum(axis=1), definite.sum(axis=1)], axis=1).astype(np.int64)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rate, in [0, 1]."""
        return ratio(totals[..., :1], totals[..., 1:])
