"""YAML with the line and column of every value kept, so that errors can point at them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import SuiteError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A YAML file as plain values, and where each stands."""

    name: str
    data: Any
    places: dict[KeyPath, tuple[int, int]]
    """Path of keys and indices -> (line, column), both from 1. A mapping's entry is at its key."""

    def place(self, path: KeyPath) -> tuple[int, int]:
        """Line and column of a value, or of the nearest one around it."""
        return next(
            (self.places[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.places),
            (1, 1),
        )

    def problem(self, path: KeyPath, what: str) -> str:
        """`file:line:column: criteria[2].above: what`, at the nearest place that is known."""
        place, key = self.place(path), key_path(path)
        return f"{self.name}:{place[0]}:{place[1]}: {key + ': ' if key else ''}{what}"


def key_path(path: KeyPath) -> str:
    """`("criteria", 2, "above")` as `criteria[2].above`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def read_yaml(path: Path) -> Source:
    """Reads one YAML document of plain values.

    Raises:
        SuiteError: the file is missing, is not UTF-8 or YAML, or has a key twice (each one named).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SuiteError([f"{path}: no such file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError([f"{path}: cannot be read as UTF-8 text: {error}"]) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"
        raise SuiteError([f"{path}:{place}: not valid YAML: {error.problem}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise SuiteError([f"{path}:1:1: not valid YAML: {first}"]) from None
    source = Source(str(path), data, {})
    problems: list[str] = []
    if node is not None:
        _locate(node, (), source, problems, set())
    if problems:
        raise SuiteError(problems)
    return source


def _locate(
    node: yaml.Node, path: KeyPath, source: Source, problems: list[str], open_nodes: set[int]
) -> None:
    if id(node) in open_nodes:  # an anchor that holds itself
        problems.append(source.problem(path, "refers to itself; write the value out"))
        return
    mark = node.start_mark
    source.places.setdefault(path, (mark.line + 1, mark.column + 1))
    open_nodes = open_nodes | {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _locate(item, (*path, index), source, problems, open_nodes)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[Hashable, int] = {}
        for key, value in node.value:
            place = (key.start_mark.line + 1, key.start_mark.column + 1)
            inner = (*path, str(key.value))
            if key.value in seen:
                problems.append(
                    f"{source.name}:{place[0]}:{place[1]}: {key_path(inner)}: "
                    f"duplicate key, first on line {seen[key.value]}; keep one"
                )
                continue
            seen[key.value] = place[0]
            source.places[inner] = place
            _locate(value, inner, source, problems, open_nodes)
