"""A labeler without weights: a lexicon of findings, and cues that deny or doubt them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from harness.annotators.base import Labeler
from harness.annotators.phrases import Match, PhraseBook, Word, words_of
from harness.digests import digest_value
from harness.report import FINDINGS, INDEX, Finding, Laterality, Severity, State

VERSION: Final = 1
# A full stop ends a sentence unless it stands in a number, or after a list's number.
_SENTENCE: Final = re.compile(r"(?<!\d)[.!?;]+(?=\s|$)|(?<=\d)[.!?;](?=\s|$)|\n\s*\n")
_IGNORE: Final = "ignore"
_REACH: Final = 9
"""Words between an anatomy and the word that describes it."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One mention of a finding in a text, and the words that prove it."""

    finding: Finding
    state: State
    start: int
    end: int
    """Characters [start, end) of the text."""
    cue: tuple[int, int] | None
    """Characters of the words that deny, doubt or describe it."""
    severity: Severity | None
    laterality: Laterality | None


class RulesLabeler(Labeler):
    """Deterministic, no weights, no network; after CheXpert's labeler and ConText.

    Sentence by sentence: mentions are found by the lexicon; denials and doubts before and after
    reach over the mentions in their scope. Of several mentions of one finding, positive beats
    uncertain beats negative. No Finding is positive when no other finding but Support Devices is
    positive or uncertain and the text says something (Irvin et al., AAAI 2019).
    """

    name = "rules"

    def signature(self) -> str:
        """`rules|vN|lexicon:DIGEST`."""
        return f"rules|v{VERSION}|lexicon:{digest_value([self._findings, self._cues])[:12]}"

    def label(self, texts: Sequence[str]) -> NDArray[np.int8]:
        """`State` codes, shape (n, 14)."""
        labels = np.zeros((len(texts), len(FINDINGS)), dtype=np.int8)
        for row, text in enumerate(texts):
            for mention in self._mentions(text):
                column = INDEX[mention[0]]
                labels[row, column] = _stronger(labels[row, column], mention[1])
            others = np.isin(labels[row], (State.POSITIVE, State.UNCERTAIN))
            others[INDEX[Finding.SUPPORT_DEVICES]] = False
            if text.strip() and not others.any():
                labels[row, INDEX[Finding.NO_FINDING]] = State.POSITIVE
        return labels

    def mentions(self, text: str) -> list[Mention]:
        """Every mention in a text, in order, with its evidence."""
        found = []
        for finding, state, words, match, cue in self._mentions(text):
            severity, laterality = self._attributes(words, match)
            found.append(
                Mention(
                    finding=finding,
                    state=state,
                    start=words[match.first].start,
                    end=words[match.last - 1].end,
                    cue=(words[cue.first].start, words[cue.last - 1].end) if cue else None,
                    severity=severity,
                    laterality=laterality,
                )
            )
        return found

    def _mentions(self, text: str) -> Iterator[tuple[Finding, State, list[Word], Match, Match | None]]:
        lowered = _lower(text)
        for start, end in _sentences(lowered):
            words = words_of(lowered, start, end)
            plain = [word.text for word in words]
            named = self._names.find(plain)
            if not named:
                continue
            cues = self._cue_book.find(plain)
            stops = self._stops(plain, cues)
            for match in named:
                for tag in match.tags:
                    if tag == _IGNORE:
                        continue
                    kind, _, finding = tag.partition(":")
                    if kind == "mention":
                        state, cue = self._state(match, cues, stops)
                        yield Finding(finding), state, words, match, cue
                    else:
                        described = self._described(finding, plain, match, cues, stops)
                        if described:
                            yield Finding(finding), described[0], words, match, described[1]

    # Reading the lexicon

    @cached_property
    def _findings(self) -> dict[str, Any]:
        return _lexicon("findings.yaml")

    @cached_property
    def _cues(self) -> dict[str, Any]:
        return _lexicon("cues.yaml")

    @cached_property
    def _names(self) -> PhraseBook:
        tagged = {f"mention:{name}": phrases for name, phrases in self._findings["mentions"].items()}
        tagged |= {f"described:{name}": d["anatomy"] for name, d in self._findings["described"].items()}
        return PhraseBook({_IGNORE: self._findings["ignore"], **tagged})

    @cached_property
    def _cue_book(self) -> PhraseBook:
        kinds = ("pseudo_negation", "negation_before", "negation_after", "uncertain_before",
                 "uncertain_after", "terminate")  # fmt: skip
        return PhraseBook({kind: self._cues[kind] for kind in kinds})

    @cached_property
    def _descriptions(self) -> dict[str, PhraseBook]:
        kinds = ("abnormal", "borderline", "normal")
        return {
            finding: PhraseBook({kind: described[kind] for kind in kinds})
            for finding, described in self._findings["described"].items()
        }

    @cached_property
    def _attribute_book(self) -> PhraseBook:
        return PhraseBook(
            {
                **{f"severity:{name}": words for name, words in self._cues["severity"].items()},
                **{f"laterality:{name}": words for name, words in self._cues["laterality"].items()},
            }
        )

    # Deciding

    def _stops(self, words: Sequence[str], cues: Sequence[Match]) -> list[int]:
        """Places at which a scope ends, besides the ends of the sentence."""
        stops = [cue.first for cue in cues if "terminate" in cue.tags]
        fresh = set(self._cues["after_comma"])
        stops += [
            place
            for place in range(len(words) - 1)
            if words[place] == ","
            and words[place + 1] in fresh
            # "no effusion, left or right pneumothorax, ...": a list that goes on with "or"
            and "or" not in words[place + 1 : place + 6]
        ]
        stops += [place for place, word in enumerate(words) if word == ":"]
        return sorted(stops)

    def _state(self, match: Match, cues: Sequence[Match], stops: Sequence[int]) -> tuple[State, Match | None]:
        best: tuple[State, Match | None] = (State.POSITIVE, None)
        for cue in cues:
            if cue.last <= match.first:
                if any(cue.last <= stop < match.first for stop in stops):
                    continue
                if "negation_before" in cue.tags:
                    if best[0] is not State.UNCERTAIN:
                        best = (State.NEGATIVE, cue)
                elif (
                    "uncertain_before" in cue.tags
                    and match.first - cue.last <= 6
                    and best[0] is not State.NEGATIVE
                ):
                    best = (State.UNCERTAIN, cue)
            elif cue.first >= match.last:
                if any(match.last <= stop < cue.first for stop in stops) or cue.first - match.last > 6:
                    continue
                if "uncertain_after" in cue.tags:
                    best = (State.UNCERTAIN, cue)
                elif "negation_after" in cue.tags and best[0] is not State.UNCERTAIN:
                    best = (State.NEGATIVE, cue)
        return best

    def _described(
        self,
        finding: str,
        words: Sequence[str],
        match: Match,
        cues: Sequence[Match],
        stops: Sequence[int],
    ) -> tuple[State, Match] | None:
        """The state by the nearest describing word in the clause, if there is one."""
        first = max((stop for stop in stops if stop < match.first), default=-1) + 1
        last = min((stop for stop in stops if stop >= match.last), default=len(words))
        low, high = max(first, match.first - 3), min(last, match.last + _REACH)
        nearest: Match | None = None
        for found in self._descriptions[finding].find(words[low:high]):
            shifted = Match(found.first + low, found.last + low, found.tags)
            after = shifted.first >= match.last
            if nearest is None or (after and nearest.first < match.first):
                nearest = shifted
        if nearest is None:
            return None
        denied = any(
            "negation_before" in cue.tags
            and cue.last <= nearest.first
            and nearest.first - cue.last <= 3
            and not any(cue.last <= stop < nearest.first for stop in stops)
            for cue in cues
        )
        if "normal" in nearest.tags:
            return (State.POSITIVE if denied else State.NEGATIVE), nearest
        if "borderline" in nearest.tags:
            return State.UNCERTAIN, nearest
        return (State.NEGATIVE if denied else State.POSITIVE), nearest

    def _attributes(self, words: Sequence[Word], match: Match) -> tuple[Severity | None, Laterality | None]:
        """Severity and side by the nearest word within seven words, before rather than after."""
        low, high = max(0, match.first - 7), min(len(words), match.last + 7)
        nearest: dict[str, tuple[int, str]] = {}
        for found in self._attribute_book.find([word.text for word in words[low:high]]):
            place = found.first + low
            distance = match.first - place if place < match.first else 2 * (place - match.last + 1)
            for tag in found.tags:
                kind, _, name = tag.partition(":")
                if kind not in nearest or distance < nearest[kind][0]:
                    nearest[kind] = (distance, name)
        severity, laterality = nearest.get("severity"), nearest.get("laterality")
        return (
            Severity(severity[1]) if severity else None,
            Laterality(laterality[1]) if laterality else None,
        )


def _stronger(one: int, other: State) -> State:
    """Positive beats uncertain beats negative beats not mentioned."""
    rank = {State.POSITIVE: 3, State.UNCERTAIN: 2, State.NEGATIVE: 1, State.NOT_MENTIONED: 0}
    return max(State(one), other, key=lambda state: rank[state])


def _lexicon(name: str) -> dict[str, Any]:
    text = (files("harness.annotators") / "lexicon" / name).read_text(encoding="utf-8")
    lexicon: dict[str, Any] = yaml.safe_load(text)
    return lexicon


def _lower(text: str) -> str:
    """Lower case of the same length, so that places stay the same."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for mark in _SENTENCE.finditer(text):
        if mark.start() > start:
            yield start, mark.end()
        start = mark.end()
    if start < len(text):
        yield start, len(text)
