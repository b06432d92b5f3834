"""What pydantic says of a YAML file, as `file:line:column: key: what and remedy`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from harness.yaml_source import KeyPath, Source


def explain_all(
    source: Source, error: ValidationError, model: type[BaseModel], fractions: Sequence[str] = ()
) -> list[str]:
    """Every problem once, in the order of the file.

    Args:
        source: the file.
        error: what is wrong with it.
        model: what the file was read as; gives the keys that are known where one is not.
        fractions: keys whose values are fractions, where 98 was surely meant as 98 %.
    """
    items = error.errors()
    paths = [tuple(item["loc"]) for item in items]
    told: dict[str, tuple[int, int]] = {}
    for item, path in zip(items, paths, strict=True):
        # A list whose entries are all wrong counts as empty; its entries say what is wrong.
        if item["type"] != "too_short" or not any(other[:-1][: len(path)] == path for other in paths):
            told[_explain(source, item, model, fractions)] = source.place(path)
    return sorted(told, key=lambda problem: (told[problem], problem))


def _explain(source: Source, item: Any, model: type[BaseModel], fractions: Sequence[str]) -> str:
    path: KeyPath = tuple(item["loc"])
    kind, value = item["type"], item.get("input")
    if kind == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"
        return source.problem(path, f"unknown key{hint}")
    if kind == "missing":
        every = f"; every {model.__name__.lower()} needs it" if len(path) == 1 else ""
        return source.problem(path, f"missing{every}")
    if kind == "too_short":
        return source.problem(path, "needs at least one entry")
    if path and path[-1] in fractions and kind in ("greater_than", "less_than"):
        percent = f"; for {value:g} % write {value / 100:g}" if 0 < value < 100 else ""
        return source.problem(path, f"{value:g} is not a fraction between 0 and 1{percent}")
    message = str(item["msg"]).removeprefix("Value error, ")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float) else ""
    return source.problem(path, message[0].lower() + message[1:] + shown)


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that a mapping at this path may have."""
    part: type[BaseModel] | None = model
    for name in path:
        if isinstance(name, int):
            continue  # an entry of a list is of the list's type
        field = part.model_fields.get(name) if part is not None else None
        part = next(_models_in(field.annotation), None) if field is not None else None
    return list(part.model_fields) if part is not None else []


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
