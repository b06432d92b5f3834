"""Ratings as what they are, an order: the proportional-odds model, its error by patient and reader."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from harness.ab.effects import Table
from harness.inference.two_way import EstimatedDifference, two_way_variance

Floats = NDArray[np.float64]

METHOD: Final = "proportional odds by patient and reader"
STEPS: Final = 50
TOLERANCE: Final = 1e-7
"""Of the cuts and the log odds ratio."""
FARTHEST: Final = 15.0
"""Of the same: beyond it there is no maximum, only a way toward infinity."""


def proportional_odds(table: Table) -> EstimatedDifference:
    """The log of the odds ratio of a higher value with the challenger (McCullagh, J R Stat Soc B 1980;42).

    Marginal cumulative logits of the arm alone, by maximum likelihood. Rows of a patient, or of a reader,
    need not be independent: the error is the sandwich of both (Cameron, Gelbach & Miller, J Bus Econ Stat
    2011;29:238-249), which for pairs makes it the estimating equations of Lipsitz, Kim & Zhao, Stat Med
    1994;13:1149-1163, with working independence. In pairs each patient counts alike, as for the mean.

    Args:
        table: complete, of ordinal values.

    Returns:
        Above 0 where the challenger's values are higher. Undefined with one value only, or where the arms
        do not overlap.
    """
    if not table.both_arms():
        return _undefined("an arm without values")
    values, level = np.unique(table.values, return_inverse=True)
    if len(values) < 2:
        return _undefined("every value is the same")
    weights = np.abs(table.weights()) if table.paired else np.ones(len(level))
    weights *= len(level) / weights.sum()
    arm = table.challenger.astype(np.intp)
    counts = np.zeros((2, len(values)))
    np.add.at(counts, (arm, level), weights)
    theta = np.append(logit(counts.sum(0).cumsum()[:-1] / counts.sum()), 0.0)
    found = _likelihood(theta, counts)
    for _ in range(STEPS):
        best, slope, curve = found
        step = np.linalg.solve(curve, slope)
        # The likelihood is concave (Pratt, JASA 1981;76:103-106): a step halved often enough goes up.
        for half in range(20):
            tried = theta + step / 2**half
            found = _likelihood(tried, counts)
            if found[0] >= best:
                break
        theta = tried
        if np.abs(step).max() < TOLERANCE or not math.isfinite(found[0]):
            break
    if np.abs(step).max() > TOLERANCE or np.abs(theta).max() > FARTHEST:
        return _undefined("no finite odds ratio: the arms do not overlap")
    _, gradient, _ = _terms(theta, counts.shape[1])
    parts = weights * (gradient[arm, level] @ np.linalg.inv(found[2])[:, -1])
    return _clustered(float(theta[-1]), parts, table)


def _terms(theta: Floats, levels: int) -> tuple[Floats, Floats, Floats]:
    """Probability of each arm and level, and gradient and Hessian of its logarithm.

    Args:
        theta: cuts, and the log odds ratio.
        levels: how many there are.

    Returns:
        Shapes (2, levels), (2, levels, levels) and (2, levels, levels, levels).
    """
    below = expit(theta[:-1] - np.array([[0.0], [theta[-1]]]))
    density = below * (1 - below)
    toward = np.zeros((2, levels - 1, levels))
    toward[:, :, :-1] = np.eye(levels - 1)
    toward[1, :, -1] = -1.0
    bend = density * (1 - 2 * below)
    first = density[..., None] * toward
    second = bend[..., None, None] * toward[..., :, None] * toward[..., None, :]
    chance = np.diff(below, prepend=0.0, append=1.0)
    # A level gains at its upper cut and loses at its lower one.
    gradient = np.diff(first, axis=1, prepend=0.0, append=0.0) / chance[..., None]
    hessian = np.diff(second, axis=1, prepend=0.0, append=0.0) / chance[..., None, None]
    return chance, gradient, hessian - gradient[..., :, None] * gradient[..., None, :]


def _likelihood(theta: Floats, counts: Floats) -> tuple[float, Floats, Floats]:
    """Log likelihood, its gradient and its curvature with the sign turned; -inf where cuts cross."""
    levels = counts.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        chance, gradient, hessian = _terms(theta, levels)
    if not (chance > 0).all():
        return -math.inf, np.zeros(levels), np.eye(levels)
    return (
        float((counts * np.log(chance)).sum()),
        np.einsum("al,alp->p", counts, gradient),
        -np.einsum("al,alpq->pq", counts, hessian),
    )


def _clustered(estimate: float, parts: Floats, table: Table) -> EstimatedDifference:
    """The error from each row's influence; degrees of freedom as in `two_way_difference`."""
    patient, reader = (np.unique(names, return_inverse=True)[1] for names in (table.patient, table.reader))
    variance, freedom = two_way_variance(parts, patient, reader)
    if math.isnan(variance):
        return _undefined("fewer than two patients")
    if not variance > 0:
        return _undefined("no variation")
    return EstimatedDifference(estimate, math.sqrt(variance), freedom, METHOD)


def _undefined(reason: str) -> EstimatedDifference:
    return EstimatedDifference(math.nan, math.nan, math.nan, METHOD, reason)
