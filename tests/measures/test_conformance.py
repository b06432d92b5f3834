"""Every installed measure keeps the contract, on phantom reports and on awkward texts."""

import numpy as np
import pytest
from report_texts import AWKWARD, pairs

from harness.annotators.rules import RulesLabeler
from harness.measures.base import Pairs, Side
from harness.measures.names import named_measure
from harness.measures.negation_flips import NegationFlips
from harness.plugins import installed
from harness.testing import check_measure, subset

NAMES = (
    *installed("measures"), "bleu4.raw", "bleu4.sacrebleu", "bleu4.sacrebleu.none", "rougeL.nostem",
    "rougeL.coco", "rougeL.coco.raw", "edit_distance.raw", "findings_f1.ignore",
)  # fmt: skip


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
    return Pairs(
        reference,
        Side(
            silent, ["" if fail else t for fail, t in zip(failed, shuffled.impression, strict=True)], labels
        ),
        failed,
    )


@pytest.mark.parametrize("name", NAMES)
def test_on_phantom_reports(name, phantom):
    assert check_measure(named_measure(name), phantom) == []


@pytest.mark.parametrize("name", NAMES)
def test_on_awkward_texts(name):
    labeler = RulesLabeler()
    texts = list(AWKWARD)
    labels = labeler.label(texts)
    for others in (texts, texts[::-1]):
        some = pairs(others, texts, labeler.label(others), labels)
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
        reads_labels = False

    assert "reads_labels" in " ".join(check_measure(Denies(), phantom))
