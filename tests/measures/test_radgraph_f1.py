from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.annotators.base import EMPTY_GRAPH, Graph
from harness.measures.base import Measure, Pairs, Side, from_fixed
from harness.measures.radgraph_f1 import (
    Casing,
    RadGraphEntityRelationF1,
    RadGraphF1,
    Reward,
    elements,
    f1,
)
from harness.report import FINDINGS
from harness.testing import check_measure

REWARDS: tuple[Reward, ...] = ("simple", "partial", "complete")
LABELS = ("Observation::definitely present", "Observation::definitely absent", "Anatomy::definitely present")
TOKENS = ("effusion", "Effusion", "EFFUSION", "right", "pleural", "small İ", "ß")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(0, 6))
    names = [str(number) for number in range(1, count + 1)]
    kinds = st.sampled_from(("modify", "located_at"))
    relation = st.tuples(kinds, st.sampled_from(names or [""])).map(list)
    return {
        "text": "",
        "entities": {
            name: {
                "tokens": draw(st.sampled_from(TOKENS)),
                "label": draw(st.sampled_from(LABELS)),
                "start_ix": 0,
                "end_ix": 0,
                "relations": draw(st.lists(relation, max_size=3)),
            }
            for name in names
        },
    }


def pairs_of(*pairs: tuple[Graph | None, Graph | None]) -> Pairs:
    """Candidate and reference graphs as pairs."""
    count = len(pairs)
    labels = np.zeros((count, len(FINDINGS)), dtype=np.int8)
    sides = [Side([""] * count, [""] * count, labels, list(side)) for side in zip(*pairs, strict=True)]
    return Pairs(reference=sides[1], candidate=sides[0], failed=np.zeros(count, dtype=bool))


def lowered(graph: Graph) -> Graph:
    entities = {k: {**e, "tokens": e["tokens"].lower()} for k, e in graph["entities"].items()}
    return {"text": graph["text"], "entities": entities}


@pytest.fixture(scope="module")
def compute_reward() -> Any:
    """The package's own function."""
    return pytest.importorskip(
        "radgraph.rewards", reason="the radgraph package is not installed"
    ).compute_reward


@pytest.mark.parametrize("reward", REWARDS)
def test_rewards_are_those_of_the_package(compute_reward: Any, reward: Reward) -> None:
    @settings(max_examples=500, deadline=None)
    @given(graphs(), graphs())
    def check(candidate: Graph, reference: Graph) -> None:
        ours = f1(elements(candidate, reward, "0.1.18"), elements(reference, reward, "0.1.18"))
        assert ours == pytest.approx(compute_reward(candidate, reference, reward), abs=1e-15)
        # Lowercasing both graphs beforehand is what newer versions of the package do.
        ours = f1(elements(candidate, reward, "lower"), elements(reference, reward, "lower"))
        theirs = compute_reward(lowered(candidate), lowered(reference), reward)
        assert ours == pytest.approx(theirs, abs=1e-15)

    check()


@pytest.mark.parametrize("reward", REWARDS)
def test_mean_of_studies_is_the_mean_of_the_packages_rewards(compute_reward: Any, reward: Reward) -> None:
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(graphs(), graphs()), min_size=1, max_size=8))
    def check(studies: list[tuple[Graph, Graph]]) -> None:
        measure = RadGraphF1(reward=reward)
        rows = measure.rows(pairs_of(*studies))
        rewards = [compute_reward(candidate, reference, reward) for candidate, reference in studies]
        np.testing.assert_allclose(from_fixed(rows[:, :2]), rewards, atol=1e-12)
        assert measure.value(rows.sum(axis=0).astype(float))[0] == pytest.approx(np.mean(rewards), abs=1e-12)

    check()


def entity(tokens: str, label: str, *relations: tuple[str, str]) -> dict[str, Any]:
    return {
        "tokens": tokens,
        "label": label,
        "start_ix": 0,
        "end_ix": 0,
        "relations": [list(r) for r in relations],
    }


PRESENT, ANATOMY = LABELS[0], LABELS[2]
SMALL = {
    "text": "Small right effusion .",
    "entities": {
        "1": entity("Small", PRESENT, ("modify", "3")),
        "2": entity("right", ANATOMY),
        "3": entity("effusion", PRESENT, ("located_at", "2")),
    },
}
LARGE = {
    "text": "large Right effusion",
    "entities": {
        "1": entity("large", PRESENT, ("modify", "3")),
        "2": entity("Right", ANATOMY),
        "3": entity("Effusion", PRESENT, ("located_at", "2")),
    },
}


@pytest.mark.parametrize(
    ("reward", "casing", "matched"),
    [
        ("simple", "0.1.18", 0),
        ("simple", "lower", 2),
        ("partial", "0.1.18", 0),
        ("partial", "lower", 2),
        ("complete", "0.1.18", 1),  # the relation, but not the entity without one
        ("complete", "lower", 2),
    ],
)
def test_casing(reward: Reward, casing: Casing, matched: int) -> None:
    measure = RadGraphF1(reward, casing)
    assert measure.rows(pairs_of((SMALL, LARGE)))[0, 3:].tolist() == [matched, 3, 3, 0]
    assert f"|{reward}|case:{casing}|" in measure.signature()


def test_entity_relation_f1_by_hand() -> None:
    measure = RadGraphEntityRelationF1(casing="lower")
    row = measure.rows(pairs_of((SMALL, LARGE)))[0]
    assert row[2:].tolist() == [1, 2, 3, 3, 1, 2, 2, 0]
    assert from_fixed(row[:2]) == pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-12)
    alone = {"text": "", "entities": {"1": entity("effusion", PRESENT)}}
    rows = measure.rows(pairs_of((alone, alone)))
    assert from_fixed(rows[0, :2]) == 0.5


@given(st.lists(st.tuples(graphs(), graphs()), min_size=1, max_size=8))
def test_entity_relation_f1_as_its_paper_defines_it(studies: list[tuple[Graph, Graph]]) -> None:
    def sets(graph: Graph) -> tuple[set[Any], set[Any]]:
        every = graph["entities"]
        ends = {name: (item["tokens"], item["label"]) for name, item in every.items()}
        links = {(ends[n], kind, ends[t]) for n, item in every.items() for kind, t in item["relations"]}
        return set(ends.values()), links

    def score(ours: set[Any], theirs: set[Any]) -> float:
        hits = len(ours & theirs)
        precision = hits / len(ours) if ours else 0
        recall = hits / len(theirs) if theirs else 0
        return 2 * precision * recall / (precision + recall) if hits else 0

    expected = [np.mean([score(*pair) for pair in zip(sets(a), sets(b), strict=True)]) for a, b in studies]
    rows = RadGraphEntityRelationF1().rows(pairs_of(*studies))
    np.testing.assert_allclose(from_fixed(rows[:, :2]), expected, atol=1e-12)


@pytest.mark.parametrize(
    "measure", [RadGraphF1(), RadGraphF1("complete", "lower"), RadGraphEntityRelationF1()]
)
def test_conforms(measure: Measure) -> None:
    studies = [(SMALL, SMALL), (SMALL, LARGE), (EMPTY_GRAPH, LARGE), (EMPTY_GRAPH, EMPTY_GRAPH)]
    assert check_measure(measure, pairs_of(*studies)) == []


@pytest.mark.parametrize("measure", [RadGraphF1(), RadGraphEntityRelationF1()])
def test_an_empty_graph_scores_0_and_stays_in_the_denominator(measure: Measure) -> None:
    rows = measure.rows(pairs_of((SMALL, SMALL), (EMPTY_GRAPH, SMALL)))
    mean, pooled = measure.value(rows.sum(axis=0).astype(float))
    assert mean == 0.5
    assert pooled == pytest.approx(2 / 3)


@pytest.mark.parametrize("measure", [RadGraphF1(), RadGraphEntityRelationF1()])
@pytest.mark.parametrize("missing", [(None, SMALL), (SMALL, None), (None, None)])
def test_one_missing_graph_leaves_the_whole_undefined(measure: Measure, missing: Any) -> None:
    rows = measure.rows(pairs_of((SMALL, SMALL), missing))
    assert np.isnan(measure.value(rows.sum(axis=0).astype(float))).all()
    assert not np.isnan(measure.value(rows[0].astype(float))).any()


def test_no_graphs_at_all_is_an_error_not_a_score() -> None:
    side = Side([""], [""], np.zeros((1, len(FINDINGS)), dtype=np.int8))
    with pytest.raises(ValueError, match="needs the graphs"):
        RadGraphF1().rows(Pairs(side, side, np.zeros(1, dtype=bool)))


@pytest.mark.parametrize("options", [{"reward": "all"}, {"casing": "upper"}, {"casing": 0.1}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be one of"):
        RadGraphF1(**options)
