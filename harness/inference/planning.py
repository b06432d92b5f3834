"""How many studies a decision needs."""

from __future__ import annotations

from harness.inference.proportions import proportion_interval


def positives_needed(threshold: float, misses: int, confidence: float = 0.95) -> int:
    """The fewest positives with which so many misses still show a sensitivity above the threshold.

    By the one-sided Clopper-Pearson lower bound: 149, 236 and 313 positives for 0, 1 and 2 misses
    at a threshold of 0.98 and 95 %.

    Raises:
        ValueError: a threshold outside (0, 1) or negative misses.
    """
    if not 0 < threshold < 1 or misses < 0:
        raise ValueError("threshold must lie between 0 and 1, and misses must not be negative")

    def shown(positives: int) -> bool:
        bound = proportion_interval(
            positives - misses, positives, confidence, method="clopper-pearson", side="lower"
        )
        return bound.low > threshold

    low, high = misses, misses + 1
    while not shown(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high
