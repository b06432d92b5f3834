"""How often a shadow or a watch stops a model for nothing, keeps a bad one, and how soon it sees harm.

Run with `python benchmarks/validate_staging.py` (about a minute; `--quick` for a tenth). Simulates, prints
tables, and ends with 1 if false stops or false keeps are above what is declared, harm is seen less often or
later than stated, or a healthy version is kept less often than stated. The declarations are
suites/staging/shadow.yaml and watch.yaml.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from harness.data_files import data_path
from harness.inference import spending_boundaries
from harness.staging.config import ShadowConfig, WatchConfig, WatchRule, read_shadow_config, read_watch_config

PREVALENCE: Final = (0.05, 0.04, 0.04, 0.08)
"""Pneumothorax, fracture, lung lesion, pleural effusion."""
SENSITIVITY, HARD, FAILED = 0.96, 0.02, 0.002
"""Of either model; positives that both miss; studies without a report."""
STUDIES: Final = 12_600
"""Of a window: 2.3 million a year."""
PER_LOOK: Final = 22
"""Studies of five minutes."""
STATED_STOPPED: Final = 0.8
"""Share of shadows stopped before the end where pneumothorax sensitivity falls by 6 points."""
STATED_MINUTES: Final = 16
"""Nine of ten latency incidents (a fifth of reports slow) are rolled back within so many minutes."""

HEALTHY: Final[Mapping[str, float]] = {
    "failure_rate": 0.003, "rejection_rate": 0.04, "latency": 0.0, "hallucination_rate": 0.01,
    "critical_misses": 0.01,
}  # fmt: skip
"""Bad studies of a version in order, by measure; a report that did not come is late besides."""
READ, CRITICAL_THERE = 0.15, 0.2
"""Studies that are read within the window; those of them in which a critical finding is there."""
STATED_KEPT: Final = 0.95
"""Share of healthy versions that is kept by all rules but critical_misses, of which two hours bring few."""
KEEP, HOLD, ROLL_BACK = 0, 1, 2

Ints = NDArray[np.int64]


def levels(config: ShadowConfig) -> NDArray[np.float64]:
    """What each look may spend on one measure, one-sided."""
    fractions = [*config.looks, 1.0]
    alpha = 2 * config.harm.alpha / len(config.harmful)
    return np.asarray(norm.sf(spending_boundaries(fractions, alpha, config.harm.spending)))


def shadows(config: ShadowConfig, runs: int, loses: float, rng: np.random.Generator) -> Ints:
    """The look that stops each simulated shadow, from 1; 0 where none does. Shape (runs,)."""
    fractions, limits = np.array([*config.looks, 1.0]), levels(config)
    steps = np.diff(
        np.concatenate([[0.0], fractions * config.planned_positives / (sum(PREVALENCE) * STUDIES)])
    )
    first = np.zeros(runs, dtype=np.int64)
    for place, share in enumerate((*PREVALENCE, 1.0)):
        worse, better = np.zeros(runs, dtype=np.int64), np.zeros(runs, dtype=np.int64)
        seen = SENSITIVITY / (1 - HARD)
        lost = loses / (1 - HARD) if place == 0 else 0.0
        one, other = (1 - HARD) * seen * (1 - seen + lost), (1 - HARD) * (1 - seen) * (seen - lost)
        if share == 1.0:  # failures
            one = other = FAILED * (1 - FAILED)
        for look, (step, limit) in enumerate(zip(steps, limits, strict=True), start=1):
            positives = rng.binomial(STUDIES, share * step, runs)
            fresh = rng.binomial(positives, one)
            worse += fresh
            better += rng.binomial(positives - fresh, other / (1 - one))
            p = np.where(worse + better > 0, binom.sf(worse - 1, worse + better, 0.5), 1.0)
            first = np.where((p < limit) & ((first == 0) | (look < first)), look, first)
    return first


def watches(config: WatchConfig, rule: WatchRule, rate: float, runs: int, rng: np.random.Generator) -> Ints:
    """The look at which a rule rolls back, from 1; 0 where none does. Shape (runs,)."""
    bad = np.zeros(runs, dtype=np.int64)
    n, first = 0, np.zeros(runs, dtype=np.int64)
    for look in range(1, config.looks + 1):
        n += PER_LOOK
        bad += rng.binomial(PER_LOOK, rate, runs)
        # The exact lower bound lies above the limit just where so many are this improbable at it.
        beyond = binom.sf(bad - 1, n, rule.limit) < config.level(look)
        first = np.where(beyond & (first == 0), look, first)
    return first


def ends(config: WatchConfig, rates: Mapping[str, float], runs: int, rng: np.random.Generator) -> Ints:
    """What each rule asks for in the end: `KEEP`, `HOLD` or `ROLL_BACK`. Shape (rules, runs)."""
    looks, found = config.looks, np.full((len(config.rules), runs), HOLD)
    failed: Ints = rng.binomial(PER_LOOK, rates["failure_rate"], (looks, runs))
    for place, rule in enumerate(config.rules):
        n = np.full((looks, runs), PER_LOOK)
        if rule.measure == "critical_misses":
            n = rng.binomial(PER_LOOK, READ * CRITICAL_THERE, (looks, runs))
        bad = failed
        if rule.measure != "failure_rate":
            late: Ints = failed if rule.measure == "latency" else np.zeros_like(failed)
            bad = late + rng.binomial(n - late, rates[rule.measure])
        bad, n = bad.cumsum(axis=0), n.cumsum(axis=0)
        # The exact upper bound lies below the limit just where so few are this improbable at it.
        kept = binom.cdf(bad[-1], n[-1], rule.limit) < 1 - config.keep_confidence
        if rule.keeps == "likely":
            kept |= bad[-1] <= rule.limit * n[-1]
        few = ROLL_BACK if rule.otherwise == "roll back" else HOLD
        found[place] = np.where(n[-1] < rule.needs, few, np.where(kept, KEEP, HOLD))
        levels = np.array([config.level(look) for look in range(1, looks + 1)])[:, None]
        found[place, (binom.sf(bad - 1, n, rule.limit) < levels).any(axis=0)] = ROLL_BACK
    return found


def main() -> int:
    """Runs everything."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    runs = 2_000 if options.parse_args().quick else 20_000
    rng, good = np.random.default_rng(20260105), True
    suites = data_path("suites") / "staging"
    shadow, watch = read_shadow_config(suites / "shadow.yaml"), read_watch_config(suites / "watch.yaml")

    equal = shadows(shadow, runs, 0.0, rng)
    rate, alpha = float((equal > 0).mean()), shadow.harm.alpha
    ok = rate <= alpha + 3 * math.sqrt(alpha / runs)
    good &= ok
    print(f"Shadow, {runs:,} windows of {STUDIES:,} studies")
    print(f"  equal model stopped   {rate:.4f}   declared at most {alpha:g}   {'ok' if ok else 'TOO OFTEN'}")
    for loses in (0.02, 0.04, 0.06, 0.08):
        found = shadows(shadow, runs, loses, rng)
        early = float(((found > 0) & (found <= len(shadow.looks))).mean())
        ok = loses != 0.06 or early >= STATED_STOPPED
        good &= ok
        print(f"  pneumothorax -{loses:.2f}    stopped early {early:.3f}, by the end {(found > 0).mean():.3f}"
              f"{'' if ok else '   TOO SELDOM'}")  # fmt: skip

    print(f"\nWatch, {runs:,} windows of {watch.looks} looks, {PER_LOOK} studies each")
    total = 0.0
    for rule in watch.rules:
        at_limit = float((watches(watch, rule, rule.limit, runs, rng) > 0).mean())
        total += at_limit
        print(f"  {rule.measure:20} rolled back at its very limit   {at_limit:.4f}")
    ok = total <= watch.false_rollbacks + 3 * math.sqrt(watch.false_rollbacks / runs)
    good &= ok
    print(
        f"  all rules {total:.4f}   declared at most {watch.false_rollbacks:g}   "
        f"{'ok' if ok else 'TOO OFTEN'}"
    )
    for place, rule in enumerate(watch.rules):
        asked = ends(watch, {**HEALTHY, rule.measure: rule.limit}, runs, rng)
        kept = float((asked[place] == KEEP).mean())
        most = 1 - watch.keep_confidence + 3 * math.sqrt((1 - watch.keep_confidence) / runs)
        ok = rule.keeps == "likely" or kept <= most
        good &= ok
        told = "not limited" if rule.keeps == "likely" else "ok" if ok else "TOO OFTEN"
        print(f"  {rule.measure:20} kept at its very limit   {kept:.4f}   {told}")
    misses = [rule.measure for rule in watch.rules].index("critical_misses")
    for hours in (watch.hours, 24.0):
        longer = watch.model_copy(update={"hours": hours})
        truths: tuple[tuple[str, Mapping[str, float]], ...] = (
            ("healthy", HEALTHY),
            ("all twice the limits", {rule.measure: 2 * rule.limit for rule in watch.rules}),
            ("hallucinates in 8 %", {**HEALTHY, "hallucination_rate": 0.08}),
            ("misses 29 % of critical", {**HEALTHY, "critical_misses": 0.29}),
        )
        for name, rates in truths:
            asked = ends(longer, rates, runs if hours == watch.hours else runs // 10, rng)
            whole = asked.max(axis=0)
            others = float((np.delete(asked, misses, axis=0).max(axis=0) == KEEP).mean())
            ok = name != "healthy" or others >= STATED_KEPT
            good &= ok
            shares = ", ".join(
                f"{word} {float((whole == does).mean()):.3f}"
                for does, word in ((KEEP, "keep"), (HOLD, "hold"), (ROLL_BACK, "roll back"))
            )
            print(f"  {hours:2g} h, {name:24} {shares}; keep but for critical_misses {others:.3f}"
                  f"{'' if ok else '   TOO SELDOM'}")  # fmt: skip
    latency = next(rule for rule in watch.rules if rule.measure == "latency")
    found = watches(watch, latency, 0.2, runs, rng)
    minutes = np.where(found > 0, found * watch.every_min + watch.lateness_min, math.inf)
    late = float(np.quantile(minutes, 0.9, method="higher"))
    ok = late <= STATED_MINUTES
    good &= ok
    print(f"  a fifth of reports slow: median {np.median(minutes):g} min, 90 % within {late:g} min, "
          f"stated {STATED_MINUTES}{'' if ok else '   TOO LATE'}")  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
