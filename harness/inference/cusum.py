"""CUSUM charts for a rate: integer scores, and their average run length by a Markov chain."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_matrix, identity
from scipy.sparse.linalg import spsolve

from harness.inference.results import check_option

LONGEST: Final = 1e12
"""A longer run length is not told apart from none in double precision."""


@dataclass(frozen=True, slots=True)
class BernoulliCusum:
    """A one-sided chart for a sudden rise of a proportion, one trial at a time.

    The score starts at 0; an event adds `gain`, any other trial takes 1 away, and it never falls
    below 0. It signals on reaching `limit`. This is the Bernoulli CUSUM of Reynolds & Stoumbos,
    J Qual Technol 1999;31:87-108, in whole numbers.
    """

    usual: float
    """Rate in control, in (0, 1)."""
    raised: float
    """Rate it is made to detect, above `usual`."""
    gain: int
    limit: int
    run_length: float
    """Average number of trials to a false signal at the usual rate."""
    delay: float
    """Average number of trials to a signal once the rate is the raised one, from a score of 0."""

    def scores(self, events: Iterable[bool], start: int = 0) -> list[int]:
        """The score after each trial; capped at the limit, so that it comes down when the rate does."""
        score, path = start, []
        for event in events:
            score = min(max(score + (self.gain if event else -1), 0), self.limit)
            path.append(score)
        return path


def design_cusum(usual: float, raised: float, run_length: float) -> BernoulliCusum:
    """The chart with the lowest limit whose average run length is at least the declared one.

    The log likelihood ratio of a trial is scaled so that an event counts as a whole number of
    others, 1/gamma rounded (Reynolds & Stoumbos, 1999), which makes the run length exact.

    Args:
        usual: rate in control, in (0, 1).
        raised: rate to detect, above `usual`, below 1.
        run_length: average number of trials to a false signal, declared.

    Raises:
        ValueError: rates out of order, or a run length below 1.
    """
    if not 0 < usual < raised < 1:
        raise ValueError(f"needs 0 < usual < raised < 1, not {usual!r} and {raised!r}")
    if not 1 <= run_length < math.inf:
        raise ValueError(f"run_length must be 1 or more, not {run_length!r}")
    down = -math.log1p(-(raised - usual) / (1 - usual))
    up = math.log(raised * (1 - usual) / (usual * (1 - raised)))
    gain = max(1, round(up / down) - 1)

    def length(rate: float, limit: int) -> float:
        return average_run_length([-1, gain], [1 - rate, rate], limit)

    high = 1
    while length(usual, high) < run_length:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if length(usual, middle) >= run_length else (middle, high)
    return BernoulliCusum(usual, raised, gain, high, length(usual, high), length(raised, high))


def average_run_length(steps: ArrayLike, chances: ArrayLike, limit: int, start: int = 0) -> float:
    """Average number of trials until a CUSUM of whole-numbered steps reaches its limit.

    The score is max(0, score + step), a Markov chain on 0 to limit - 1 until it signals (Brook &
    Evans, Biometrika 1972;59:539-549). Exact, up to the solution of a linear system.

    Args:
        steps: the values a step may take, whole numbers, shape (values,).
        chances: their probabilities, shape (values,).
        limit: the score that signals, 1 or more.
        start: the score to begin with, 0 to limit - 1.

    Returns:
        The average; infinite where no step is upwards, or where it lies beyond `LONGEST`.

    Raises:
        ValueError: shapes differ, probabilities that are none, steps that are not whole, or a limit
            or start out of range.
    """
    moves, weights = np.asarray(steps), np.asarray(chances, dtype=np.float64)
    if moves.shape != weights.shape or moves.ndim != 1 or (moves != np.rint(moves)).any():
        raise ValueError("steps must be whole numbers, and as many as chances")
    if (weights < 0).any() or not math.isclose(weights.sum(), 1, abs_tol=1e-9):
        raise ValueError("chances must be 0 or more, and add up to 1")
    if limit < 1 or not 0 <= start < limit:
        raise ValueError("needs limit >= 1 and 0 <= start < limit")
    if not (weights[moves > 0] > 0).any():
        return math.inf
    states = np.arange(limit)
    reached = np.maximum(states[:, None] + moves.astype(np.int64)[None, :], 0)
    inside = reached < limit
    rows, columns = np.broadcast_to(states[:, None], reached.shape)[inside], reached[inside]
    chain = coo_matrix(
        (np.broadcast_to(weights[None, :], reached.shape)[inside], (rows, columns)), shape=(limit, limit)
    )
    lengths = np.atleast_1d(spsolve((identity(limit) - chain).tocsc(), np.ones(limit)))
    # The system is near singular where a signal hardly ever comes; its solution then is noise, of any sign.
    if not ((lengths > 0) & (lengths < LONGEST)).all():
        return math.inf
    return float(lengths[start])


def population_stability_index(observed: ArrayLike, expected: ArrayLike) -> float:
    """PSI of two sets of counts over the same classes: sum of (p - q) ln(p / q).

    Half a count is added to each class, so that an empty one stays finite. By custom below 0.1 is
    called stable and above 0.25 a large shift; the custom knows nothing of n, so a test belongs
    beside it.

    Args:
        observed: counts, shape (classes,).
        expected: counts, shape (classes,).

    Returns:
        0 or more; NaN where either has no counts at all.

    Raises:
        ValueError: shapes differ, or a count is negative or not finite.
    """
    counts = [np.asarray(values, dtype=np.float64) for values in (observed, expected)]
    check_option("shape", str(counts[0].shape), (str(counts[1].shape),))
    if not all(np.isfinite(values).all() and (values >= 0).all() for values in counts):
        raise ValueError("counts must be finite, 0 or more")
    if not all(values.sum() for values in counts):
        return math.nan
    p, q = ((values + 0.5) / (values + 0.5).sum() for values in counts)
    return float(((p - q) * np.log(p / q)).sum())
