"""RadGraph F1: the overlap of entities and relations, in the ways that papers call by this name."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from harness.annotators.base import Graph
from harness.measures.base import Measure, Need, Pairs, ratio
from harness.measures.rouge import SCALE

Reward = Literal["simple", "partial", "complete"]
Casing = Literal["0.1.18", "lower"]
Element = tuple[object, ...]

_COUNTS: Final = ("matched", "candidate", "reference")


class RadGraphF1(Measure):
    """F1 of the elements of two graphs, as the `radgraph` package rewards a report.

    Delbrouck et al., Findings of EMNLP 2022. Elements of a graph, as a set:

    - simple: tokens and label of each entity;
    - partial: also whether the entity has a relation (the one most papers report);
    - complete: entities without relations, and each relation with the tokens at its other end.

    A study scores 0 where either graph has no entity, as in the package. Values: "value" is the
    mean over studies; "pooled" the F1 of the counts of all studies.

    Args:
        reward: which elements.
        casing: "0.1.18" compares as that version of the package does: with case, except for
            relations under "complete". "lower" ignores case, as the package does since its pull
            request 15 (May 2026).
    """

    name = "radgraph_f1"
    needs: ClassVar[tuple[Need, ...]] = ("graphs",)

    def __init__(self, reward: Reward = "partial", casing: Casing = "0.1.18") -> None:
        if reward not in get_args(Reward):
            raise ValueError(f"reward must be one of {', '.join(get_args(Reward))}")
        if casing not in get_args(Casing):
            raise ValueError(f"casing must be one of {', '.join(get_args(Casing))}, in quotes")
        self.reward = reward
        self.casing = casing
        self.columns = ("score", "studies", *_COUNTS, "unannotated")
        self.values = ("value", "pooled")

    def signature(self) -> str:
        """`radgraph_f1|REWARD|case:CASING|vN`; who made the graphs is added where it is known."""
        return f"radgraph_f1|{self.reward}|case:{self.casing}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Score in units of 2^-40, 1, counts of elements, and 1 if a graph is missing; (n, 6)."""
        rows = np.zeros((len(pairs), len(self.columns)), dtype=np.int64)
        for row, (candidate, reference) in zip(rows, _graphs(pairs), strict=True):
            if candidate is None or reference is None:
                row[[1, -1]] = 1
                continue
            sets = [elements(graph, self.reward, self.casing) for graph in (candidate, reference)]
            row[:-1] = (round(f1(*sets) * SCALE), 1, *_counts(*sets))
        return rows

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean and pooled, in [0, 1]; NaN if any study has no graph."""
        mean = ratio(totals[..., 0] / SCALE, totals[..., 1])
        return _where_annotated(totals, mean, _pooled(totals[..., 2:5]))


class RadGraphEntityRelationF1(Measure):
    """(entity F1 + relation F1) / 2, the other metric that papers call RadGraph F1.

    Yu et al., Patterns 4(9):100802, 2023. Entities are compared by tokens and label, relations by
    type and both ends' tokens and labels. As there, an F1 without any match is 0, so that two equal
    graphs without relations score a half. Values as for `RadGraphF1`.

    Args:
        casing: "cased" compares tokens as they are; "lower" ignores case.
    """

    name = "radgraph_entity_relation_f1"
    needs: ClassVar[tuple[Need, ...]] = ("graphs",)

    def __init__(self, casing: Literal["cased", "lower"] = "cased") -> None:
        if casing not in ("cased", "lower"):
            raise ValueError("casing must be cased or lower")
        self.casing = casing
        kinds = ("entities", "relations")
        counts = (f"{count} {kind}" for kind in kinds for count in _COUNTS)
        self.columns = ("score", "studies", *counts, "unannotated")
        self.values = ("value", "pooled")

    def signature(self) -> str:
        """`radgraph_entity_relation_f1|case:CASING|vN`, and who made the graphs."""
        return f"radgraph_entity_relation_f1|case:{self.casing}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Score in units of 2^-40, 1, counts of both kinds, and 1 if a graph is missing; (n, 9)."""
        rows = np.zeros((len(pairs), len(self.columns)), dtype=np.int64)
        for row, graphs in zip(rows, _graphs(pairs), strict=True):
            known = [graph for graph in graphs if graph is not None]
            if len(known) < 2:
                row[[1, -1]] = 1
                continue
            lower = self.casing == "lower"
            entities, relations = zip(*(entities_and_relations(graph, lower) for graph in known), strict=True)
            score = (f1(*entities) + f1(*relations)) / 2
            row[:-1] = (round(score * SCALE), 1, *_counts(*entities), *_counts(*relations))
        return rows

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean and pooled, in [0, 1]; NaN if any study has no graph."""
        mean = ratio(totals[..., 0] / SCALE, totals[..., 1])
        pooled = (_pooled(totals[..., 2:5]) + _pooled(totals[..., 5:8])) / 2
        return _where_annotated(totals, mean, pooled)


def elements(graph: Graph, reward: Reward, casing: Casing) -> set[Element]:
    """What a reward compares of one graph."""
    entities = graph["entities"]

    def text(entity: Graph, relational: bool = False) -> str:
        tokens: str = entity["tokens"]
        return tokens.lower() if relational or casing == "lower" else tokens

    found: set[Element] = set()
    for entity in entities.values():
        relations = entity["relations"]
        if reward == "simple" or not relations:
            found.add((text(entity), entity["label"]))
        elif reward == "partial":
            found.add((text(entity), entity["label"], True))
        else:
            found |= {
                (text(entity, True), entity["label"], kind, text(entities[target], True))
                for kind, target in relations
            }
    return found


def entities_and_relations(graph: Graph, lower: bool) -> tuple[set[Element], set[Element]]:
    """A graph's entities (tokens, label), and its relations (entity, entity, type)."""
    named = {
        name: (entity["tokens"].lower() if lower else entity["tokens"], entity["label"])
        for name, entity in graph["entities"].items()
    }
    relations: set[Element] = {
        (named[name], named[target], kind)
        for name, entity in graph["entities"].items()
        for kind, target in entity["relations"]
    }
    return set(named.values()), relations


def f1(candidate: AbstractSet[Element], reference: AbstractSet[Element]) -> float:
    """2 |common| / (|candidate| + |reference|); 0 where either is empty."""
    if not candidate or not reference:
        return 0.0
    return 2 * len(candidate & reference) / (len(candidate) + len(reference))


def _graphs(pairs: Pairs) -> list[tuple[Graph | None, Graph | None]]:
    candidate, reference = pairs.candidate.graphs, pairs.reference.graphs
    if candidate is None or reference is None:
        raise ValueError("a RadGraph measure needs the graphs of both sides")
    return list(zip(candidate, reference, strict=True))


def _counts(candidate: AbstractSet[Element], reference: AbstractSet[Element]) -> tuple[int, int, int]:
    return len(candidate & reference), len(candidate), len(reference)


def _pooled(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return ratio(2 * counts[..., 0], counts[..., 1] + counts[..., 2])


def _where_annotated(
    totals: NDArray[np.float64], mean: NDArray[np.float64], pooled: NDArray[np.float64]
) -> NDArray[np.float64]:
    values = np.stack([mean, pooled], axis=-1)
    return np.where(totals[..., -1:] > 0, np.nan, values)
