"""Reporting checklists: each item with the section that answers it, or "not addressed"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import yaml

from harness.data_files import data_path
from harness.dossier.documents import BY_NUMBER
from harness.packet.schema import Packet

NAMES: Final = ("stard", "claim", "tripod", "gmlp")


@dataclass(frozen=True, slots=True)
class Item:
    """One item, in our own words."""

    id: str
    part: str
    item: str
    answers: tuple[str, ...]
    """The sections that answer it; empty: not addressed."""
    why: str
    """What is missing, where it is not addressed."""


@dataclass(frozen=True, slots=True)
class Checklist:
    """A published list of what a report of such a study must tell."""

    name: str
    title: str
    source: str
    items: tuple[Item, ...]

    @property
    def parts(self) -> dict[str, list[Item]]:
        """Heading -> its items, in the list's order."""
        found: dict[str, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.part, []).append(item)
        return found

    @property
    def open(self) -> tuple[Item, ...]:
        """What is not addressed."""
        return tuple(item for item in self.items if not item.answers)


def read_checklists(packet: Packet) -> list[Checklist]:
    """All four, answered by the packet's documents as far as the packet file lets them."""
    lists = []
    for name in NAMES:
        text = (data_path("reports") / "checklists" / f"{name}.yaml").read_text(encoding="utf-8")
        told = yaml.safe_load(text)
        items = tuple(_item(line, part["part"], packet) for part in told["parts"] for line in part["items"])
        lists.append(Checklist(name, told["title"], told["source"], items))
    return lists


def _item(line: dict[str, str], part: str, packet: Packet) -> Item:
    """An item is answered by sections of documents, if the packet file holds what they need for it."""
    answers = tuple(_section(place) for place in str(line.get("answered", "")).split())
    gaps = [need for need in str(line.get("needs", "")).split() if not _there(packet, need)]
    why = ""
    if not answers:
        why = line.get("why", "the packet says nothing of it")
    elif gaps:
        why = f"the packet file lacks {', '.join(gaps)}"
    return Item(str(line["id"]), part, line["item"], () if why else answers, why)


def _section(place: str) -> str:
    """`1.endpoints` as "1, Endpoints"."""
    number, _, anchor = place.partition(".")
    return f"{number}, {BY_NUMBER[int(number)].heading(anchor)}"


def _there(packet: Packet, need: str) -> bool:
    """Whether a section, or a field of one (`study.funding`), is filled in."""
    found: object = packet
    for name in need.split("."):
        found = getattr(found, name) if found is not None else None
    return found not in (None, "", ())
