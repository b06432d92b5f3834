"""RadGraph F1: the overlap of entities and relations, in the ways that papers call by this name."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import ClassVar, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from harness.annotators.base import Graph
from harness.measures.base import Measure, Need, Pairs, from_fixed, ratio, to_fixed

Reward = Literal["simple", "partial", "complete"]
Casing = Literal["0.1.18", "lower"]
Element = tuple[object, ...]

_SCORE: Final = ("score", "score_fraction", "studies")
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
        self.columns = (*_SCORE, *_COUNTS, "unannotated")
        self.values = ("value", "pooled")

    def signature(self) -> str:
        """`radgraph_f1|REWARD|case:CASING|vN`; who made the graphs is added where it is known."""
        return f"radgraph_f1|{self.reward}|case:{self.casing}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Score in fixed point, 1, counts of elements, and 1 if a graph is missing; shape (n, 7)."""

        def judge(candidate: Graph, reference: Graph) -> tuple[float, tuple[int, ...]]:
            sets = [elements(graph, self.reward, self.casing) for graph in (candidate, reference)]
            return f1(*sets), _counts(*sets)

        return _rows(pairs, judge, len(self.columns))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean and pooled, in [0, 1]; NaN if any study has no graph."""
        return _values(totals, _pooled(totals[..., 3:6]))


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
        self.columns = (*_SCORE, *counts, "unannotated")
        self.values = ("value", "pooled")

    def signature(self) -> str:
        """`radgraph_entity_relation_f1|case:CASING|vN`, and who made the graphs."""
        return f"radgraph_entity_relation_f1|case:{self.casing}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Score in fixed point, 1, counts of both kinds, and 1 if a graph is missing; shape (n, 10)."""

        def judge(*graphs: Graph) -> tuple[float, tuple[int, ...]]:
            sets = [entities_and_relations(graph, self.casing == "lower") for graph in graphs]
            entities, relations = zip(*sets, strict=True)
            return (f1(*entities) + f1(*relations)) / 2, (*_counts(*entities), *_counts(*relations))

        return _rows(pairs, judge, len(self.columns))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean and pooled, in [0, 1]; NaN if any study has no graph."""
        return _values(totals, (_pooled(totals[..., 3:6]) + _pooled(totals[..., 6:9])) / 2)


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


def _rows(
    pairs: Pairs, judge: Callable[[Graph, Graph], tuple[float, tuple[int, ...]]], columns: int
) -> NDArray[np.int64]:
    candidates, references = pairs.candidate.graphs, pairs.reference.graphs
    if candidates is None or references is None:
        raise ValueError("a RadGraph measure needs the graphs of both sides")
    scores = np.zeros(len(pairs))
    rows = np.zeros((len(pairs), columns), dtype=np.int64)
    rows[:, _SCORE.index("studies")] = 1
    for place, (candidate, reference) in enumerate(zip(candidates, references, strict=True)):
        if candidate is None or reference is None:
            rows[place, -1] = 1
        else:
            scores[place], rows[place, len(_SCORE) : -1] = judge(candidate, reference)
    rows[:, :2] = to_fixed(scores)
    return rows


def _counts(candidate: AbstractSet[Element], reference: AbstractSet[Element]) -> tuple[int, int, int]:
    return len(candidate & reference), len(candidate), len(reference)


def _pooled(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return ratio(2 * counts[..., 0], counts[..., 1] + counts[..., 2])


def _values(totals: NDArray[np.float64], pooled: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = ratio(from_fixed(totals), totals[..., _SCORE.index("studies")])
    return np.where(totals[..., -1:] > 0, np.nan, np.stack([mean, pooled], axis=-1))
