"""Words of a text, and phrases of a lexicon found among them in one pass."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"\d+(?:\.\d+)+|[whsrc]/[opw]\b|[^\W_]+(?:'[^\W_]+)?|_{2,}|[,:()/?]")
# What ends a sentence: a full stop, unless it stands in a number or an abbreviation; an empty line;
# a line that begins an item of a list. A line that begins with a capital does if the line before
# can end there.
_BREAK: Final = re.compile(
    r"[!;]+"
    r"|(?<!\b[Vv]s)(?<!\bDr)(?<!\be\.g)(?<!\bi\.e)\.(?!\d)(?!(?<=\b[A-Za-z]\.)[A-Za-z]\.)"
    r"|(?<=\w)\?(?!\w)"
    r"|\n\s*\n|\r\s*\r"
    r"|[\n\r](?=\s*(?:\d+\s*[.)]|[-*•]\s))"
    r"|[\n\r](?P<capital>(?=\s*[A-Z][a-z]))"
)
_GOES_ON: Final = re.compile(
    r"(?i)(?:,|\b(?:a|an|and|are|at|by|for|from|in|is|no|not|of|on|or|than|the|to|with|without))\s*\Z"
)
_LONGEST: Final = 256
"""Words of one sentence. What is longer is no sentence, and is read in pieces of so many words."""


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase found: words [first, last) of a sentence, and what it stands for."""

    first: int
    last: int
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence's words and marks, lower case, with their places in the text."""

    words: tuple[str, ...]
    starts: tuple[int, ...]

    def span(self, match: Match) -> tuple[int, int]:
        """Characters [start, end) of the text."""
        last = match.last - 1
        return self.starts[match.first], self.starts[last] + len(self.words[last])


def sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a text that have words, in order."""
    lowered = _lower(text)
    for start, end in _stretches(text):
        found = list(_WORD.finditer(lowered, start, end))
        for place in range(0, len(found), _LONGEST):
            piece = found[place : place + _LONGEST]
            yield Sentence(tuple(m.group() for m in piece), tuple(m.start() for m in piece))


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for mark in _BREAK.finditer(text):
        if mark["capital"] is not None and _GOES_ON.search(text, max(start, mark.start() - 12), mark.start()):
            continue
        if mark.start() > start:
            yield start, mark.start()
        start = mark.end()
    if start < len(text):
        yield start, len(text)


def _lower(text: str) -> str:
    """Lower case of the same length, so that places stay the same."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text)


def words_of(phrase: str) -> list[str]:
    """The words and marks of a phrase, as `sentences` would find them."""
    return [m.group() for m in _WORD.finditer(phrase.lower())]


def expand(phrase: str) -> list[tuple[str, ...]]:
    """All word sequences that a lexicon's phrase stands for.

    "(s)" is an optional ending, "a|b" either word, "word?" may be left out, a hyphen is a space.

    Raises:
        ValueError: it stands for no word at all.
    """
    choices: list[list[str]] = []
    for word in phrase.lower().replace("-", " ").split():
        optional = len(word) > 1 and word.endswith("?")
        options = [""] if optional else []
        for option in word.removesuffix("?").split("|") if optional else word.split("|"):
            stem, bracket, ending = option.partition("(")
            options += [stem, stem + ending.rstrip(")")] if bracket else [option]
        choices.append(options)
    sequences = {tuple(words_of(" ".join(chosen))): None for chosen in itertools.product(*choices)}
    if not sequences or () in sequences:
        raise ValueError(f"{phrase!r} is no phrase")
    return list(sequences)


class PhraseBook:
    """Tagged phrases. `find` gives the longest match at each place, left to right, not overlapping."""

    def __init__(self, tagged: Mapping[str, Iterable[str]]) -> None:
        tags: dict[tuple[str, ...], list[str]] = {}
        for tag, phrases in tagged.items():
            for phrase in phrases:
                for words in expand(phrase):
                    if tag not in tags.setdefault(words, []):
                        tags[words].append(tag)
        self._by_first: dict[str, list[tuple[int, tuple[str, ...], tuple[str, ...]]]] = {}
        for words, names in tags.items():
            self._by_first.setdefault(words[0], []).append((len(words), words, tuple(names)))
        for options in self._by_first.values():
            options.sort(key=lambda option: -option[0])

    def find(self, words: Sequence[str], start: int = 0, end: int | None = None) -> list[Match]:
        """All matches within words [start, end)."""
        found = []
        place, end = start, len(words) if end is None else end
        by_first = self._by_first
        while place < end:
            options = by_first.get(words[place])
            if options is not None:
                for length, phrase, tags in options:
                    last = place + length
                    if last <= end and (length == 1 or tuple(words[place:last]) == phrase):
                        found.append(Match(place, last, tags))
                        place = last - 1
                        break
            place += 1
        return found
