"""Printed numbers: each with where it comes from, so that it can be looked up and compared again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

Format = Literal["fixed3", "fixed4", "count", "percent", "seconds", "p-value", "general"]
FORMATS: Final = get_args(Format)
ABSENT: Final = "–"
SUPPRESSED: Final = "suppressed"
SMALLEST_P: Final = 0.0001


def shown_as(value: Any, form: Format) -> str:
    """A value as tables print it; a dash where it is undefined."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ABSENT
    if form == "p-value" and value < SMALLEST_P:
        return f"< {SMALLEST_P:g}"
    return {
        "fixed3": "{:.3f}", "fixed4": "{:.4f}", "count": "{:,}", "percent": "{:.1%}",
        "seconds": "{:.3g} s", "p-value": "{:.4f}", "general": "{:g}",
    }[form].format(value)  # fmt: skip


def value_of(source: Mapping[str, Any], results: Mapping[str, Any], analyses: Mapping[str, Any]) -> Any:
    """The value that a source names.

    Args:
        source: `{"kind": "estimate", measure, value, slice, field}`, `{"kind": "decision", criterion,
            field}`, `{"kind": "group-decision", criterion, group, field}`, `{"kind": "results" or
            "analyses", path}`. A field `bounds:lower@0.95` names a bound.
        results: as results.json.
        analyses: as analyses.json.

    Raises:
        KeyError: it names nothing.
    """
    kind = source["kind"]
    if kind in ("results", "analyses"):
        found: Any = results if kind == "results" else analyses
        for key in source["path"]:
            try:
                found = found[key]
            except (IndexError, TypeError):
                raise KeyError(key) from None
        return found
    if kind == "estimate":
        asked = ("measure", "value", "slice")
        record = _first(
            results["estimates"], lambda item: all(item[key] == source[key] for key in asked), source
        )
    elif kind in ("decision", "group-decision"):
        decisions = results["verdict"]["decisions"]
        record = _first(decisions, lambda item: item["id"] == source["criterion"], source)
        if kind == "group-decision":
            record = _first(record["groups"], lambda item: item["group"] == source["group"], source)
    else:
        raise KeyError(kind)
    field, _, inner = str(source["field"]).partition(":")
    return record[field][inner] if inner else record[field]


def _first(records: Sequence[Any], fits: Any, source: Mapping[str, Any]) -> Any:
    for record in records:
        if fits(record):
            return record
    raise KeyError(str(dict(source)))


class Numbers:
    """The register of every number that the documents print; made while they are."""

    def __init__(self, results: Mapping[str, Any], analyses: Mapping[str, Any]) -> None:
        self.results, self.analyses = results, analyses
        self.records: list[dict[str, Any]] = []
        self.document = self.section = ""

    def number(self, source: Mapping[str, Any], form: Format) -> dict[str, Any]:
        """Looks a number up and enters it; returns its record.

        Raises:
            KeyError: the source names nothing.
        """
        value = value_of(source, self.results, self.analyses)
        record = {
            "id": f"n{len(self.records) + 1:05d}",
            "document": self.document,
            "section": self.section,
            **_place(source),
            "text": SUPPRESSED if value == SUPPRESSED else shown_as(value, form),
            "format": form,
            "source": dict(source),
        }
        self.records.append(record)
        return record


def differing(
    numbers: Sequence[Mapping[str, Any]], results: Mapping[str, Any], analyses: Mapping[str, Any]
) -> list[str]:
    """Every printed number that is not what its source says, each with its place."""
    problems = []
    for record in numbers:
        place = f"{record['document']}, {record['section']}, {record['row']}, {record['column']}"
        try:
            value = value_of(record["source"], results, analyses)
            form = record["format"]
            if form not in FORMATS:
                raise KeyError(form)
            text = SUPPRESSED if value == SUPPRESSED else shown_as(value, form)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{place}: its source leads nowhere ({error})")
            continue
        if text != record["text"]:
            problems.append(f"{place}: printed {record['text']}, the evidence says {text}")
    return problems


def _place(source: Mapping[str, Any]) -> dict[str, str]:
    """What the row of a table is about, and which of its columns this is."""
    parts = source.get("path") or [part for key, part in source.items() if key != "kind" and part is not None]
    *row, column = map(str, parts)
    return {"row": " ".join(row), "column": column}
