"""What texts say of findings, and where: the rule-based labeler's mentions as spans."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from harness.annotators.phrases import sentences
from harness.annotators.rules import Mention, RulesLabeler
from harness.error_analysis.model import Span
from harness.measures.attributes import stated
from harness.report import Finding, Laterality, Severity

Stated = dict[Finding, tuple[Laterality | None, Severity | None]]


@dataclass(frozen=True, slots=True)
class Reading:
    """One text: where it speaks of each finding, and what it states of those that it asserts."""

    spans: dict[Finding, tuple[Span, ...]]
    stated: Stated


class Reader:
    """Reads texts; one that comes again, as template reports do, is read once."""

    def __init__(self) -> None:
        self.labeler = RulesLabeler()
        self._known: dict[str, Reading] = {}

    def signature(self) -> str:
        """The labeler's."""
        return self.labeler.signature()

    def read(self, text: str) -> Reading:
        """The spans of every finding that a text mentions, and its asserted findings' attributes."""
        if text not in self._known:
            mentions = self.labeler.mentions(text)
            self._known[text] = Reading(_spans(text, mentions), stated(mentions))
        return self._known[text]


def _spans(text: str, mentions: Iterable[Mention]) -> dict[Finding, tuple[Span, ...]]:
    stretches = [
        (part.starts[0], part.starts[-1] + len(part.words[-1])) for part in sentences(text) if part.words
    ]
    begins = [start for start, _ in stretches]
    found: dict[Finding, set[Span]] = {}
    for item in mentions:
        own = found.setdefault(item.finding, set())
        own.add(Span(*stretches[bisect_right(begins, item.start) - 1], "sentence"))
        own.add(Span(item.start, item.end, "mention"))
        if item.cue is not None:
            own.add(Span(*item.cue, "cue"))
        if item.laterality_span is not None:
            own.add(Span(*item.laterality_span, "laterality"))
        if item.severity_span is not None:
            own.add(Span(*item.severity_span, "severity"))
    return {finding: tuple(sorted(spans, key=_outer_first)) for finding, spans in found.items()}


def _outer_first(span: Span) -> tuple[int, int, str]:
    return span.start, -span.end, span.kind
