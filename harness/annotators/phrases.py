"""Phrases of a lexicon, found in a list of words in one pass."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(r"[a-z0-9]+(?:['/-][a-z0-9]+)*(?:\.\d+)?|[,:()]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word or mark of a sentence, lower case, with its place in the text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Match:
    """A phrase found: words [first, last), and what it stands for."""

    first: int
    last: int
    tags: tuple[str, ...]


def words_of(lowered: str, start: int, end: int) -> list[Word]:
    """The words, commas, colons and brackets of a stretch of lower-case text."""
    return [Word(m.group(), m.start(), m.end()) for m in _WORD.finditer(lowered, start, end)]


def expand(phrase: str) -> list[tuple[str, ...]]:
    """All word sequences that a phrase stands for: "(s)" optional endings, "a|b" either word."""
    choices: list[list[str]] = []
    for word in phrase.lower().split():
        options = []
        for option in word.split("|"):
            stem, bracket, ending = option.partition("(")
            options += [stem, stem + ending.rstrip(")")] if bracket else [option]
        choices.append(options)
    return list(itertools.product(*choices))


class PhraseBook:
    """Tagged phrases. `find` gives the longest match at each place, left to right, not overlapping."""

    def __init__(self, tagged: Mapping[str, Iterable[str]]) -> None:
        tags: dict[tuple[str, ...], list[str]] = {}
        for tag, phrases in tagged.items():
            for phrase in phrases:
                for words in expand(phrase):
                    if tag not in tags.setdefault(words, []):
                        tags[words].append(tag)
        self._by_first: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
        for words, names in tags.items():
            self._by_first.setdefault(words[0], []).append((words, tuple(names)))
        for options in self._by_first.values():
            options.sort(key=lambda option: -len(option[0]))

    def find(self, words: Sequence[str]) -> list[Match]:
        """All matches in a sequence of words."""
        found = []
        place = 0
        while place < len(words):
            for phrase, tags in self._by_first.get(words[place], ()):
                end = place + len(phrase)
                if len(phrase) == 1 or tuple(words[place:end]) == phrase:
                    found.append(Match(place, end, tags))
                    place = end - 1
                    break
            place += 1
        return found
