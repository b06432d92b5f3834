"""Which epoch is kept and when to stop: by validation loss and critical sensitivity together.

The rule. Critical sensitivity is that of the head, pooled over pneumothorax, fracture, mass and
pleural effusion, each at a specificity of 0.9 on the validation studies, whatever the thresholds. An
epoch is eligible if its critical sensitivity lies at most `sensitivity_margin` below the highest so
far. An eligible epoch is kept if its validation loss is lower than that of the epoch kept so far, or
if that one is no longer eligible. A lower loss thus never buys
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
    """Index of the epoch to keep, by the rule above; of equals, the first.

    Decided epoch by epoch, as training must, which holds the weights of one epoch only.

    Raises:
        ValueError: no epoch.
    """
    if not scores:
        raise ValueError("no epoch")
    kept = 0
    for index in range(1, len(scores)):
        highest = _highest(scores[: index + 1])

        def eligible(score: Score, highest: float = highest) -> bool:
            return math.isnan(highest) or score.sensitivity >= highest - margin

        new, old = scores[index], scores[kept]
        if eligible(new) and (not eligible(old) or new.loss < old.loss):
            kept = index
    return kept


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
