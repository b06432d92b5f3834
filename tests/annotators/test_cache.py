from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.annotators.base import EMPTY_GRAPH, Graph, GraphAnnotator, Labeler
from harness.annotators.cache import AnnotationCache, CachedGraphs, CachedLabeler
from harness.annotators.rules import RulesLabeler
from harness.errors import HarnessError
from harness.report import FINDINGS


class Counting(Labeler):
    """Labels by length, and remembers what it was asked."""

    name = "counting"

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.asked: list[str] = []

    def signature(self) -> str:
        return f"counting|v{self.version}"

    def label(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        return np.array([[len(text) % 4 * self.version] * len(FINDINGS) for text in texts], dtype=np.int8)


class Words(GraphAnnotator):
    """A graph with an entity a word; none for texts that ask for none."""

    name = "words"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def signature(self) -> str:
        return "words|v1"

    def annotate(self, texts: Sequence[str]) -> list[Graph | None]:
        self.asked += texts
        return [
            None
            if "none" in text
            else {"text": text, "entities": {str(n): {"tokens": w} for n, w in enumerate(text.split())}}
            for text in texts
        ]


def test_a_second_run_labels_nothing_again(tmp_path: Path) -> None:
    texts = ["a", "bb", "a", "", "ccc\ud800", "\x00"]
    first, second = Counting(), Counting()
    expected = Counting().label(texts)
    np.testing.assert_array_equal(CachedLabeler(first, tmp_path).label(texts), expected)
    assert sorted(first.asked) == sorted(set(texts))
    labels = CachedLabeler(second, tmp_path).label(texts[::-1])
    np.testing.assert_array_equal(labels, expected[::-1])
    assert labels.dtype == np.int8
    assert second.asked == []


def test_another_labeler_never_gets_the_first_ones_labels(tmp_path: Path) -> None:
    texts = ["a", "bb"]
    CachedLabeler(Counting(1), tmp_path).label(texts)
    other = Counting(2)
    np.testing.assert_array_equal(CachedLabeler(other, tmp_path).label(texts), Counting(2).label(texts))
    assert other.asked == texts


def test_nor_does_the_same_labeler_of_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CachedLabeler(Counting(), tmp_path).label(["a"])
    monkeypatch.setattr("harness.annotators.cache._code", lambda: "changed")
    changed = Counting()
    CachedLabeler(changed, tmp_path).label(["a"])
    assert changed.asked == ["a"]


def test_graphs_are_kept_with_their_order_and_their_absence(tmp_path: Path) -> None:
    texts = ["b a", "none", "", "one\nword \u202e"]
    fresh = Words().annotate(texts)
    for annotator in (Words(), Words()):
        cached = CachedGraphs(annotator, tmp_path)
        found = cached.annotate(texts)
        assert found == fresh
        assert [list(graph["entities"]) for graph in found if graph] == [
            list(graph["entities"]) for graph in fresh if graph
        ]
        assert cached.signature() == "words|v1"
    assert annotator.asked == []


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.text(), max_size=6), max_size=4))
def test_labels_do_not_depend_on_what_was_asked_before(
    tmp_path_factory: Any, batches: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cached = CachedLabeler(RulesLabeler(), folder)
    for texts in batches:
        np.testing.assert_array_equal(cached.label(texts), RulesLabeler().label(texts).reshape(-1, 14))


def test_a_changed_entry_is_read_anew(tmp_path: Path) -> None:
    CachedLabeler(Counting(), tmp_path).label(["a", "bb"])
    (file,) = tmp_path.glob("*.sqlite")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE annotations SET value = replace(value, '1', '3')")
    again = Counting()
    np.testing.assert_array_equal(CachedLabeler(again, tmp_path).label(["a"]), Counting().label(["a"]))
    assert again.asked == ["a"]


@pytest.mark.parametrize("damage", ["text", "cut", "middle", "table"])
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    texts = [f"text {number}" * 20 for number in range(500)]
    CachedLabeler(Counting(), tmp_path).label(texts)
    (file,) = tmp_path.glob("*.sqlite")
    content = file.read_bytes()
    if damage == "text":
        file.write_bytes(b"not a database at all, but long enough to be read as one" * 100)
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "middle":
        file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    else:
        with sqlite3.connect(file) as database:
            database.execute("UPDATE annotations SET value = x'ff00'")
    again = Counting()
    np.testing.assert_array_equal(CachedLabeler(again, tmp_path).label(texts), Counting().label(texts))
    assert sorted(again.asked) == sorted(texts)
    assert damage == "table" or "damaged, and set aside" in caplog.text
    last = Counting()
    CachedLabeler(last, tmp_path).label(texts)
    assert last.asked == []


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match=r"annotations cannot be kept here.*--annotations"):
        CachedLabeler(Counting(), tmp_path / "file" / "cache").label(["a"])


def fill(folder: Path, part: int) -> int:
    texts = [f"text {number}" for number in range(part * 100, part * 100 + 300)]
    labeler = Counting()
    labels = CachedLabeler(labeler, folder).label(texts)
    return int((labels != Counting().label(texts)).sum())


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(fill, [(tmp_path, part) for part in range(4)]) == [0, 0, 0, 0]
    last = Counting()
    CachedLabeler(last, tmp_path).label([f"text {number}" for number in range(600)])
    assert last.asked == []


def test_an_error_of_the_annotator_leaves_no_entry(tmp_path: Path) -> None:
    cache = AnnotationCache(tmp_path, "x")

    def fails(texts: Sequence[str]) -> list[Any]:
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        cache.read(["a"], fails)
    assert cache.read(["a"], lambda texts: [EMPTY_GRAPH]) == [EMPTY_GRAPH]
