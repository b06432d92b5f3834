"""Graphs that were made elsewhere, read from files in RadGraph's JSON: scoring without weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.annotators.base import EMPTY_GRAPH, Graph, GraphAnnotator
from harness.digests import digest_file, digest_value
from harness.errors import HarnessError, NotEvaluable
from harness.records import read_records


class GraphFiles(GraphAnnotator):
    """Looks up each report's graph by its text.

    A file is what the `radgraph` package returns, or what PhysioNet ships: one JSON object of
    graphs under any names. `.jsonl` holds a graph a line. A graph belongs to the report whose text
    it carries; blanks do not count, since RadGraph parts words from punctuation by them. A report
    that no file speaks of has no graph.

    Args:
        path: a file, or a folder of them; both sides' graphs may lie in one file or in several.
    """

    name = "radgraph-json"

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._graphs: dict[str, Graph] | None = None

    def signature(self) -> str:
        """`radgraph-json@sha256:DIGEST` of the files' bytes."""
        return f"{self.name}@sha256:{digest_value([digest_file(path) for path in self._files()])[:16]}"

    def annotate(self, texts: Sequence[str]) -> list[Graph | None]:
        """The graph that carries each text; None where there is none.

        Raises:
            HarnessError: a file is not RadGraph JSON, or has two graphs of one text.
        """
        if self._graphs is None:
            self._graphs = self._read()
        return [self._graphs.get(key) if (key := _key(text)) else EMPTY_GRAPH for text in texts]

    def _files(self) -> list[Path]:
        files = [self.path]
        if self.path.is_dir():
            files = sorted([*self.path.glob("*.json"), *self.path.glob("*.jsonl")])
        if not files or not files[0].is_file():
            raise NotEvaluable(
                f"{self.path}: no RadGraph JSON here; the graphs of both the references and the "
                "candidate's reports are needed"
            )
        return files

    def _read(self) -> dict[str, Graph]:
        graphs: dict[str, Graph] = {}
        for path in self._files():
            for place, graph in _entries(path):
                problem = graph_problem(graph)
                if problem:
                    raise HarnessError(f"{place}: {problem}")
                kept = {"text": graph["text"], "entities": graph["entities"]}
                before = graphs.setdefault(_key(graph["text"]), kept)
                if before["entities"] != kept["entities"]:
                    raise HarnessError(f"{place}: another graph of the same text came before; keep one")
        return graphs


def graph_problem(graph: Any) -> str:
    """What keeps a value from being a RadGraph; empty if nothing does."""
    if not isinstance(graph, Mapping) or not isinstance(graph.get("text"), str):
        return "not a graph: needs text, as a string"
    entities = graph.get("entities")
    if not isinstance(entities, Mapping):
        return "not a graph: needs entities, as an object"
    for entity in entities.values():
        if not isinstance(entity, Mapping) or not all(
            isinstance(entity.get(key), str) for key in ("tokens", "label")
        ):
            return "an entity needs tokens and label, as strings"
        relations = entity.get("relations")
        if not isinstance(relations, list) or not all(
            isinstance(item, list) and len(item) == 2 and all(isinstance(part, str) for part in item)
            for item in relations
        ):
            return "an entity needs relations, a list of [type, entity]"
        if not all(target in entities for _, target in relations):
            return "a relation leads to an entity that is not there"
    return ""


def _entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and value of each graph. Places are numbers: the names may hold patients' ids."""
    if path.suffix == ".jsonl":
        for number, graph in read_records(path, HarnessError):
            yield f"{path}:{number}", graph
        return
    try:
        whole = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise HarnessError(f"{path}: cannot be read as JSON: {type(error).__name__}") from None
    if not isinstance(whole, dict):
        raise HarnessError(f"{path}: must be one object of graphs, as the radgraph package returns it")
    for number, graph in enumerate(whole.values(), start=1):
        yield f"{path}: graph {number}", graph


def _key(text: str) -> str:
    return "".join(text.split())
