import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_curve

from harness.report import CRITICAL, FINDINGS, INDEX
from harness.training.imbalance import best_thresholds, critical_sensitivity, positive_weights


def table(seed, n=80):
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, 14)) < 0.4).astype(float)
    targets[rng.random((n, 14)) < 0.1] = np.nan
    scores = np.round(np.clip(np.nan_to_num(targets) * 0.3 + rng.random((n, 14)) * 0.7, 0, 1), 3)
    return scores, targets


def test_weights_are_the_root_of_negatives_per_positive_between_1_and_10():
    targets = np.zeros((900, 14))
    targets[:100, 0] = 1  # 8 negatives a positive
    targets[:600, 1] = 1  # more positives than negatives
    targets[:1, 2] = 1
    targets[:, 3] = 1
    targets[:, 4] = np.nan
    targets[:100, 4], targets[100:400, 4] = 1, 0  # 3 a positive among those that count
    assert positive_weights(targets)[:6] == (2.8284, 1, 10, 1, 1.7321, 1)


def curve(scores, targets, finding):
    """F1 of a finding at each threshold of the grid: threshold -> F1."""
    column = INDEX[finding]
    known = ~np.isnan(targets[:, column])
    truth, score = targets[known, column], scores[known, column]
    grid = [round(t, 2) for t in np.linspace(0.05, 0.95, 91)]
    return {t: f1_score(truth, score >= t) for t in grid}


@pytest.mark.parametrize("seed", range(3))
def test_no_other_threshold_of_the_grid_has_a_better_f1(seed):
    scores, targets = table(seed)
    best = best_thresholds(scores, targets)
    for finding in set(FINDINGS) - set(CRITICAL):
        every = curve(scores, targets, finding)
        assert every[best[finding]] == pytest.approx(max(every.values()))


@pytest.mark.parametrize("seed", range(3))
def test_a_critical_finding_has_the_most_sensitive_threshold_of_nearly_the_best_f1(seed):
    scores, targets = table(seed)
    best = best_thresholds(scores, targets)
    for finding in CRITICAL:
        every = curve(scores, targets, finding)
        good = [t for t, f1 in every.items() if f1 >= 0.95 * max(every.values()) - 1e-12]
        assert best[finding] == min(good)


def test_a_finding_with_few_positives_keeps_one_half():
    scores, targets = table(1)
    targets[:, 3] = 0
    targets[:4, 3] = 1
    assert best_thresholds(scores, targets)[FINDINGS[3]] == 0.5


def test_critical_sensitivity_is_read_off_the_roc_curves_at_the_specificity():
    scores, targets = table(2, 200)
    found = positives = 0
    for finding in CRITICAL:
        known = ~np.isnan(targets[:, INDEX[finding]])
        truth = targets[known, INDEX[finding]]
        fpr, tpr, _ = roc_curve(truth, scores[known, INDEX[finding]], drop_intermediate=False)
        found += tpr[fpr <= 0.1 + 1e-12].max() * truth.sum()
        positives += truth.sum()
    assert critical_sensitivity(scores, targets) == pytest.approx(found / positives)


def test_moving_all_scores_along_the_curve_is_no_gain():
    scores, targets = table(4)
    assert critical_sensitivity(scores**3, targets) == critical_sensitivity(scores, targets)


def test_without_a_positive_it_is_undefined():
    scores, targets = table(3)
    assert np.isnan(critical_sensitivity(scores, np.zeros_like(targets)))
