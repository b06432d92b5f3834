"""How many studies a decision needs, and how probable it is to come out right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
from scipy.stats import binom, multinomial, nct, norm, t

from harness.inference.differences import paired_score
from harness.inference.mcnemar import mcnemar_test
from harness.inference.proportions import proportion_interval
from harness.inference.results import check_confidence, check_counts, check_option

Design = Literal["sensitivity", "mcnemar", "paired-t", "non-inferiority"]


def positives_needed(threshold: float, misses: int, confidence: float = 0.95) -> int:
    """The fewest positives with which so many misses still show a sensitivity above the threshold.

    By the one-sided Clopper-Pearson lower bound: 149, 236 and 313 positives for 0, 1 and 2 misses
    at a threshold of 0.98 and 95 %.

    Raises:
        ValueError: a threshold or confidence outside (0, 1), or misses not whole or negative.
    """
    _check_probability("threshold", threshold)
    check_counts(misses=misses)

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


def power(design: Design, **settings: Any) -> float:
    """The probability that a planned decision comes out right; see the function of each design.

    Args:
        design: "sensitivity" (`power_sensitivity`), "mcnemar" (`power_mcnemar`), "paired-t"
            (`power_paired_t`) or "non-inferiority" (`power_non_inferiority`).
        settings: the arguments of that function, by name.

    Raises:
        ValueError: another design, or an argument out of its range. TypeError: arguments that the
            design does not take.
    """
    check_option("design", design, tuple(_DESIGNS))
    return _DESIGNS[design](**settings)


def power_sensitivity(
    sensitivity: float, positives: int, threshold: float, confidence: float = 0.95
) -> float:
    """The probability that the criterion "sensitivity above the threshold" is passed.

    Passed means that the one-sided Clopper-Pearson lower bound is above the threshold. Exact:
    binomial. With a true sensitivity at the threshold it is the probability of a wrong PASS, no
    more than 1 - confidence.

    Args:
        sensitivity: the true one, in [0, 1].
        positives: how many positive studies there will be.
        threshold: of the criterion, in (0, 1).
        confidence: of the bound.

    Raises:
        ValueError: an argument out of its range.
    """
    check_confidence(confidence)
    _check_probability("threshold", threshold)
    if not 0 <= sensitivity <= 1:
        raise ValueError(f"sensitivity must lie between 0 and 1, not {sensitivity!r}")
    check_counts(positives=positives)
    found = np.arange(positives + 1)
    # The bound is above the threshold just where so many or more are improbable at the threshold.
    passes = found[binom.sf(found - 1, positives, threshold) < 1 - confidence]
    return float(binom.sf(passes[0] - 1, positives, sensitivity)) if len(passes) else 0.0


def power_mcnemar(
    first_only: float,
    second_only: float,
    pairs: int,
    alpha: float = 0.05,
    method: Literal["exact", "mid-p", "asymptotic", "continuity-corrected"] = "exact",
) -> float:
    """The probability that `mcnemar_test` gives p of alpha or less, exact over both discordant counts.

    Args:
        first_only: probability of a pair in which the first alone succeeds.
        second_only: probability of a pair in which the second alone succeeds.
        pairs: how many pairs there will be.
        alpha: two-sided level.
        method: as in `mcnemar_test`.

    Raises:
        ValueError: probabilities that are negative or sum to more than 1, or alpha outside (0, 1).
    """
    first_only, second_only = _discordant(first_only, second_only, pairs, alpha)
    discordant = first_only + second_only
    if discordant == 0:
        return 0.0
    power = 0.0
    for count, chance in enumerate(binom.pmf(np.arange(pairs + 1), pairs, discordant)):
        if chance < 1e-15:
            continue
        # The test is symmetric, and p rises with the smaller count: find the last that rejects.
        low, high = -1, count // 2 + 1
        while high - low > 1:
            middle = (low + high) // 2
            rejects = mcnemar_test(middle, count - middle, method).p_value <= alpha
            low, high = (middle, high) if rejects else (low, middle)
        if low >= 0:
            share = first_only / discordant
            tails = binom.cdf(low, count, share) + binom.sf(count - low - 1, count, share)
            power += float(chance) * min(1.0, float(tails))
    return power


def power_paired_t(
    effect_size: float,
    pairs: int,
    alpha: float = 0.05,
    alternative: Literal["two-sided", "greater"] = "two-sided",
) -> float:
    """The power of the paired t test, by the noncentral t distribution.

    For the non-inferiority of a mean, take "greater", the one-sided alpha, and
    (expected difference + margin) / standard deviation as effect size.

    Args:
        effect_size: expected difference over the standard deviation of differences.
        pairs: how many pairs (or clusters) there will be, 2 or more.
        alpha: level of the test.
        alternative: what is tested for.

    Raises:
        ValueError: fewer than 2 pairs, an effect size that is not finite, or alpha outside (0, 1).
    """
    _check_probability("alpha", alpha)
    check_option("alternative", alternative, ("two-sided", "greater"))
    check_counts(pairs=pairs)
    if pairs < 2 or not math.isfinite(effect_size):
        raise ValueError("the t test needs 2 pairs and a finite effect size")
    freedom, shift = pairs - 1, effect_size * math.sqrt(pairs)
    if alternative == "greater":
        return float(nct.sf(t.isf(alpha, freedom), freedom, shift))
    critical = t.isf(alpha / 2, freedom)
    # The lower tail as an upper one of the mirror image: SciPy is exact to more digits there.
    return float(nct.sf(critical, freedom, shift) + nct.sf(critical, freedom, -shift))


def power_non_inferiority(
    first_only: float, second_only: float, pairs: int, margin: float, alpha: float = 0.025
) -> float:
    """The probability that two proportions of the same pairs are shown to be non-inferior.

    Shown means that `non_inferiority_test` of `PairedProportions` (Tango's score) gives a one-sided
    p of alpha or less. Exact over both discordant counts, in time of order pairs squared.

    Args:
        first_only: probability of a pair in which the first alone succeeds.
        second_only: probability of a pair in which the second alone succeeds.
        pairs: how many pairs there will be.
        margin: the largest loss of the first that does not matter, in (0, 1).
        alpha: one-sided level.

    Raises:
        ValueError: probabilities that are negative or sum to more than 1, or a margin or alpha
            outside (0, 1).
    """
    first_only, second_only = _discordant(first_only, second_only, pairs, alpha)
    _check_probability("margin", margin)
    if pairs == 0:
        return 0.0
    critical = float(norm.isf(alpha))
    rest = max(0.0, 1 - first_only - second_only)
    power = 0.0
    for first in range(pairs + 1):
        if binom.pmf(first, pairs, first_only) < 1e-15:
            continue
        second = np.arange(pairs - first + 1)
        above, error = paired_score(first, second, pairs, -margin)
        counts = np.stack([np.full_like(second, first), second, pairs - first - second], axis=1)
        chance = np.asarray(multinomial.pmf(counts, pairs, [first_only, second_only, rest]))
        power += float(chance[above >= critical * error].sum())
    return min(1.0, power)


_DESIGNS: Final[dict[str, Callable[..., float]]] = {
    "sensitivity": power_sensitivity,
    "mcnemar": power_mcnemar,
    "paired-t": power_paired_t,
    "non-inferiority": power_non_inferiority,
}


def _check_probability(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {value!r}")


def _discordant(first_only: float, second_only: float, pairs: int, alpha: float) -> tuple[float, float]:
    check_counts(pairs=pairs)
    _check_probability("alpha", alpha)
    if not (first_only >= 0 and second_only >= 0 and first_only + second_only <= 1):
        raise ValueError("the shares of discordant pairs must not be negative, nor sum to more than 1")
    # SciPy's binomial overflows near the smallest floating-point numbers; so rare is never.
    return (first_only if first_only > 1e-15 else 0.0), (second_only if second_only > 1e-15 else 0.0)
