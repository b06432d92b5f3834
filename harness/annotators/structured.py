"""A labeler that takes the candidate at its word: the findings of its structured report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from harness.annotators.base import Labeler
from harness.errors import HarnessError
from harness.report import FINDINGS, INDEX, Finding, Report, State

VERSION: Final = 1
CLAIMED: Final = 0.5
"""Confidence from which a listed finding is claimed; below, it is uncertain."""


class StructuredLabeler(Labeler):
    """Reads `Report.findings`, not the text.

    A listed finding is positive from a confidence of 0.5, below that uncertain, and negative at 0;
    one that is not listed is not mentioned. No Finding is positive when something is listed and
    nothing but Support Devices is positive or uncertain, so that a normal report must list it (or
    a finding with confidence 0). A report that lists nothing says nothing, whatever its text says:
    it misses every finding and earns no credit for a normal study either.
    """

    name = "structured"
    reads_texts = False

    def signature(self) -> str:
        """`structured|vN|positive:0.5`."""
        return f"structured|v{VERSION}|positive:{CLAIMED:g}"

    def label(self, texts: Sequence[str]) -> NoReturn:
        """Refuses: there is nothing structured in a text.

        Raises:
            HarnessError: always.
        """
        raise HarnessError("the structured labeler reads structured reports, not texts; use rules for texts")

    def label_reports(self, texts: Sequence[str], records: Sequence[str]) -> NDArray[np.int8]:
        """`State` codes, shape (n, 14); of several entries of one finding the most confident counts."""
        labels = np.full((len(records), len(FINDINGS)), State.NOT_MENTIONED, dtype=np.int8)
        for row, record in enumerate(records):
            if record:
                _read(Report.model_validate_json(record), labels[row])
        return labels


def _read(report: Report, row: NDArray[np.int8]) -> None:
    if not report.findings:
        return
    confidence: dict[Finding, float] = {}
    for item in report.findings:
        confidence[item.finding] = max(item.confidence, confidence.get(item.finding, 0.0))
    nothing = confidence.get(Finding.NO_FINDING, CLAIMED) >= CLAIMED
    for finding, value in confidence.items():
        if finding is Finding.NO_FINDING:
            continue
        state = State.POSITIVE if value >= CLAIMED else State.UNCERTAIN if value > 0 else State.NEGATIVE
        row[INDEX[finding]] = state
        if state is not State.NEGATIVE and finding is not Finding.SUPPORT_DEVICES:
            nothing = False
    if nothing:
        row[INDEX[Finding.NO_FINDING]] = State.POSITIVE
