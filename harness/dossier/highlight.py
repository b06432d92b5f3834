"""Texts with the words that speak of a finding marked: segments for a template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from harness.error_analysis.model import Span

LONGEST: Final = 900
"""Characters that a card shows of a text: what fits beside the other text and the picture."""
_LONG_WORD: Final = re.compile(r"\S{30}(?=\S)")


class Segment(NamedTuple):
    """A stretch of text and the kinds of spans that cover it, as CSS classes."""

    text: str
    marks: str


def segments(text: str, spans: Sequence[Span], longest: int = LONGEST) -> list[Segment]:
    """The text in stretches, or, where it is longer, the part about its first marked sentence.

    Where something is left out it says so, and how long the text is.
    """
    start, end = _window(text, spans, longest)
    edges = {start, end}
    for span in spans:
        edges |= {min(max(edge, start), end) for edge in (span.start, span.end)}
    places = sorted(edges)
    found = [Segment("… ", "cut")] if start else []
    for left, right in pairwise(places):
        marks = sorted({span.kind for span in spans if span.start <= left and right <= span.end})
        words = _LONG_WORD.sub(lambda word: word.group() + "\u200b", text[left:right])
        found.append(Segment(words, " ".join(marks)))
    if end - start < len(text):
        found.append(Segment(f" … [{len(text):,} characters in all]", "cut"))
    return found


def _window(text: str, spans: Sequence[Span], longest: int) -> tuple[int, int]:
    if len(text) <= longest:
        return 0, len(text)
    if not spans:
        return 0, longest
    first = min(span.start for span in spans)
    start = min(max(0, first - longest // 4), len(text) - longest)
    while 0 < start < first and not text[start - 1].isspace():
        start += 1
    return start, min(start + longest, len(text))
