"""Texts that carry their own RadGraph: words, entities and relations made together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["Observation", "Anatomy"]
Presence = Literal["definitely present", "definitely absent", "uncertain"]
RelationType = Literal["modify", "located_at", "suggestive_of"]

_TOKEN = re.compile(r"\w+(?:[-.]\w+)*|[^\w\s]")


@dataclass(slots=True, eq=False)
class Entity:
    """Some words that mean something, and what they relate to."""

    text: str
    kind: Kind
    presence: Presence = "definitely present"
    relations: list[tuple[RelationType, Entity]] = field(default_factory=list)


Piece = str | Entity
"""Plain words, or an entity."""


def tokenize(text: str) -> list[str]:
    """Words (with inner hyphens and decimal points) and single punctuation marks."""
    return _TOKEN.findall(text)


def render(pieces: Iterable[Piece]) -> str:
    """The text of some pieces; no space before a mark of punctuation."""
    words = [piece if isinstance(piece, str) else piece.text for piece in pieces]
    return re.sub(r"\s+([.,;:])", r"\1", " ".join(word for word in words if word))


def radgraph(sections: Sequence[Sequence[Piece]]) -> dict[str, Any]:
    """The graph of a report in RadGraph's JSON form (Jain et al., NeurIPS Datasets 2021).

    `text` is the tokens joined by spaces; `start_ix` and `end_ix` count tokens, both inclusive.
    The pieces of all sections are taken one after the other.
    """
    tokens: list[str] = []
    places: list[tuple[Entity, int, int]] = []
    for section in sections:
        for piece in section:
            own = tokenize(piece if isinstance(piece, str) else piece.text)
            if isinstance(piece, Entity):
                places.append((piece, len(tokens), len(tokens) + len(own) - 1))
            tokens += own
    names = {id(entity): str(number) for number, (entity, _, _) in enumerate(places, start=1)}
    return {
        "text": " ".join(tokens),
        "entities": {
            names[id(entity)]: {
                "tokens": " ".join(tokens[start : end + 1]),
                "label": f"{entity.kind}::{entity.presence}",
                "start_ix": start,
                "end_ix": end,
                "relations": [[kind, names[id(target)]] for kind, target in entity.relations],
            }
            for entity, start, end in places
        },
    }
