"""Severity and side of a mention, by the words of its noun phrase or its predicate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.annotators.phrases import Match
from harness.annotators.scopes import Reading, Scopes
from harness.report import Laterality, Severity

_BEFORE: Final = 7
_BEHIND: Final = 9
"""Words before and behind a mention among which its attributes are looked for."""
_LINKS: Final = frozenset(("and", "or", "/", ","))
_ENDS: Final = ((), (",",), ("and",), ("(",))


@dataclass(frozen=True, slots=True)
class Attributes:
    """Severity and side, each with the words that say so; None where the text does not say."""

    severity: Severity | None
    severity_at: Match | None
    laterality: Laterality | None
    laterality_at: Match | None


NO_ATTRIBUTES: Final = Attributes(None, None, None, None)


def attributes(scopes: Scopes, match: Match, reading: Reading) -> Attributes:
    """The attributes of a mention.

    A word before the mention in its noun phrase counts before one behind it. In a list ("left
    effusion and atelectasis") a later item has the side of an earlier one if it has none itself. An
    anatomy with a description ("the heart is mildly enlarged") reaches to its description.
    """
    book, words = scopes.lexicon.attributes, scopes.words
    start = max(_last_hard_stop(scopes, match), match.first - _BEFORE)
    others = [name for name in scopes.speaking if name is not match]
    listed = [name for name in others if name.last <= match.first]
    own = max([start, *(name.last for name in listed)])
    before = book.find(words, own, match.first)
    behind = match.last
    cue = reading.cue
    if cue is not None and cue.first >= match.last and not {"abnormal", "possible"}.isdisjoint(cue.tags):
        behind = cue.last
        before += book.find(words, match.last, cue.first)
    after = book.find(words, behind, _end(scopes, others, behind))
    inherited = []
    if own > start and not _LINKS.isdisjoint(words[listed[-1].last : match.first]):
        inherited = book.find(words, start, listed[-1].first)
    before.reverse()
    inherited.reverse()
    severity, severity_at = _nearest("severity", before, after)
    side, side_at = _side(before, after, inherited)
    return Attributes(
        Severity(severity) if severity else None,
        severity_at,
        Laterality(side) if side else None,
        side_at,
    )


def _last_hard_stop(scopes: Scopes, match: Match) -> int:
    """Where the noun phrase may begin: "and" ends a scope ("small right and large left"), not this."""
    stops = [stop for stop in scopes.stops if stop < match.first and scopes.words[stop] != "and"]
    return stops[-1] + 1 if stops else 0


def _end(scopes: Scopes, others: list[Match], behind: int) -> int:
    """Where the words behind a mention begin to speak of something else."""
    words = scopes.words
    end = min(len(words), behind + _BEHIND)
    for name in others:
        if behind <= name.first < end:
            # What stands between the last comma, "and" or "with" and the next mention is that one's.
            links = [
                place
                for place in range(behind, name.first)
                if words[place] in _LINKS or words[place] == "with"
            ]
            end = links[-1] if links else behind
            break
    for place in range(behind, end):
        if words[place] == ",":  # "effusion, small" goes on; "effusion, left lung clear" does not
            more = scopes.lexicon.attributes.find(words, place + 1, min(end, place + 5))
            if not (more and more[0].first == place + 1 and words[more[0].last : more[0].last + 1] in _ENDS):
                return place
    return end


def _nearest(kind: str, *groups: list[Match]) -> tuple[str | None, Match | None]:
    for group in groups:
        for found in group:
            for tag in found.tags:
                name, _, value = tag.partition(":")
                if name == kind:
                    return value, found
    return None, None


def _side(*groups: list[Match]) -> tuple[str | None, Match | None]:
    """The side of the first group that names one; both left and right in it are bilateral."""
    for group in groups:
        value, found = _nearest("laterality", group)
        if value is None:
            continue
        others = {_nearest("laterality", [item])[0] for item in group} - {None}
        if {Laterality.LEFT, Laterality.RIGHT} <= others:
            return Laterality.BILATERAL, found
        return value, found
    return None, None
