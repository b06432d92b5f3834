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


@dataclass(frozen=True, slots=True)
class Attributes:
    """Severity and side, each with the words that say so; None where the text does not say."""

    severity: Severity | None
    severity_at: Match | None
    laterality: Laterality | None
    laterality_at: Match | None


def attributes(scopes: Scopes, match: Match, reading: Reading) -> Attributes:
    """The attributes of a mention.

    A word before the mention in its noun phrase counts before one behind it. In a list ("left
    effusion and atelectasis") a later item has the side of an earlier one if it has none itself. An
    anatomy with a description ("the heart is mildly enlarged") reaches to its description.
    """
    book = scopes.lexicon.attributes
    first, last = scopes.clause(match)
    behind = match.last
    if reading.cue is not None and reading.cue.first >= match.last and {"abnormal", "possible"} & set(
        reading.cue.tags
    ):
        behind = reading.cue.last
        before = book.find(scopes.words, match.last, reading.cue.first)
    else:
        before = []
    listed = [name for name in scopes.names if name.last <= match.first]
    start = max(first, match.first - _BEFORE)
    own = max([start, *(name.last for name in listed)])
    before = book.find(scopes.words, own, match.first) + before
    after = book.find(scopes.words, behind, _end(scopes, match, behind))
    inherited = []
    if listed and own > start and set(scopes.words[listed[-1].last : match.first]) & _LINKS:
        inherited = book.find(scopes.words, start, listed[-1].first)
    severity, severity_at = _nearest("severity", list(reversed(before)), after)
    side, side_at = _side(list(reversed(before)), after, list(reversed(inherited)))
    return Attributes(
        Severity(severity) if severity else None,
        severity_at,
        Laterality(side) if side else None,
        side_at,
    )


def _end(scopes: Scopes, match: Match, behind: int) -> int:
    """Where the words behind a mention begin to speak of something else."""
    end = min(len(scopes.words), behind + _BEHIND)
    for name in scopes.names:
        if behind <= name.first < end:
            # What stands between the last comma, "and" or "with" and the next mention is that one's.
            links = [
                place
                for place in range(behind, name.first)
                if scopes.words[place] in _LINKS or scopes.words[place] == "with"
            ]
            return links[-1] if links else behind
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
