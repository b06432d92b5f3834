"""Boundaries for looking at data more than once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from harness.inference.results import check_option

Floats = NDArray[np.float64]

_FARTHEST: Final = 38.0
"""Beyond this z the normal tail is 0 in floating point."""

_POINTS, _QUADRATURE = np.polynomial.legendre.leggauss(16)


def spending_boundaries(
    fractions: ArrayLike,
    alpha: float = 0.05,
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming",
) -> Floats:
    """Two-sided z boundaries for repeated looks that spend alpha in all.

    Lan & DeMets, Biometrika 1983;70:659-663. By look at fraction t of the information,
    "obrien-fleming" has spent 4 - 4 Phi(z(alpha / 4) / sqrt(t)) and "pocock"
    alpha ln(1 + (e - 1) t), half of it on either side. Boundaries follow one from the other by the
    recursion of Armitage, McPherson & Rowe, J R Stat Soc A 1969;132:235-244.

    Args:
        fractions: share of the full information at each look, rising, in (0, 1], shape (looks,).
        alpha: two-sided error rate, spent in full at fraction 1.
        spending: the spending function.

    Returns:
        Shape (looks,): at look k an |z| at or above boundary k is significant; infinite where
        nothing can be spent in floating point.

    Raises:
        ValueError: fractions that do not rise or leave (0, 1], or alpha outside (0, 1).
    """
    times = _times(fractions)
    check_option("spending", spending, tuple(_SPENT))
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha!r}")
    increments = np.diff(_SPENT[spending](times, alpha), prepend=0.0)
    boundaries: list[float] = []
    walk = _Walk()
    for time, spent in zip(times, increments, strict=True):
        boundaries.append(walk.boundary(float(time), float(spent)))
        walk.stop_beyond(float(time), boundaries[-1])
    return np.array(boundaries)


def crossing_probabilities(fractions: ArrayLike, boundaries: ArrayLike) -> Floats:
    """With no true effect, how probable it is that |z| first reaches its boundary at each look.

    Args:
        fractions: share of the full information at each look, rising, in (0, 1], shape (looks,).
        boundaries: z boundary of each look, above 0, shape (looks,).

    Returns:
        Shape (looks,); the sum is the two-sided error rate of the whole plan.

    Raises:
        ValueError: fractions that do not rise, or boundaries that are not above 0 or of another length.
    """
    times, limits = _times(fractions), np.asarray(boundaries, dtype=np.float64)
    if limits.shape != times.shape or not (limits > 0).all():
        raise ValueError("each look needs a boundary above 0")
    found = []
    walk = _Walk()
    for time, limit in zip(times, limits, strict=True):
        found.append(walk.crossing(float(time), float(limit)))
        walk.stop_beyond(float(time), float(limit))
    return np.array(found)


def _times(fractions: ArrayLike) -> Floats:
    times = np.asarray(fractions, dtype=np.float64)
    if times.ndim != 1 or not len(times) or not (np.diff(times, prepend=0.0) > 0).all() or times[-1] > 1:
        raise ValueError("fractions must rise, above 0 and no more than 1")
    return times


def _obrien_fleming(times: Floats, alpha: float) -> Floats:
    return np.asarray(4 * norm.sf(norm.isf(alpha / 4) / np.sqrt(times)), dtype=np.float64)


def _pocock(times: Floats, alpha: float) -> Floats:
    return np.asarray(alpha * np.log1p((math.e - 1) * times), dtype=np.float64)


_SPENT: Final[dict[str, Callable[[Floats, float], Floats]]] = {
    "obrien-fleming": _obrien_fleming,
    "pocock": _pocock,
}


class _Walk:
    """Brownian motion looked at now and then: where it may be, if it never crossed.

    Its density at the last look is held at the Gauss-Legendre nodes of panels, `weights` being
    density times quadrature weight.
    """

    def __init__(self) -> None:
        self.time, self.nodes, self.weights = 0.0, np.zeros(1), np.ones(1)

    def crossing(self, time: float, limit: float) -> float:
        """The probability of |z| at or above the limit at this time, and not before."""
        if math.isinf(limit):
            return 0.0
        step = math.sqrt(time - self.time)
        # By symmetry, both sides are twice the upper one; all terms are positive, so nothing cancels.
        return float(2 * (self.weights * ndtr((self.nodes - limit * math.sqrt(time)) / step)).sum())

    def boundary(self, time: float, spent: float) -> float:
        """The limit whose crossing probability is what is spent."""
        if spent <= self.crossing(time, _FARTHEST):
            return math.inf

        def excess(limit: float) -> float:
            # Far out the probability underflows; there any boundary is too far.
            return math.log(max(self.crossing(time, limit), 1e-320)) - math.log(spent)

        return float(brentq(excess, 0.0, _FARTHEST, xtol=1e-12))

    def stop_beyond(self, time: float, limit: float) -> None:
        """Moves to this time and stops all walks that have reached the limit."""
        step = math.sqrt(time - self.time)
        reach = min(limit, 9.0) * math.sqrt(time)  # what lies beyond 9 standard errors is nothing
        # Panels narrow enough for the step, up to looks so close that they are one look.
        panels = min(250, max(4, math.ceil(reach / step)))
        edges = np.linspace(-reach, reach, panels + 1)
        half = reach / panels
        nodes = ((edges[:-1] + half)[:, None] + half * _POINTS).ravel()
        quadrature = np.tile(half * _QUADRATURE, panels)
        density = np.exp(-0.5 * ((nodes[:, None] - self.nodes) / step) ** 2) @ self.weights
        self.weights = density * quadrature / (step * math.sqrt(2 * math.pi))
        self.time, self.nodes = time, nodes
