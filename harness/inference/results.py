"""What the functions of this package return."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Intervals of several values by one method; item i is the `Interval` of value i."""

    low: NDArray[np.float64]
    """Shape (values,)."""
    high: NDArray[np.float64]
    """Shape (values,)."""
    estimate: NDArray[np.float64]
    """Shape (values,)."""
    confidence: float
    side: Side
    method: str
    reason: tuple[str, ...]
    """For each value, why it is undefined; empty where it is not."""

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, place: int) -> Interval:
        return Interval(
            low=float(self.low[place]),
            high=float(self.high[place]),
            estimate=float(self.estimate[place]),
            confidence=self.confidence,
            side=self.side,
            method=self.method,
            reason=self.reason[place],
        )


@dataclass(frozen=True, slots=True)
class TestResult:
    """A test statistic and its p-value; both NaN, with the reason, where they are undefined."""

    __test__ = False  # not a test case, whatever a test runner makes of the name

    statistic: float
    p_value: float
    method: str
    reason: str = ""
    """Why it is undefined; empty where it is not."""


@dataclass(frozen=True, slots=True, eq=False)
class TestResults:
    """Tests of several values by one method."""

    __test__ = False

    statistic: NDArray[np.float64]
    """Shape (values,)."""
    p_value: NDArray[np.float64]
    """Shape (values,)."""
    method: str
    reason: tuple[str, ...]
    """For each value, why it is undefined; empty where it is not."""

    def __len__(self) -> int:
        return len(self.p_value)

    def __getitem__(self, place: int) -> TestResult:
        return TestResult(
            float(self.statistic[place]), float(self.p_value[place]), self.method, self.reason[place]
        )


def undefined(
    confidence: float, side: Side, method: str, reason: str, estimate: float = math.nan
) -> Interval:
    """An interval that says nothing, and why."""
    return Interval(math.nan, math.nan, estimate, confidence, side, method, reason)


def undefined_test(method: str, reason: str) -> TestResult:
    """A test that says nothing, and why."""
    return TestResult(math.nan, math.nan, method, reason)


def check_confidence(confidence: float, side: Side = "two-sided") -> None:
    """Refuses what is no confidence or no side.

    Raises:
        ValueError: confidence is not in (0, 1), or the side has another name.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence!r}")
    check_option("side", side, get_args(Side))


def check_option(name: str, value: str, allowed: Collection[str]) -> None:
    """Refuses an option that is not one of those allowed.

    Raises:
        ValueError: it is not.
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def check_counts(**counts: float) -> None:
    """Refuses what is not a whole number, 0 or more.

    Raises:
        ValueError: it is not.
    """
    for name, count in counts.items():
        if not (math.isfinite(count) and count >= 0 and count == int(count)):
            raise ValueError(f"{name} must be a whole number, 0 or more, not {count!r}")


def tail_of(confidence: float, side: Side) -> float:
    """The probability left outside one end of the interval."""
    return (1 - confidence) / (2 if side == "two-sided" else 1)
