"""How often a report asserts what is not there."""

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
from harness.report import FINDINGS, INDEX, PARENTS, Finding

CLAIMS = tuple(finding for finding in FINDINGS if finding != Finding.NO_FINDING)


def supported(
    labels: NDArray[np.int8], uncertain: UncertainPolicy
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What the reference supports, by itself or by a narrower finding, and what it can judge.

    Both of the shape of `labels`, (n, 14).
    """
    truth, known = asserted(labels, uncertain), judged(labels, uncertain)
    for child, parent in PARENTS.items():
        supports = truth[:, INDEX[child]]
        truth[:, INDEX[parent]] |= supports
        known[:, INDEX[parent]] |= supports
    return truth, known


class HallucinationRate(Measure):
    """The share of asserted findings that the reference does not support.

    "per-claim": unsupported positive claims / positive claims, over the 13 findings (No Finding
    claims nothing). "per-study": studies with at least one unsupported claim / studies. A claim of
    a wider observation is supported by a narrower one: "opacity" where the reference says
    consolidation (CheXpert's hierarchy, Irvin et al., AAAI 2019, Fig. 1). A claim on a finding
    that the reference does not cover can be neither, and is counted apart as "unverifiable".

    A candidate that never claims anything has no per-claim rate: 0/0, NOT EVALUATED. A failed
    study counts as an unsupported one in "per-study", so that failing never lowers the rate.

    Args:
        uncertain: how "uncertain" counts, on both sides; see `FindingsF1`. With "positive", a
            hedged claim is a claim, and an uncertain reference supports it.
    """

    name = "hallucination_rate"
    higher_is_better = False

    def __init__(self, uncertain: UncertainPolicy = "positive") -> None:
        if uncertain not in UNCERTAIN_POLICIES:
            raise ValueError(f"uncertain must be one of {', '.join(UNCERTAIN_POLICIES)}")
        self.uncertain = uncertain
        self.columns = ("unsupported", "claims", "unsupported_studies", "studies", "unverifiable")
        self.values = ("per-claim", "per-study")
        self.proportions = MappingProxyType(
            {
                "per-claim": Proportion("unsupported", "claims"),
                "per-study": Proportion("unsupported_studies", "studies"),
            }
        )

    def signature(self) -> str:
        """`hallucination_rate|hierarchy:chexpert|uncertain:POLICY|vN`."""
        return f"{self.name}|hierarchy:chexpert|uncertain:{self.uncertain}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Unsupported claims, claims, whether unsupported, 1, unverifiable claims; shape (n, 5)."""
        truth, known = supported(pairs.reference.labels, self.uncertain)
        chosen = [INDEX[finding] for finding in CLAIMS]
        claim = asserted(pairs.candidate.labels, self.uncertain)[:, chosen]
        truth, known = truth[:, chosen], known[:, chosen]
        unsupported = (claim & known & ~truth).sum(axis=1)
        return np.stack(
            [
                unsupported,
                (claim & known).sum(axis=1),
                (unsupported > 0) | pairs.failed,
                np.ones(len(pairs)),
                (claim & ~known).sum(axis=1),
            ],
            axis=1,
        ).astype(np.int64)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Per-claim and per-study rate, in [0, 1]."""
        return ratio(totals[..., [0, 2]], totals[..., [1, 3]])
