import numpy as np
import pytest

from harness.annotators.rules import RulesLabeler
from harness.phantom.graph import tokenize
from harness.phantom.language import describe
from harness.phantom.sampling import patient_visits
from harness.report import CRITICAL, FINDINGS, State


@pytest.fixture(scope="module")
def described():
    pairs = []
    for patient in range(700):
        for visit in patient_visits(99, patient):
            rng = np.random.default_rng([99, patient, visit.visit])
            pairs.append((visit.scene, describe(visit.scene, rng)))
    return pairs


def text_of(words):
    return "\n".join(part for part in (words.findings, words.impression) if part)


def test_a_report_is_a_function_of_scene_and_generator(described):
    for scene, words in described[:50]:
        again = [describe(scene, np.random.default_rng(7)) for _ in range(2)]
        assert again[0] == again[1]
        assert set(words.states) == set(FINDINGS)


def test_every_critical_sign_is_in_the_impression(described):
    labeler = RulesLabeler()
    labels = labeler.label([words.impression for _, words in described])
    for (scene, _), row in zip(described, labels, strict=True):
        for sign in scene.signs:
            if sign.finding in CRITICAL:
                assert row[FINDINGS.index(sign.finding)] in (State.POSITIVE, State.UNCERTAIN)


def test_the_labeler_reads_the_states_that_were_written(described):
    labels = RulesLabeler().label([text_of(words) for _, words in described])
    truth = np.array([[words.states[f] for f in FINDINGS] for _, words in described])
    # A wider finding may be read out of a narrower one's words; the named states must agree.
    named = truth != State.NOT_MENTIONED
    assert (labels[named] == truth[named]).mean() > 0.999


def test_wording_varies(described):
    texts = [text_of(words) for scene, words in described if scene.signs]
    assert len(set(texts)) > 0.98 * len(texts)
    joined = " ".join(texts).lower()
    for word in ("no evidence of", "cannot be excluded", "possible", "unchanged", "new", "negative for"):
        assert word in joined


def test_the_graph_is_that_of_the_words(described):
    for _, words in described:
        graph = words.graph
        tokens = graph["text"].split()
        assert tokens == tokenize(f"{words.findings} {words.impression}".strip())
        ends = [0]
        for number, entity in graph["entities"].items():
            first, last = entity["start_ix"], entity["end_ix"]
            assert entity["tokens"] == " ".join(tokens[first : last + 1])
            assert first <= last
            ends.append(last)
            assert entity["label"] in (
                "Anatomy::definitely present", "Observation::definitely present",
                "Observation::definitely absent", "Observation::uncertain",
            )  # fmt: skip
            for kind, target in entity["relations"]:
                assert kind in ("modify", "located_at", "suggestive_of")
                assert target in graph["entities"]
                assert target != number


def test_denied_findings_are_absent_in_the_graph(described):
    for scene, words in described:
        absent = [
            e["tokens"].lower() for e in words.graph["entities"].values() if e["label"].endswith("absent")
        ]
        for name in ("pneumothorax", "fracture"):
            if name in absent:
                assert not any(sign.finding.lower() == name for sign in scene.signs)
