"""Which epoch is kept and when to stop: by validation loss and critical sensitivity together.

The rule. Critical sensitivity is that of the head, pooled over pneumothorax, fracture, mass and
pleural effusion, each at a specificity of 0.9 on the validation studies, whatever the thresholds. An
epoch is eligible if its critical sensitivity lies at most `sensitivity_margin` below the highest so far;
of the eligible epochs, the one with the lowest validation loss is kept. A lower loss thus never buys
missed findings. The stage stops after `patience` epochs that had neither the lowest loss nor the
highest critical sensitivity so far. Where no sensitivity is defined (no positive among the
validation studies) the loss decides alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """An epoch's standing on the validation studies."""

    loss: float
    """L; never NaN (a training whose loss is NaN has stopped with an error)."""
    sensitivity: float
    """In [0, 1]; NaN where undefined."""


def best_epoch(scores: Sequence[Score], margin: float) -> int:
    """Index of the epoch to keep; of equals, the first.

    Raises:
        ValueError: no epoch.
    """
    highest = _highest(scores)
    eligible = [
        index
        for index, score in enumerate(scores)
        if math.isnan(highest) or score.sensitivity >= highest - margin
    ]
    return min(eligible, key=lambda index: (scores[index].loss, index))


def should_stop(scores: Sequence[Score], patience: int) -> bool:
    """Whether the last `patience` epochs improved neither loss nor critical sensitivity."""
    if len(scores) <= patience:
        return False
    before, recent = scores[:-patience], scores[-patience:]
    loss = min(score.loss for score in before)
    highest = _highest(before)
    return not any(score.loss < loss or score.sensitivity > highest for score in recent)


def _highest(scores: Sequence[Score]) -> float:
    defined = [score.sensitivity for score in scores if not math.isnan(score.sensitivity)]
    return max(defined, default=float("nan"))
