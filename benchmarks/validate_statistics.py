"""What the intervals, tests and the gate do on simulated patients whose truth is known.

Run with `python benchmarks/validate_statistics.py` (minutes on two cores; `--quick` for a tenth of
the draws). Prints tables and ends with 1 if an error rate is above what is declared.

Studies of one patient are correlated by beta-binomial draws: a patient's own rate is
Beta(p (1 - r) / r, (1 - p) (1 - r) / r), so that two of their studies correlate by r.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.estimates import Settings, estimate_all
from harness.inference import (
    Bootstrap,
    clustered_mcnemar_test,
    clustered_paired_difference_interval,
    clustered_proportion_interval,
    mcnemar_test,
    paired_t_test,
    permutation_test,
    randomisation_test,
    signed_rank_test,
    spending_boundaries,
    square_and_add,
)
from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.suite import Suite
from harness.verdict import Status, decide

Floats = NDArray[np.float64]

CORRELATIONS: Final = (0.0, 0.2, 0.5)
RATES: Final = (0.5, 0.8, 0.9, 0.95, 0.98, 0.995)
SIZES: Final = {"1": ([1], [1.0]), "1-4": ([1, 2, 3, 4], [0.6, 0.25, 0.1, 0.05]), "5": ([5], [1.0])}
"""Studies of a patient, and how often: one; as in a screening population, and as in an intensive care one."""
CELLS: Final = [(kind, r) for kind in SIZES for r in CORRELATIONS if kind != "1" or r == 0]
LOWEST: Final = 0.935
ALPHA: Final = 0.05


def sizes_of(kind: str, studies: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Studies of each patient, about so many in all."""
    values, chances = SIZES[kind]
    drawn = rng.choice(values, size=studies, p=chances)
    return drawn[: int(np.searchsorted(np.cumsum(drawn), studies)) + 1].astype(np.int64)


def successes(sizes: NDArray[np.int64], rate: float, correlation: float, rng: np.random.Generator) -> Any:
    """Successes of each patient."""
    if correlation == 0:
        return rng.binomial(sizes, rate)
    shape = (1 - correlation) / correlation
    return rng.binomial(sizes, rng.beta(rate * shape, (1 - rate) * shape, size=len(sizes)))


def within(error_rate: float, declared: float, draws: int) -> bool:
    """Whether an observed error rate is no more than declared, up to three standard errors of the draws."""
    return error_rate <= declared + 3 * math.sqrt(declared * (1 - declared) / draws)


# Coverage of nominal 95 % intervals


def proportion_coverage(kind: str, studies: int, rate: float, correlation: float, draws: int) -> float:
    """Of the interval of every proportion: sensitivities, specificities, hallucinations, failures."""
    rng = np.random.default_rng([1, studies, int(1000 * rate), int(10 * correlation)])
    covered = 0
    for _ in range(draws):
        sizes = sizes_of(kind, studies, rng)
        interval = clustered_proportion_interval(successes(sizes, rate, correlation, rng), sizes)
        covered += interval.low <= rate <= interval.high
    return covered / draws


def bootstrap_coverage(
    statistic: str, rate: float, correlation: float, draws: int, undefined: bool = False
) -> float:
    """Of BCa over 300 patients: micro F1 of counts, and the mean of a score, with a true value of rate.

    Data sets share a draw of weights, as the measures of a suite do. With `undefined`: the share of
    intervals that are; these claim nothing, and count as covering.
    """
    rng = np.random.default_rng([2, int(1000 * rate), int(10 * correlation), len(statistic)])
    patients, together, covered = 300, 25, 0
    # F1 = 2 TP / (2 TP + FP + FN): of what either side asserts, the share j on which both agree.
    agreed = rate / (2 - rate)
    for batch in range(0, draws, together):
        questions = []
        for _ in range(together):
            sizes = rng.choice([1, 2, 3, 4], p=[0.6, 0.25, 0.1, 0.05], size=patients)
            if statistic == "micro F1":
                trials = 3 * sizes
                hits = successes(trials, agreed, correlation, rng)
                questions.append((np.stack([hits, trials - hits], axis=1), _f1))
            else:
                scores = successes(20 * sizes, rate, correlation, rng)  # twentieths of a score
                questions.append((np.stack([scores, 20 * sizes], axis=1), _share))
        [found] = Bootstrap(np.arange(patients), 2000, batch).distributions(questions)
        for distribution in found:
            interval = distribution.guarded_interval(0)
            if undefined:
                covered += math.isnan(interval.low)
            else:
                covered += not (rate < interval.low or rate > interval.high)
    return covered / (together * math.ceil(draws / together))


def _f1(totals: Floats) -> Floats:
    return np.asarray(2 * totals[..., 0] / (2 * totals[..., 0] + totals[..., 1]))


def _share(totals: Floats) -> Floats:
    return np.asarray(totals[..., 0] / totals[..., 1])


def difference_coverage(design: str, rate: float, correlation: float, draws: int) -> float:
    """Of the difference of two arms, the second of which is worse by a fifth of its errors."""
    rng = np.random.default_rng([3, int(1000 * rate), int(10 * correlation), len(design)])
    gap, covered = 0.2 * (1 - rate), 0
    for _ in range(draws):
        if design == "paired":
            size = sizes_of("1-4", 400, rng)
            cells = _discordant(size, 0.5 * gap + gap, 0.5 * gap, correlation, rng)
            interval = clustered_paired_difference_interval(cells[:, 0], cells[:, 1], size)
        else:
            sizes = sizes_of("1-4", 800, rng), sizes_of("1-4", 200, rng)
            arms = [
                partial(clustered_proportion_interval, successes(size, p, correlation, rng), size)
                for size, p in zip(sizes, (rate, rate - gap), strict=True)
            ]
            interval = square_and_add(arms[0], arms[1])
        covered += interval.low <= gap <= interval.high
    return covered / draws


def _discordant(
    sizes: NDArray[np.int64], won: float, lost: float, correlation: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Pairs that the first alone wins, the second alone wins, and others, of each patient."""
    shares = np.array([won, lost, 1 - won - lost])
    chances = np.tile(shares, (len(sizes), 1))
    if correlation:
        drawn = rng.gamma(np.maximum(shares, 1e-9) * (1 - correlation) / correlation, size=chances.shape)
        chances = (drawn + 1e-300) / (drawn + 1e-300).sum(axis=1, keepdims=True)
    return np.array(rng.multinomial(sizes, chances))


# The gate


SUITE: Final = Suite.model_validate(
    {
        "name": "gate",
        "version": 1,
        "measures": ["critical_sensitivity"],
        "criteria": [
            {"id": "s", "measure": "critical_sensitivity", "value": "Pneumothorax", "above": 0.98},
        ],
    }
)


def pass_rate(kind: str, sensitivity: float, positives: int, correlation: float, draws: int) -> float:
    """How often a candidate of this true sensitivity passes "above 0.98", from rows to verdict."""
    rng = np.random.default_rng([4, positives, int(10_000 * sensitivity), int(10 * correlation)])
    measure = CriticalSensitivity()
    settings = Settings(0.95, (0.95,), 200, 0)
    hit, present = (measure.columns.index(f"Pneumothorax:{cell}") for cell in ("tp", "pos"))
    passed = 0
    for _ in range(draws):
        sizes = sizes_of(kind, positives, rng)
        found = successes(sizes, sensitivity, correlation, rng)
        patients = np.repeat(np.arange(len(sizes)), sizes)
        place = np.arange(len(patients)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = np.zeros((len(patients), len(measure.columns)), dtype=np.int64)
        rows[:, hit] = place < np.repeat(found, sizes)
        rows[:, present] = 1
        names = [f"p{patient}" for patient in patients]
        key = "critical_sensitivity"
        estimates = estimate_all({key: measure}, {key: rows}, names, {}, settings)
        passed += decide(SUITE, estimates, len(rows)).status is Status.PASS
    return passed / draws


# A/B tests


def type_one_error(test: str, correlation: float, draws: int) -> float:
    """How often a test finds a difference at 0.05 where there is none."""
    rng = np.random.default_rng([5, int(10 * correlation), *test.encode()])
    found = 0
    for _ in range(draws):
        sizes = sizes_of("1-4", 300, rng)
        cells = _discordant(sizes, 0.1, 0.1, correlation, rng)
        patients = np.repeat(np.arange(len(sizes)), sizes)
        place = np.arange(len(patients)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        won, both = (np.repeat(each, sizes) for each in (cells[:, 0], cells[:, :2].sum(axis=1)))
        # Of a patient's pairs, first those that A alone wins, then those of B, then the rest.
        first, second = place < won, (place >= won) & (place < both)
        one, other = (np.stack([arm, np.ones_like(arm)], axis=1).astype(int) for arm in (first, second))
        if test == "permutation":
            p = permutation_test(one, other, _share, patients, 499, int(rng.integers(2**31))).p_value
        elif test == "randomisation":
            arm = rng.random(len(sizes)) < 0.3
            rate = successes(sizes, 0.8, correlation, rng)
            hit = place < np.repeat(rate, sizes)
            rows = np.stack([hit, np.ones_like(hit)], axis=1).astype(int)
            p = randomisation_test(
                rows, np.repeat(arm, sizes), _share, patients, 499, int(rng.integers(2**31))
            ).p_value
        elif test == "t":
            p = paired_t_test(first, second, patients).p_value
        elif test == "signed-rank":
            p = signed_rank_test(first, second, patients).p_value
        elif test == "mcnemar, not clustered":
            p = mcnemar_test(int(cells[:, 0].sum()), int(cells[:, 1].sum()), "mid-p").p_value
        else:
            rest = cells[:, 2]
            method: Any = test.removeprefix("mcnemar, ")
            p = clustered_mcnemar_test(rest, cells[:, 0], cells[:, 1], 0 * rest, method).p_value
        found += float(np.asarray(p)) < ALPHA
    return found / draws


def inferiority_error(margin: float, correlation: float, draws: int) -> float:
    """How often a loss of just the margin passes a guardrail of 95 %."""
    rng = np.random.default_rng([6, int(1000 * margin), int(10 * correlation)])
    passed = 0
    for _ in range(draws):
        sizes = sizes_of("1-4", 400, rng)
        cells = _discordant(sizes, 0.01, 0.01 + margin, correlation, rng)
        bound = clustered_paired_difference_interval(cells[:, 0], cells[:, 1], sizes, 0.95, "lower").low
        passed += bound > -margin
    return passed / draws


def looks_error(spending: str, looks: int, draws: int) -> float:
    """How often any of so many looks crosses its boundary where there is no difference."""
    rng = np.random.default_rng([7, looks])
    fractions = np.arange(1, looks + 1) / looks
    kind: Any = spending
    boundaries = spending_boundaries(fractions, ALPHA, kind)
    walk = rng.normal(size=(draws, looks)).cumsum(axis=1) / math.sqrt(looks)
    return float((np.abs(walk / np.sqrt(fractions)) >= boundaries).any(axis=1).mean())


# Tables

Cell = tuple[Callable[..., float], tuple[Any, ...]]


def run(cell: Cell) -> float:
    """One cell of a table."""
    work, arguments = cell
    return work(*arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws")
    less = 10 if parser.parse_args(arguments).quick else 1
    many, some, few = 3000 // less, 2000 // less, 400 // less
    began, broken = time.monotonic(), []
    with multiprocessing.get_context("spawn").Pool(2) as pool:

        def table(
            title: str, rows: dict[str, list[Cell]], heads: Sequence[str], ok: Callable[..., bool]
        ) -> None:
            cells = [cell for row in rows.values() for cell in row]
            values = iter(pool.map(run, cells, chunksize=1))
            print(f"\n{title}\n{'':34}" + "".join(f"{head:>10}" for head in heads))
            for name, row in rows.items():
                text = ""
                for head, cell in zip(heads, row, strict=True):
                    value = next(values)
                    good = ok(value, name, head, cell)
                    text += f"{value:9.4f}{' ' if good else '!'}"
                    if not good:
                        broken.append(f"{title}: {name}, {head}: {value:.4f}")
                print(f"{name:34}{text}", flush=True)

        def covers(value: float, name: str, head: str, cell: Cell) -> bool:
            return within(1 - value, 1 - LOWEST, cell[1][-1])

        heads = [f"{rate:g}" for rate in RATES]
        table(
            "Coverage of 95 % intervals: proportions (guarded Clopper-Pearson)",
            {
                f"{n} studies, {kind} a patient, r = {r}": [
                    (proportion_coverage, (kind, n, rate, r, many)) for rate in RATES
                ]
                for kind, r in CELLS
                for n in (150, 500)
            },
            heads,
            covers,
        )
        table(
            "Coverage of 95 % intervals: guarded BCa over 300 patients (undefined counts as covering)",
            {
                f"{statistic}, r = {r}": [(bootstrap_coverage, (statistic, rate, r, some)) for rate in RATES]
                for statistic in ("micro F1", "mean score")
                for r in CORRELATIONS
            },
            heads,
            covers,
        )
        table(
            "Of these, undefined: too few patients bear on the value",
            {
                f"{statistic}, r = {r}": [
                    (bootstrap_coverage, (statistic, rate, r, few, True)) for rate in RATES
                ]
                for statistic in ("micro F1", "mean score")
                for r in CORRELATIONS
            },
            heads,
            lambda *_: True,
        )
        table(
            "Coverage of 95 % intervals: differences",
            {
                f"{design}, r = {r}": [(difference_coverage, (design, rate, r, some)) for rate in RATES]
                for design in ("paired", "randomised")
                for r in CORRELATIONS
            },
            heads,
            covers,
        )
        truths = (0.97, 0.98, 0.985, 0.99, 0.995, 0.999)
        table(
            "The gate: probability of PASS for sensitivity above 0.98, by true sensitivity",
            {
                f"{n} positives, {kind} a patient, r = {r}": [
                    (pass_rate, (kind, truth, n, r, many if truth == 0.98 else few)) for truth in truths
                ]
                for kind, r in CELLS
                for n in (149, 300, 1000)
            },
            [f"{truth:g}" for truth in truths],
            lambda value, name, head, cell: float(head) > 0.98 or within(value, ALPHA, cell[1][-1]),
        )
        tests = ["permutation", "t", "signed-rank", "mcnemar, obuchowski", "mcnemar, durkalski",
                 "mcnemar, eliasziw-donner", "mcnemar, yang", "mcnemar, not clustered",
                 "randomisation"]  # fmt: skip
        table(
            "Type I error at 0.05 of the A/B tests, no difference (unclustered for comparison only)",
            {test: [(type_one_error, (test, r, some)) for r in CORRELATIONS] for test in tests},
            [f"r = {r}" for r in CORRELATIONS],
            lambda value, name, head, cell: "not clustered" in name or within(value, ALPHA, cell[1][-1]),
        )
        table(
            "A guardrail at 95 %: a loss of just the margin passes",
            {
                f"margin {margin}": [(inferiority_error, (margin, r, many)) for r in CORRELATIONS]
                for margin in (0.02, 0.05)
            },
            [f"r = {r}" for r in CORRELATIONS],
            lambda value, name, head, cell: within(value, ALPHA, cell[1][-1]),
        )
        table(
            "Repeated looks at 0.05, no difference: any look is significant",
            {
                spending: [(looks_error, (spending, looks, 50 * many)) for looks in (1, 2, 5)]
                for spending in ("obrien-fleming", "pocock")
            },
            ["1 look", "2 looks", "5 looks"],
            lambda value, name, head, cell: within(value, ALPHA, cell[1][-1]),
        )
    print(f"\n{time.monotonic() - began:.0f} s; {len(broken)} bounds broken")
    for line in broken:
        print(f"  {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
