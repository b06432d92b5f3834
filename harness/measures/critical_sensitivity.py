"""Sensitivity for the findings a report must not miss."""

from __future__ import annotations

from types import MappingProxyType

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
from harness.report import CRITICAL, INDEX

POOLED = "pooled"


class CriticalSensitivity(Measure):
    """TP / (TP + FN) for pneumothorax, fracture, lung lesion (mass) and pleural effusion.

    "pooled" adds the counts of the four. A failed study has missed each of its critical findings.

    Args:
        uncertain: how "uncertain" counts, on both sides; see `FindingsF1`.
    """

    name = "critical_sensitivity"

    def __init__(self, uncertain: UncertainPolicy = "positive") -> None:
        if uncertain not in UNCERTAIN_POLICIES:
            raise ValueError(f"uncertain must be one of {', '.join(UNCERTAIN_POLICIES)}")
        self.uncertain = uncertain
        self.values = (*map(str, CRITICAL), POOLED)
        self.columns = tuple(f"{value}:{cell}" for value in self.values for cell in ("tp", "pos"))
        self.proportions = MappingProxyType(
            {value: Proportion(f"{value}:tp", f"{value}:pos") for value in self.values}
        )

    def signature(self) -> str:
        """`critical_sensitivity|uncertain:POLICY|vN`."""
        return f"{self.name}|uncertain:{self.uncertain}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Detected and present, for each critical finding and pooled, shape (n, 10)."""
        chosen = [INDEX[finding] for finding in CRITICAL]
        reference = pairs.reference.labels[:, chosen]
        present = asserted(reference, self.uncertain) & judged(reference, self.uncertain)
        detected = present & asserted(pairs.candidate.labels[:, chosen], self.uncertain)
        table = np.stack([detected, present], axis=-1).astype(np.int64)
        pooled = table.sum(axis=1, keepdims=True)
        return np.concatenate([table, pooled], axis=1).reshape(len(pairs), -1)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sensitivity of each critical finding, then pooled, in [0, 1]."""
        return ratio(totals[..., 0::2], totals[..., 1::2])
