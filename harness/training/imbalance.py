"""What is done about findings being rare: weights in the loss, and thresholds that fit them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.report import FINDINGS, INDEX, Finding

WEIGHTS_NAME: Final = "square root of negatives per positive, 1 to 10"
_MOST: Final = 10.0


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
        best[finding] = float(steps[int(f1.argmax())])
    return best


def critical_sensitivity(
    scores: NDArray[np.float64],
    targets: NDArray[np.float64],
    thresholds: dict[Finding, float],
    critical: tuple[Finding, ...],
) -> float:
    """TP / (TP + FN) of the head, pooled over the critical findings; NaN without any positive."""
    columns = [INDEX[finding] for finding in critical]
    limits = np.array([thresholds[finding] for finding in critical])
    truth = targets[:, columns] == 1
    found = truth & (scores[:, columns] >= limits)
    return float(found.sum() / truth.sum()) if truth.any() else float("nan")
