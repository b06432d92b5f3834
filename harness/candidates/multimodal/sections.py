"""A report as one text with headings, as the language model reads and writes it, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from harness.annotators.phrases import sentences

_HEADING: Final = re.compile(r"(?i)(?:\A|(?<=[.!?:;\n]))\s*\b(findings?|impression|recommendations?)\s*:\s*")


@dataclass(frozen=True, slots=True)
class Sections:
    """The parts of a report; "" where there is none."""

    findings: str = ""
    impression: str = ""
    recommendations: str = ""

    def joined(self) -> str:
        """`Findings: ...`, `Impression: ...`, `Recommendations: ...`, a line each; empty ones left out."""
        named = (
            ("Findings", self.findings),
            ("Impression", self.impression),
            ("Recommendations", self.recommendations),
        )
        return "\n".join(f"{name}: {text.strip()}" for name, text in named if text.strip())


def split_sections(text: str) -> Sections:
    """The parts of a text with headings; what stands before the first heading is findings.

    A heading stands at the beginning, on a new line or behind the end of a sentence. A part that
    comes twice is joined.
    """
    parts: dict[str, list[str]] = {"f": [], "i": [], "r": []}
    key, begin = "f", 0
    for heading in _HEADING.finditer(text):
        parts[key].append(text[begin : heading.start()])
        key, begin = heading[1][0].lower(), heading.end()
    parts[key].append(text[begin:])
    found = {key: " ".join(part.strip() for part in told if part.strip()) for key, told in parts.items()}
    return Sections(found["f"], found["i"], found["r"])


def without_heading(sentence: str) -> str:
    """A sentence less the heading in front of it."""
    return _HEADING.sub("", sentence)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Characters [start, end) of each sentence; the number of a list's item goes with its words."""
    starts = []
    numbered = False
    for sentence in sentences(text):
        if not numbered:
            starts.append(sentence.starts[0])
        words = sentence.words
        numbered = words[-1].isdigit() and (len(words) == 1 or words[-2] == ":")
    ends = [*starts[1:], len(text)][: len(starts)]  # a text without words has no sentence
    return [(start, start + len(text[start:end].rstrip())) for start, end in zip(starts, ends, strict=True)]
