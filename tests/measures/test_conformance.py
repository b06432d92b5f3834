"""Every installed measure keeps the contract, on phantom reports and on awkward texts."""

from dataclasses import replace

import numpy as np
import pytest

from harness.annotators.rules import RulesLabeler
from harness.measures.base import Pairs, Side
from harness.measures.names import named_measure
from harness.measures.negation_flips import NegationFlips
from harness.plugins import installed
from harness.testing import check_measure, subset
from report_texts import AWKWARD, pairs

NAMES = (
    *installed("measures"), "bleu4.raw", "bleu4.sacrebleu", "bleu4.sacrebleu.none", "rougeL.nostem",
    "rougeL.coco", "rougeL.coco.raw", "edit_distance.raw", "findings_f1.ignore",
)  # fmt: skip


def word_graph(text):
    """A graph in RadGraph's form: each word modifies the next."""
    words = text.split()[:40]
    entities = {
        str(place): {
            "tokens": word,
            "label": "Observation::definitely present",
            "start_ix": place,
            "end_ix": place,
            "relations": [["modify", str(place + 1)]] if place + 1 < len(words) else [],
        }
        for place, word in enumerate(words)
    }
    return {"text": " ".join(words), "entities": entities}


def with_graphs(some):
    """The same pairs, with graphs for the measures that need them."""
    sides = [
        replace(side, graphs=[word_graph(text) for text in side.texts("report")])
        for side in (some.reference, some.candidate)
    ]
    return Pairs(*sides, some.failed)


@pytest.fixture(scope="module")
def phantom(cases):
    """Each study beside the next one's report, every seventh failed."""
    order = np.roll(np.arange(len(cases)), -1)
    labeler = RulesLabeler()
    findings = [case.reference.findings for case in cases]
    impressions = [case.reference.impression for case in cases]
    failed = np.arange(len(cases)) % 7 == 0
    reference = Side(findings, impressions, labeler.label([case.reference.text for case in cases]))
    own = Pairs(reference, reference, failed)
    shuffled = subset(own, order).candidate
    silent = ["" if fail else text for fail, text in zip(failed, shuffled.findings, strict=True)]
    labels = np.where(failed[:, None], 0, shuffled.labels).astype(np.int8)
    impressions = ["" if fail else text for fail, text in zip(failed, shuffled.impression, strict=True)]
    return with_graphs(Pairs(reference, Side(silent, impressions, labels), failed))


@pytest.mark.parametrize("name", NAMES)
def test_on_phantom_reports(name, phantom):
    assert check_measure(named_measure(name), phantom) == []


@pytest.mark.parametrize("name", NAMES)
def test_on_awkward_texts(name):
    labeler = RulesLabeler()
    texts = list(AWKWARD)
    labels = labeler.label(texts)
    for others in (texts, texts[::-1]):
        some = with_graphs(pairs(others, texts, labeler.label(others), labels))
        assert check_measure(named_measure(name), some) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_studies_changes_no_value(name, phantom):
    measure = named_measure(name)
    order = np.random.default_rng(0).permutation(len(phantom))
    rows = [measure.rows(phantom), measure.rows(subset(phantom, order))]
    once = np.ones(len(phantom))
    np.testing.assert_array_equal(*(measure.weighted(table, once) for table in rows))


@pytest.mark.parametrize("name", NAMES)
def test_references_are_not_rewritten_between_uses(name, phantom):
    measure = named_measure(name)
    before = [list(phantom.reference.findings), phantom.reference.labels.copy()]
    first = measure.rows(phantom)
    np.testing.assert_array_equal(first, measure.rows(phantom))
    assert before[0] == list(phantom.reference.findings)
    np.testing.assert_array_equal(before[1], phantom.reference.labels)


def test_a_measure_that_denies_reading_labels_is_found_out(phantom):
    class Denies(NegationFlips):
        needs = ()

    assert "needs" in " ".join(check_measure(Denies(), phantom))
