"""The learning rate of every step: a function of the step alone, so that resuming needs no state."""

from __future__ import annotations

import math


def rate_at(step: int, steps: int, highest: float, warmup: float) -> float:
    """Linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter, ICLR 2017, no restarts).

    Args:
        step: from 0; `steps` of them in all.
        steps: 1 or more.
        highest: the rate at the end of the warm-up.
        warmup: share of the steps in which it rises, in [0, 1].

    Returns:
        The rate, in (0, highest] for every step in range.
    """
    rising = round(warmup * steps)
    if step < rising:
        return highest * (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    return highest * 0.5 * (1 + math.cos(math.pi * done))
