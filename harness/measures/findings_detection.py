"""Sensitivity and specificity of each finding, and of all together."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import (
    UNCERTAIN_POLICIES,
    Measure,
    Pairs,
    Proportion,
    UncertainPolicy,
    asserted,
    judged,
    ratio,
)
from harness.report import CRITICAL, FINDINGS, INDEX, Finding

POOLED: Final = "pooled"
CELLS: Final = ("tp", "pos", "tn", "neg")
_SUBSETS: Final = MappingProxyType(
    {"all": tuple(finding for finding in FINDINGS if finding != Finding.NO_FINDING), "critical": CRITICAL}
)


class FindingsDetection(Measure):
    """Sensitivity TP / (TP + FN) and specificity TN / (TN + FP) of each finding, and pooled.

    "pooled" adds the counts of the chosen findings: its trials are decisions, of which a study gives
    one a finding. A failed study has missed each of its positives, and earns nothing for its
    negatives: a crash is no true negative.

    Args:
        findings: "all" 13 (No Finding is none), or the four "critical" ones.
        uncertain: how "uncertain" counts, on both sides; see `FindingsF1`.
    """

    name = "findings_detection"

    def __init__(
        self, findings: Literal["all", "critical"] = "all", uncertain: UncertainPolicy = "positive"
    ) -> None:
        if findings not in _SUBSETS:
            raise ValueError(f"findings must be one of {', '.join(_SUBSETS)}")
        if uncertain not in UNCERTAIN_POLICIES:
            raise ValueError(f"uncertain must be one of {', '.join(UNCERTAIN_POLICIES)}")
        self.findings, self.uncertain = findings, uncertain
        groups = (*map(str, _SUBSETS[findings]), POOLED)
        self.columns = tuple(f"{group}:{cell}" for group in groups for cell in CELLS)
        rates = {"sensitivity": ("tp", "pos"), "specificity": ("tn", "neg")}
        self.values = tuple(f"{group} {rate}" for group in groups for rate in rates)
        self.proportions = MappingProxyType(
            {
                f"{group} {rate}": Proportion(f"{group}:{hit}", f"{group}:{of}")
                for group in groups
                for rate, (hit, of) in rates.items()
            }
        )

    def signature(self) -> str:
        """`findings_detection|SUBSET|uncertain:POLICY|vN`."""
        return f"{self.name}|{self.findings}|uncertain:{self.uncertain}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """TP, positives, TN, negatives of each finding and pooled, shape (n, 4 x (findings + 1))."""
        chosen = [INDEX[finding] for finding in _SUBSETS[self.findings]]
        reference = pairs.reference.labels[:, chosen]
        truth, known = asserted(reference, self.uncertain), judged(reference, self.uncertain)
        claim = asserted(pairs.candidate.labels[:, chosen], self.uncertain)
        answered = ~pairs.failed[:, None]
        cells = (truth & claim & answered, truth, ~truth & ~claim & answered, ~truth)
        table = np.stack([cell & known for cell in cells], axis=-1).astype(np.int64)
        pooled = table.sum(axis=1, keepdims=True)
        return np.concatenate([table, pooled], axis=1).reshape(len(pairs), -1)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sensitivity and specificity of each finding, then pooled, in [0, 1]."""
        return ratio(totals[..., 0::2], totals[..., 1::2])
