"""A prevalence corrected for the errors of the test that counted it."""

from __future__ import annotations

import math
from typing import Final

from scipy.stats import norm

from harness.inference.results import (
    Interval,
    Side,
    check_confidence,
    check_counts,
    tail_of,
    undefined,
)

METHOD: Final = "lang-reiczigel"


def rogan_gladen(
    positives: int,
    n: int,
    true_positives: int,
    diseased: int,
    true_negatives: int,
    healthy: int,
    confidence: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """The prevalence behind an apparent one, with an interval that knows how well the test is known.

    (apparent + specificity - 1) / (sensitivity + specificity - 1): Rogan & Gladen, Am J Epidemiol
    1978;107:71-76. Interval: Lang & Reiczigel, Prev Vet Med 2014;113:13-22 (their variance with
    (1 - prevalence) squared). Estimate and ends are cut to [0, 1]; the interval is centred on
    adjusted counts and need not hold an estimate that was cut.

    Args:
        positives: how many of `n` the test calls positive.
        n: how many were tested.
        true_positives: of `diseased` known ones, how many the test calls positive.
        diseased: known to have it, in a sample of its own.
        true_negatives: of `healthy` known ones, how many the test calls negative.
        healthy: known not to have it.
        confidence: of the interval, or of the bound where `side` is "lower" or "upper".
        side: "lower" and "upper" give a one-sided bound; the other end is 1 or 0.

    Raises:
        ValueError: no whole counts, a part larger than its whole, or an unknown option.
    """
    check_confidence(confidence, side)
    for part, whole in ((positives, n), (true_positives, diseased), (true_negatives, healthy)):
        check_counts(part=part, whole=whole)
        if part > whole:
            raise ValueError(f"{part} of {whole} is no share")
    if not (n and diseased and healthy):
        return undefined(confidence, side, METHOD, "nothing was tested, or nothing known to test it on")
    sensitivity, specificity = true_positives / diseased, true_negatives / healthy
    if sensitivity + specificity <= 1:
        return undefined(confidence, side, METHOD, "the test is no better than chance")
    z = float(norm.isf(tail_of(confidence, side)))
    tested = n + z * z
    apparent = (positives + z * z / 2) / tested
    se, sp = (true_positives + 1) / (diseased + 2), (true_negatives + 1) / (healthy + 2)
    worth = se + sp - 1
    if worth <= 0:
        return undefined(confidence, side, METHOD, "the test may be no better than chance")
    centre = (apparent + sp - 1) / worth
    se_variance, sp_variance = se * (1 - se) / (diseased + 2), sp * (1 - sp) / (healthy + 2)
    shift = 2 * z * z * (centre * se_variance - (1 - centre) * sp_variance)
    spread = apparent * (1 - apparent) / tested + centre**2 * se_variance + (1 - centre) ** 2 * sp_variance
    half = z * math.sqrt(spread) / worth
    return Interval(
        low=0.0 if side == "upper" else _cut(centre + shift - half),
        high=1.0 if side == "lower" else _cut(centre + shift + half),
        estimate=_cut((positives / n + specificity - 1) / (sensitivity + specificity - 1)),
        confidence=confidence,
        side=side,
        method=METHOD,
    )


def _cut(value: float) -> float:
    return min(max(value, 0.0), 1.0)
