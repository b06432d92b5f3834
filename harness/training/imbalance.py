"""What is done about findings being rare: weights in the loss, and thresholds that fit them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.report import CRITICAL, FINDINGS, INDEX, Finding

WEIGHTS_NAME: Final = "square root of negatives per positive, 1 to 10"
_MOST: Final = 10.0
CRITICAL_F1: Final = 0.95
"""Part of the best F1 that a critical finding's threshold may give up for sensitivity."""
SPECIFICITY: Final = 0.9
"""At which the critical sensitivity of two epochs is compared."""


def positive_weights(targets: NDArray[np.float64]) -> tuple[float, ...]:
    """Weight of the positive class of each finding, by its prevalence.

    w = sqrt((1 - p) / p), held within [1, 10], where p is the share of positives among the labels
    that count. The full ratio (1 - p) / p, the usual choice, makes positives and negatives equal in
    sum and so costs precision; its square root lies half-way, in log odds. A finding without
    positives or without negatives has weight 1.

    Args:
        targets: 1, 0, or NaN where a label does not count; shape (n, 14).
    """
    positives = np.nansum(targets == 1, axis=0)
    negatives = np.nansum(targets == 0, axis=0)
    both = (positives > 0) & (negatives > 0)
    ratio = np.where(both, negatives / np.maximum(positives, 1), 1.0)
    return tuple(round(float(weight), 4) for weight in np.clip(np.sqrt(ratio), 1, _MOST))


def best_thresholds(
    scores: NDArray[np.float64], targets: NDArray[np.float64], fewest: int = 5
) -> dict[Finding, float]:
    """For each finding the threshold with the best F1 on validation data; 0.5 with few positives.

    For a critical finding it is the lowest threshold whose F1 is at least `CRITICAL_F1` of the best:
    F1 is flat about its maximum, and there a missed finding weighs more than a false alarm.

    Args:
        scores: probabilities, shape (n, 14).
        targets: 1, 0, or NaN where a label does not count; same shape.
        fewest: positives below which 0.5 stands.

    Returns:
        Thresholds on the grid 0.05, 0.06, ..., 0.95; of equals the highest.
    """
    steps = np.round(np.linspace(0.95, 0.05, 91), 2)
    best = {}
    for finding in FINDINGS:
        column = INDEX[finding]
        counts = ~np.isnan(targets[:, column])
        score, truth = scores[counts, column, None], targets[counts, column, None] == 1
        if truth.sum() < fewest:
            best[finding] = 0.5
            continue
        called = score >= steps
        f1 = 2 * (called & truth).sum(0) / (called.sum(0) + truth.sum())
        chosen = int(f1.argmax())
        if finding in CRITICAL:
            chosen = int(np.flatnonzero(f1 >= CRITICAL_F1 * f1.max())[-1])
        best[finding] = float(steps[chosen])
    return best


def critical_sensitivity(
    scores: NDArray[np.float64],
    targets: NDArray[np.float64],
    critical: tuple[Finding, ...] = CRITICAL,
    specificity: float = SPECIFICITY,
) -> float:
    """The head's TP / (TP + FN) over the critical findings together, each at the same specificity.

    At a fixed specificity epochs can be compared. At thresholds chosen anew for each epoch they
    cannot: these move along the ROC curve, and what moves is no gain.

    Args:
        scores: probabilities, shape (n, 14).
        targets: 1, 0, or NaN where a label does not count; same shape.
        critical: which findings are pooled.
        specificity: share of each finding's negatives, at least, that score below its threshold.

    Returns:
        In [0, 1]; NaN where no critical finding has both a positive and a negative.
    """
    found = positives = 0
    for finding in critical:
        score, target = scores[:, INDEX[finding]], targets[:, INDEX[finding]]
        there, absent = np.sort(score[target == 1]), np.sort(score[target == 0])
        if len(there) and len(absent):
            limit = absent[min(len(absent) - 1, int(np.ceil(specificity * len(absent))) - 1)]
            found += int((there > limit).sum())
            positives += len(there)
    return found / positives if positives else float("nan")
