"""Which words of a sentence govern a mention: negation, doubt, hypothesis, description."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from harness.annotators.lexicon import IGNORE, Lexicon
from harness.annotators.phrases import Match, PhraseBook
from harness.report import State

_NEAR: Final = 4
"""Words between "not" and a mention after it."""
_DOUBT: Final = 8
"""Words between a doubt and a mention after it; a hypothesis, often a list, reaches twice as far."""
_AFTER: Final = 8
"""Words between a mention and a cue after it."""
_DESCRIBED: Final = 9
"""Words between an anatomy and the word that describes it."""
_LIST: Final = frozenset((",", "and", "or", "/"))
_ON: Final = frozenset(
    ("likely", "xxxx", "probably", "presumably", "may", "could", "is", "are", "represents", "reflects")
)
"""After "and": the statement goes on about the same thing."""
_SAME: Final = frozenset(("due", "related", "secondary", "which", "is", "are", "persists", "persist"))
"""First words of the stops after which a statement is still about the same thing."""
_NO: Final = frozenset(("no", "not", "without", "w/o", "nor", "never"))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sentence says of one mention. `State.NOT_MENTIONED`: it makes no statement."""

    state: State
    cue: Match | None
    """The words that decide it."""


class Scopes:
    """One sentence with its named findings and cues.

    Args:
        words: the sentence.
        names: the findings and anatomies named in it, in order.
        lexicon: whose cues are used.
    """

    def __init__(self, words: Sequence[str], names: Sequence[Match], lexicon: Lexicon) -> None:
        self.words = words
        self.names = names
        self.lexicon = lexicon
        self.findings = [name for name in names if not all(tag.startswith("described") for tag in name.tags)]
        self.cues = lexicon.cues.find(words)
        self.stops = self._stops()

    def _stops(self) -> list[int]:
        """Places at which a scope ends, besides the ends of the sentence."""
        words, fresh = self.words, self.lexicon.fresh
        stops = [cue.first for cue in self.cues if "terminate" in cue.tags]
        lists = [cue.last for cue in self.cues if "alternatives" in cue.tags]
        for place in range(len(words) - 1):
            word = words[place]
            if word == ":":
                stops.append(place)
            elif (word == "," or word == "and") and words[place + 1] in fresh:
                # "no effusion, left or right pneumothorax, ...": a list that goes on with "or"
                if word == "," and "or" in words[place + 2 : place + 7]:
                    continue
                if word == "and" and any(0 <= place - start <= 2 * _DOUBT for start in lists):
                    continue
                stops.append(place)
        stops.sort()
        return stops

    def clause(self, match: Match) -> tuple[int, int]:
        """Words [first, last) around a match that no stop divides."""
        place = bisect_left(self.stops, match.first)
        first = self.stops[place - 1] + 1 if place else 0
        place = bisect_left(self.stops, match.last)
        return first, self.stops[place] if place < len(self.stops) else len(self.words)

    @cached_property
    def speaking(self) -> list[Match]:
        """The names that make a statement: every finding, and every anatomy that is described."""
        findings = set(self.findings)
        return [
            name
            for name in self.names
            if name in findings
            or any(self.described(tag.partition(":")[0], name) is not None for tag in name.tags)
        ]

    # A mention

    def read(self, match: Match, alone: State) -> Reading:
        """What the sentence says of a mention; `alone` where no cue governs it."""
        first, last = self.clause(match)
        reading = self._before(match, first, alone)
        if alone is State.UNCERTAIN and reading.state is not State.NEGATIVE:
            for cue in self.cues:
                explains = "explained" in cue.tags and cue.first >= match.last
                if explains and not self._another(match.last, cue.first):
                    return Reading(State.NOT_MENTIONED, cue)
        return self._after(match, last, reading)

    def _another(self, first: int, last: int) -> bool:
        """Whether words [first, last) turn to another thing: not in "and likely reflects X"."""
        between = self.words[first:last]
        if any(first <= stop < last and self.words[stop] not in _SAME for stop in self.stops):
            return True
        following = [after for word, after in pairwise(between) if word == "and"]
        return "or" in between or between[-1:] == ("and",) or not _ON.issuperset(following)

    def _before(self, match: Match, first: int, alone: State) -> Reading:
        state, decided = alone, None
        for cue in self.cues:
            if cue.last > match.first:
                break
            if cue.last <= first - 1:  # the stop stands at first - 1
                continue
            near = match.first - cue.last <= self._reach(cue, match)
            tags = cue.tags
            if "negation_before" in tags or ("negation_near" in tags and match.first - cue.last <= _NEAR):
                state, decided = State.NEGATIVE, cue
            elif near and state is State.NOT_MENTIONED:
                continue
            elif near and ("uncertain_before" in tags or (state is not State.NEGATIVE and "nested" in tags)):
                state, decided = State.UNCERTAIN, cue
            elif match.first - cue.last <= 2 * _DOUBT and "not_stated_before" in tags:
                state, decided = State.NOT_MENTIONED, cue
        return Reading(state, decided)

    def _reach(self, cue: Match, match: Match) -> int:
        """How far a doubt goes: through "A, B or C", which are alternatives, twice as far."""
        return 2 * _DOUBT if "or" in self.words[cue.last : match.first] else _DOUBT

    def _after(self, match: Match, last: int, before: Reading) -> Reading:
        for cue in self.cues:
            if cue.first < match.last:
                continue
            if cue.first > last or cue.first - match.last > _AFTER:
                break
            between = self.words[match.last : cue.first]
            others = any(match.last <= name.first < cue.first for name in self.findings)
            if (others or not _LIST.isdisjoint(between)) and not (
                others and before.cue is None and self._listed(match, between)
            ):
                continue
            if self.words[cue.first] == ":" and self.words[cue.last : cue.last + 1] not in ((), (",",)):
                continue
            if "uncertain_after" in cue.tags:
                return Reading(State.UNCERTAIN, cue)
            if "negation_after" in cue.tags:
                return Reading(State.NEGATIVE, cue)
            if "not_stated_after" in cue.tags:
                return Reading(State.NOT_MENTIONED, cue)
            if "affirmation_after" in cue.tags:
                through_list = before.cue is not None and "," in self.words[before.cue.last : match.first]
                if before.state is State.NEGATIVE and through_list:
                    return Reading(State.POSITIVE, cue)
        return before

    def _listed(self, match: Match, between: Sequence[str]) -> bool:
        """Whether a cue after "X, Y or Z" speaks of X too: not in "there is X and Y is not seen"."""
        asserted = any("terminate" in cue.tags and cue.last <= match.first for cue in self.cues)
        return not asserted and ("or" in between or "and" in between or "/" in between)

    # An anatomy

    def described(self, kind: str, match: Match) -> Reading | None:
        """What the sentence says of an anatomy, by a kind of description of the lexicon."""
        book = self.lexicon.descriptions[kind]
        first, last = self.clause(match)
        if match.last < len(self.words) and self.words[match.last] == ":":  # "Heart: enlarged"
            last = self.clause(Match(match.last + 1, match.last + 2, ()))[1]
        found = (
            self._adjective(book, match, first)
            or self._predicate(book, match, last)
            or self._in_list(book, match, first)
        )
        if found is None or "nothing" in found.tags:
            return None
        denied = any(
            self.words[place] in _NO
            for place in range(max(first, found.first - 4), found.first)
            if not match.first <= place < match.last
        )
        if "normal" in found.tags:
            return Reading(State.POSITIVE if denied else State.NEGATIVE, found)
        alone = State.POSITIVE if "abnormal" in found.tags else State.UNCERTAIN
        if denied:
            return Reading(State.NEGATIVE, found)
        if found.first > match.last:  # a statement of its own: "no effusion and heart is enlarged"
            return Reading(self._before(found, match.last, alone).state, found)
        whole = Match(min(match.first, found.first), max(match.last, found.last), ())
        return Reading(self.read(whole, alone).state, found)

    def _adjective(self, book: PhraseBook, match: Match, first: int) -> Match | None:
        """The description right before the anatomy: "enlarged heart", "collapse of the left lung"."""
        found = book.find(self.words, max(first, match.first - 7), match.first)
        for item in reversed(found):
            between = self.words[item.last : match.first]
            if between[:1] == ("of",) or (len(between) <= 1 and _LIST.isdisjoint(between)):
                return item
        return None

    def _predicate(self, book: PhraseBook, match: Match, last: int) -> Match | None:
        """The nearest description after the anatomy that does not belong to the next noun."""
        for item in book.find(self.words, match.last, min(last, match.last + _DESCRIBED)):
            if not self._attributive(item):
                return item
        return None

    def _attributive(self, item: Match) -> bool:
        """Whether it stands right before another noun, and so speaks of that."""
        if any(name.first <= item.last and item.first < name.last for name in self.names):
            return True
        return item.last < len(self.words) and self.words[item.last] in self.lexicon.other_anatomy

    def _in_list(self, book: PhraseBook, match: Match, first: int) -> Match | None:
        """A description of the list that the anatomy stands in: "normal heart size and mediastinum"."""
        for item in reversed(book.find(self.words, max(first, match.first - 6), match.first)):
            between = self.words[item.last : match.first]
            if "and" in between or "," in between:
                return item
        return None


def named(lexicon: Lexicon, words: Sequence[str]) -> list[Match]:
    """The findings and anatomies that a sentence names, less the words that only look like them."""
    return [match for match in lexicon.names.find(words) if IGNORE not in match.tags]
