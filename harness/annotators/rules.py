"""A labeler without weights: a lexicon of findings, and cues that deny or doubt them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.annotators.attributes import NO_ATTRIBUTES, Attributes, attributes
from harness.annotators.base import Labeler
from harness.annotators.lexicon import Lexicon, shipped_lexicon
from harness.annotators.phrases import Match, sentences
from harness.annotators.scopes import Reading, Scopes, named
from harness.report import FINDINGS, INDEX, Finding, Laterality, Severity, State

VERSION: Final = 3

_RANK: Final = {State.NOT_MENTIONED: 0, State.NEGATIVE: 1, State.UNCERTAIN: 2, State.POSITIVE: 3}
_ALONE: Final = {"mention": State.POSITIVE, "possible": State.UNCERTAIN}
_SENTENCES: Final = 1 << 14
"""Different sentences whose reading is kept: some 30 MB."""
Span = tuple[int, int]
"""Characters [start, end) of a text."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One mention of a finding in a text, and the words that prove it."""

    finding: Finding
    state: State
    start: int
    end: int
    """Characters [start, end) of the text."""
    cue: Span | None
    """Of the words that deny, doubt or describe it."""
    severity: Severity | None
    laterality: Laterality | None
    """Both None where the finding is denied."""
    severity_span: Span | None = None
    laterality_span: Span | None = None


class RulesLabeler(Labeler):
    """Deterministic, no weights, no network; after CheXpert's labeler and ConText.

    Sentence by sentence: mentions are found by the lexicon; cues before and after deny or doubt
    those in their scope. Of several mentions of one finding, positive beats uncertain beats
    negative. No Finding is positive when no other finding but Support Devices is positive or
    uncertain and the text has a word (Irvin et al., AAAI 2019).
    """

    name = "rules"

    def __init__(self) -> None:
        self.lexicon = shipped_lexicon()

    def signature(self) -> str:
        """`rules|vN|lexicon:DIGEST`."""
        return f"rules|v{VERSION}|lexicon:{self.lexicon.digest[:12]}"

    def label(self, texts: Sequence[str]) -> NDArray[np.int8]:
        """`State` codes, shape (n, 14)."""
        labels = np.zeros((len(texts), len(FINDINGS)), dtype=np.int8)
        for row, text in enumerate(texts):
            states: dict[Finding, State] = {}
            says_something = False
            for sentence in sentences(text):
                says_something = True
                for finding, reading, _, _ in _readings(self.lexicon, sentence.words):
                    if _RANK[reading.state] > _RANK[states.get(finding, State.NOT_MENTIONED)]:
                        states[finding] = reading.state
            for finding, state in states.items():
                labels[row, INDEX[finding]] = state
            if says_something and not any(
                _RANK[state] > 1 and finding is not Finding.SUPPORT_DEVICES
                for finding, state in states.items()
            ):
                labels[row, INDEX[Finding.NO_FINDING]] = State.POSITIVE
        return labels

    def mentions(self, text: str) -> list[Mention]:
        """Every statement about a finding in a text, in order, with its evidence."""
        found = []
        for sentence in sentences(text):
            for finding, reading, match, seen in _statements(self.lexicon, sentence.words):
                start, end = sentence.span(match)
                found.append(
                    Mention(
                        finding=finding,
                        state=reading.state,
                        start=start,
                        end=end,
                        cue=sentence.span(reading.cue) if reading.cue else None,
                        severity=seen.severity,
                        laterality=seen.laterality,
                        severity_span=sentence.span(seen.severity_at) if seen.severity_at else None,
                        laterality_span=sentence.span(seen.laterality_at) if seen.laterality_at else None,
                    )
                )
        return found


# Reports say the same sentences again and again, above all the normal ones.


@lru_cache(maxsize=_SENTENCES)
def _readings(lexicon: Lexicon, words: tuple[str, ...]) -> tuple[tuple[Finding, Reading, Match, Scopes], ...]:
    """What a sentence says, mention by mention."""
    names = named(lexicon, words)
    if not names:
        return ()
    scopes = Scopes(words, names, lexicon)
    found = []
    for match in names:
        for tag in match.tags:
            kind, _, name = tag.partition(":")
            alone = _ALONE.get(kind)
            reading = scopes.described(kind, match) if alone is None else scopes.read(match, alone)
            if reading is not None:
                found.append((Finding(name), reading, match, scopes))
    return tuple(found)


@lru_cache(maxsize=_SENTENCES)
def _statements(
    lexicon: Lexicon, words: tuple[str, ...]
) -> tuple[tuple[Finding, Reading, Match, Attributes], ...]:
    """The mentions of a sentence that make a statement, with severity and side of those affirmed."""
    return tuple(
        (
            finding,
            reading,
            match,
            NO_ATTRIBUTES if reading.state is State.NEGATIVE else attributes(scopes, match, reading),
        )
        for finding, reading, match, scopes in _readings(lexicon, words)
        if reading.state is not State.NOT_MENTIONED
    )
