"""F1 of each of the 14 CheXpert findings, and their macro and micro averages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import (
    UNCERTAIN_POLICIES,
    Measure,
    Pairs,
    UncertainPolicy,
    asserted,
    judged,
    ratio,
)
from harness.report import COMPETITION, FINDINGS, INDEX

CELLS = ("tp", "fp", "fn", "tn")


class FindingsF1(Measure):
    """F1 = 2 TP / (2 TP + FP + FN) for each finding, and averages over all 14 and the usual five.

    The macro average is over the findings whose F1 is defined: those that either side asserts at
    least once. Micro pools the counts first. The five are those of the CheXpert competition
    (Irvin et al., AAAI 2019). A failed study asserts nothing, so each of its positives is missed.

    Args:
        uncertain: how "uncertain" counts, on both sides: as positive (U-Ones), as negative
            (U-Zeros), or, in the reference, as a study that is set aside for that finding.
    """

    name = "findings_f1"

    def __init__(self, uncertain: UncertainPolicy = "positive") -> None:
        if uncertain not in UNCERTAIN_POLICIES:
            raise ValueError(f"uncertain must be one of {', '.join(UNCERTAIN_POLICIES)}")
        self.uncertain = uncertain
        self.columns = tuple(f"{finding}:{cell}" for finding in FINDINGS for cell in CELLS)
        self.values = (*map(str, FINDINGS), "macro-14", "micro-14", "macro-5", "micro-5")

    def signature(self) -> str:
        """`findings_f1|uncertain:POLICY|vN`."""
        return f"{self.name}|uncertain:{self.uncertain}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """TP, FP, FN, TN of each finding, shape (n, 56); all 0 where the reference is silent."""
        truth = asserted(pairs.reference.labels, self.uncertain)
        claim = asserted(pairs.candidate.labels, self.uncertain)
        known = judged(pairs.reference.labels, self.uncertain)
        cells = (truth & claim, ~truth & claim, truth & ~claim, ~truth & ~claim)
        table = np.stack([cell & known for cell in cells], axis=-1)
        return table.reshape(len(pairs), -1).astype(np.int64)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """14 F1 scores, then macro-14, micro-14, macro-5, micro-5."""
        table = totals.reshape(*totals.shape[:-1], len(FINDINGS), len(CELLS))
        scores = _f1(table)
        averages = []
        for subset in (FINDINGS, COMPETITION):
            chosen = [INDEX[finding] for finding in subset]
            defined = ~np.isnan(scores[..., chosen])
            total = np.where(defined, scores[..., chosen], 0.0).sum(axis=-1)
            averages += [ratio(total, defined.sum(axis=-1)), _f1(table[..., chosen, :].sum(-2))]
        return np.concatenate([scores, np.stack(averages, axis=-1)], axis=-1)


def _f1(table: NDArray[np.float64]) -> NDArray[np.float64]:
    true_positive, false_positive, false_negative = (table[..., cell] for cell in range(3))
    return ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative)
