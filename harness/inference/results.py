"""What the functions of this package return."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Side = Literal["two-sided", "lower", "upper"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, or a one-sided bound with the other end at the edge of the range."""

    low: float
    high: float
    estimate: float
    confidence: float
    side: Side
    method: str
    reason: str = ""
    """Why it is undefined or infinite; empty where it is neither."""


def undefined(confidence: float, side: Side, method: str, reason: str) -> Interval:
    """An interval that says nothing, and why."""
    return Interval(math.nan, math.nan, math.nan, confidence, side, method, reason)


def check_confidence(confidence: float, side: Side) -> None:
    """Refuses what is no confidence or no side.

    Raises:
        ValueError: confidence is not in (0, 1), or the side has another name.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence!r}")
    if side not in ("two-sided", "lower", "upper"):
        raise ValueError(f"side must be two-sided, lower or upper, not {side!r}")


def tail_of(confidence: float, side: Side) -> float:
    """The probability left outside one end of the interval."""
    return (1 - confidence) / (2 if side == "two-sided" else 1)
