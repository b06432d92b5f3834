from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.annotators.base import EMPTY_GRAPH
from harness.annotators.graph_files import GraphFiles
from harness.errors import HarnessError, NotEvaluable

GRAPH = {
    "text": "No effusion ( small ) .",
    "entities": {
        "1": {
            "tokens": "effusion",
            "label": "Observation::definitely absent",
            "start_ix": 1,
            "end_ix": 1,
            "relations": [],
        }
    },
    "data_source": None,
    "data_split": "inference",
}
KEPT = {"text": GRAPH["text"], "entities": GRAPH["entities"]}


def write(path: Path, value: Any) -> str:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def test_a_graph_is_found_by_its_text_whatever_the_blanks(tmp_path: Path) -> None:
    source = GraphFiles(write(tmp_path / "graphs.json", {"p10/p1/s2.txt": GRAPH}))
    texts = ["No effusion (small).", "No\neffusion  ( small ).", "no effusion (small).", "", " \n"]
    assert source.annotate(texts) == [KEPT, KEPT, None, EMPTY_GRAPH, EMPTY_GRAPH]


def test_lines_and_folders(tmp_path: Path) -> None:
    other = {**GRAPH, "text": "Other ."}
    write(tmp_path / "a.json", {"0": GRAPH})
    write(tmp_path / "b.jsonl", json.dumps(other) + "\n\n" + json.dumps(GRAPH) + "\n")
    source = GraphFiles(str(tmp_path))
    assert source.annotate(["Other.", "No effusion (small)."]) == [{**KEPT, "text": "Other ."}, KEPT]
    before = source.signature()
    assert before.startswith("radgraph-json@sha256:")
    write(tmp_path / "b.jsonl", json.dumps(other))
    assert source.signature() != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": 3}, "graph 2: not a graph: needs text"),
        ({"entities": []}, "graph 2: not a graph: needs entities"),
        ({"entities": {"1": {"tokens": "a"}}}, "an entity needs tokens and label"),
        ({"entities": {"1": {"tokens": "a", "label": "b"}}}, "an entity needs relations"),
        ({"entities": {"1": {"tokens": "a", "label": "b", "relations": [["modify"]]}}}, "needs relations"),
        (
            {"entities": {"1": {"tokens": "a", "label": "b", "relations": [["modify", "7"]]}}},
            "a relation leads to an entity that is not there",
        ),
        ({"entities": {}}, "another graph of the same text came before"),
    ],
)
def test_bad_graphs_are_named_by_number_and_never_by_name(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "graphs.json", {"p10000001": GRAPH, "p10000002": {**GRAPH, **change}})
    with pytest.raises(HarnessError, match=message) as caught:
        GraphFiles(path).annotate(["x"])
    assert "p1000000" not in str(caught.value)
    assert "effusion" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[", "[1]", "\x00"])
def test_what_is_no_json_object(tmp_path: Path, content: str) -> None:
    with pytest.raises(HarnessError, match=r"graphs\.json: (cannot be read as JSON|must be one object)"):
        GraphFiles(write(tmp_path / "graphs.json", content)).annotate(["x"])


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    for line, message in (("3", "must be an object"), ("{}", "not a graph"), ("{", "not valid JSON")):
        path = write(tmp_path / "graphs.jsonl", json.dumps(GRAPH) + f"\n{line}\n")
        with pytest.raises(HarnessError, match=rf"graphs\.jsonl:2: {message}"):
            GraphFiles(path).annotate(["x"])


def test_missing_files_are_not_evaluable(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(NotEvaluable, match="no RadGraph JSON here"):
            GraphFiles(str(path)).signature()
