"""Do side and severity agree, where both sides assert a finding?"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from harness.annotators.rules import Mention, RulesLabeler
from harness.measures.base import Measure, Pairs, Proportion, Section, ratio
from harness.report import Finding, Laterality, Severity, State

_VALUES = ("laterality", "severity")
_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class Attributes(Measure):
    """Agreement on laterality and on severity, for findings that both sides assert.

    "laterality": of the findings that both texts mention as positive and for which the reference
    states a side, the share for which the candidate states the same; one that states none does
    not agree. "severity": the same for mild, moderate, severe. Of several positive mentions of a
    finding in a text, left and right together are bilateral, and the greatest severity counts.
    The rule-based labeler reads both texts, whatever the suite's labeler is. A finding that the
    candidate misses is not compared here; critical sensitivity counts it.

    Args:
        section: "report" (findings and impression), "findings" or "impression".
    """

    name = "attributes"
    needs = ()
    columns = tuple(f"{value}:{cell}" for value in _VALUES for cell in ("agree", "stated"))
    values = _VALUES
    proportions = MappingProxyType(
        {value: Proportion(f"{value}:agree", f"{value}:stated") for value in _VALUES}
    )

    def __init__(self, section: Section = "report") -> None:
        if section not in get_args(Section):
            raise ValueError(f"section must be one of {', '.join(get_args(Section))}")
        self.section = section
        self.labeler = RulesLabeler()

    def signature(self) -> str:
        """`attributes|LABELER'S SIGNATURE|section:SECTION|vN`."""
        return f"{self.name}|{self.labeler.signature()}|section:{self.section}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Agreements and findings compared, of laterality, then of severity; shape (n, 4)."""
        rows = np.zeros((len(pairs), len(self.columns)), dtype=np.int64)
        texts = (pairs.candidate.texts(self.section), pairs.reference.texts(self.section))
        for row, (candidate, reference) in enumerate(zip(*texts, strict=True)):
            if not (candidate.strip() and reference.strip()):
                continue
            said, true = self._asserted(candidate), self._asserted(reference)
            for finding in said.keys() & true.keys():
                for place in range(2):
                    if true[finding][place] is not None:
                        rows[row, 2 * place] += said[finding][place] == true[finding][place]
                        rows[row, 2 * place + 1] += 1
        return rows

    def _asserted(self, text: str) -> dict[Finding, tuple[Laterality | None, Severity | None]]:
        return stated(self.labeler.mentions(text))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Both agreements, in [0, 1]."""
        return ratio(totals[..., 0::2], totals[..., 1::2])


def stated(mentions: Iterable[Mention]) -> dict[Finding, tuple[Laterality | None, Severity | None]]:
    """Each finding with a positive mention, with its side and severity; None where it has none."""
    found: dict[Finding, tuple[Laterality | None, Severity | None]] = {}
    for mention in mentions:
        if mention.state == State.POSITIVE:
            side, severity = found.get(mention.finding, (None, None))
            found[mention.finding] = (
                _both(side, mention.laterality),
                max((severity, mention.severity), key=lambda each: _RANK[each] if each else -1),
            )
    return found


def _both(one: Laterality | None, other: Laterality | None) -> Laterality | None:
    """One side and no statement is that side; two different sides are both."""
    if one is None or other is None or one == other:
        return one or other
    return Laterality.BILATERAL
