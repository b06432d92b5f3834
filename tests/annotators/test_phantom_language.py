"""The labeler on phantom reports, whose truth is known exactly."""

import numpy as np
import pytest

from harness.annotators.rules import RulesLabeler
from harness.phantom.language import describe
from harness.phantom.sampling import patient_visits
from harness.report import FINDINGS, Finding, State, join_sections


@pytest.fixture(scope="module")
def studies():
    visits = [visit for patient in range(450) for visit in patient_visits(5, patient)]
    told = [describe(visit.scene, np.random.default_rng([1, n])) for n, visit in enumerate(visits)]
    texts = [join_sections((words.findings, words.impression)) for words in told]
    return visits, told, texts


def test_labels_agree_with_the_truth(studies):
    _, told, texts = studies
    truth = np.array([[words.states[finding] for finding in FINDINGS] for words in told])
    labels = RulesLabeler().label(texts)
    assert len(texts) > 600
    assert (labels == truth).mean() >= 0.999
    for finding in (Finding.PNEUMOTHORAX, Finding.FRACTURE, Finding.PLEURAL_EFFUSION, Finding.LUNG_LESION):
        column = FINDINGS.index(finding)
        assert (labels[:, column] == truth[:, column]).all(), finding


def test_side_and_severity_agree_with_the_truth_wherever_they_are_stated(studies):
    visits, _, texts = studies
    labeler = RulesLabeler()
    stated = 0
    for visit, text in zip(visits, texts, strict=True):
        signs = {sign.finding: sign for sign in visit.scene.signs}
        for mention in labeler.mentions(text):
            sign = signs.get(mention.finding)
            if sign is None or sign.finding is Finding.SUPPORT_DEVICES or mention.state is State.NEGATIVE:
                continue
            assert mention.laterality in (None, sign.laterality), text
            assert mention.severity in (None, sign.severity), text
            stated += mention.laterality is not None
    assert stated > 300
