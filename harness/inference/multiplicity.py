"""P-values adjusted for the number of tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.inference.results import check_option


def adjust_p_values(
    p: ArrayLike, method: Literal["bonferroni", "holm"] = "bonferroni"
) -> NDArray[np.float64]:
    """P-values that hold the family-wise error rate when each is compared with alpha.

    Args:
        p: p-values, shape (tests,), in any order.
        method: "bonferroni", or "holm" (Scand J Stat 1979;6:65-70), which never adjusts by more.

    Returns:
        Shape (tests,), in the order given, none above 1.

    Raises:
        ValueError: a p-value that is NaN or outside [0, 1]: an undefined test cannot be adjusted,
            and leaving it out would adjust the others by too little.
    """
    check_option("method", method, ("bonferroni", "holm"))
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values must lie between 0 and 1, in one dimension")
    tests = len(values)
    if method == "bonferroni":
        return np.minimum(values * tests, 1.0)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(tests, 0, -1))
    adjusted = np.empty(tests)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def holm_step_down(tests: Sequence[Callable[[float], bool]], alpha: float = 0.05) -> list[tuple[bool, float]]:
    """Holm's procedure for tests that are known by their confidence bounds.

    The same claims are shown as with `adjust_p_values(p, "holm") < alpha`: of k that are left, one is
    shown if it holds at confidence 1 - alpha / k, until none does.

    Args:
        tests: each says whether its claim is shown at a confidence; if at one, then at every lower.
        alpha: family-wise error rate.

    Returns:
        For each test whether its claim is shown, and the confidence at which that was decided.

    Raises:
        ValueError: alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha!r}")
    left = list(range(len(tests)))
    decided: dict[int, tuple[bool, float]] = {}
    while left:
        confidence = 1 - alpha / len(left)
        shown = next((place for place in left if tests[place](confidence)), None)
        if shown is None:
            decided |= dict.fromkeys(left, (False, confidence))
            break
        decided[shown] = (True, confidence)
        left.remove(shown)
    return [decided[place] for place in range(len(tests))]
