"""What the statistics of `harness ab` do on simulated trials whose truth is known.

Run with `python benchmarks/validate_ab.py` (ten minutes of one core; `--quick` for an eighth of the draws).
Prints tables and ends with 1 if an error rate is above what is declared, a power is not as planned, or too
few 95 % intervals hold the truth.
Readers differ in how they rate and, by `reader sd`, in the gain that they see; patients differ too.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import expit

from harness.ab.decide import evaluate
from harness.ab.design import ENDPOINTS, Design, EndpointName, read_design
from harness.ab.effects import Floats, Positives, Table, mean_effect, sensitivity_effect
from harness.ab.planning import power_of_mean
from harness.ab.ratings import read_ratings
from harness.inference.two_way import EstimatedDifference
from harness.report import CRITICAL

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "fixtures"))

from simulate_ratings import Truth, simulate, write_csv  # noqa: E402

READERS: Final = (5, 8, 15)
READER_SD: Final = (0.0, 0.2, 0.5)
LEVELS: Final = (0.05, 0.0025)
"""Two-sided: of a 95 % interval, and of one endpoint of four at 0.01."""
LEAST_COVERAGE: Final = 0.93
"""Of 95 % intervals."""
TOLERATED: Final = {0.05: 0.06, 0.0025: 0.005}
"""No approximation is exact; from five readers on it is to stay below these."""


def drawn(rng: np.random.Generator, paired: bool, readers: int, reader_sd: float, gain: float) -> Table:
    """200 patients read by one reader each; in a randomised trial a quarter have the challenger's drafts."""
    patients = 200
    reader = np.arange(patients) % readers
    keen, strict = rng.normal(0, reader_sd, readers), rng.normal(0, 0.5, readers)
    level = rng.normal(0, 0.7, patients) + strict[reader]
    old, new = (level + rng.normal(0, 0.8, patients) for _ in range(2))
    new += gain + keen[reader]
    names, who = np.arange(patients).astype(str), reader.astype(str)
    if not paired:
        arm = np.arange(patients) % 4 == 0
        arm = arm[rng.permutation(patients)]
        return Table(np.where(arm, new, old), arm, names, who, names, False)
    both = np.arange(2 * patients) < patients
    names, who = np.tile(names, 2), np.tile(who, 2)
    return Table(np.concatenate([new, old]), both, names, who, names, True)


def error_rates(paired: bool, readers: int, reader_sd: float, draws: int) -> tuple[list[float], list[float]]:
    """How often each level rejects without a gain, and without regard to readers."""
    rng = np.random.default_rng([1, paired, readers, int(10 * reader_sd)])
    found = [_both(drawn(rng, paired, readers, reader_sd, 0.0)) for _ in range(draws)]
    p = np.array([[effect.test().p_value for effect in pair] for pair in found])
    return ([float((p[:, 0] < level).mean()) for level in LEVELS],
            [float((p[:, 1] < level).mean()) for level in LEVELS])  # fmt: skip


def _both(table: Table) -> tuple[EstimatedDifference, EstimatedDifference]:
    return table.difference(), table.difference(by_reader=False)


def coverage(endpoint: EndpointName, paired: bool, readers: int, draws: int) -> float:
    """Share of 95 % intervals of an endpoint that hold the truth, which 3 million draws tell."""
    rng = np.random.default_rng([3, paired, readers, ENDPOINTS.index(endpoint)])
    if endpoint == "critical_sensitivity":
        effects = (sensitivity_effect(_positives(rng, paired), paired, tested=False) for _ in range(draws))
    else:
        effects = (mean_effect(endpoint, _values(rng, endpoint, paired, readers)) for _ in range(draws))
    truth = _truth(endpoint)
    ends = [effect.interval(confidence=0.95) for effect in effects]
    return sum(end.low <= truth <= end.high for end in ends) / draws


@cache
def _truth(endpoint: EndpointName) -> float:
    rng, n = np.random.default_rng(4), 3_000_000
    if endpoint == "critical_sensitivity":
        mixed = rng.normal(0, 1, n)
        return float((expit(3.6 + mixed) - expit(3.2 + mixed)).mean())
    shared = rng.normal(0, 0.5, n) + rng.normal(0, 0.3, n)
    new = _measured(rng, endpoint, shared + 0.3 + rng.normal(0, 0.15, n))
    return float(new.mean() - _measured(rng, endpoint, shared).mean())


def _measured(rng: np.random.Generator, endpoint: EndpointName, good: Floats) -> Floats:
    """What is measured of drafts so good: whole ratings, many edit distances of 0, skewed minutes."""
    if endpoint == "rating":
        return np.clip(np.rint(3.4 + good + rng.normal(0, 0.9, len(good))), 1, 5)
    if endpoint == "edit_distance":
        return expit(-1.5 - good + rng.normal(0, 0.8, len(good))) * (rng.random(len(good)) < 0.6)
    return np.exp(1.7 - 0.3 * good + rng.normal(0, 0.45, len(good)))


def _values(rng: np.random.Generator, endpoint: EndpointName, paired: bool, readers: int) -> Table:
    """300 patients in pairs, or 1,000 of whom a fifth have the challenger's drafts; a tenth read twice."""
    patients = 300 if paired else 1000
    patient = np.concatenate([np.arange(patients), np.arange(patients // 10)])
    reader = rng.permutation(len(patient)) % readers
    keen, strict = rng.normal(0, 0.15, readers), rng.normal(0, 0.3, readers)
    shared = rng.normal(0, 0.5, patients)[patient] + strict[reader]
    old, new = (_measured(rng, endpoint, shared + more) for more in (0.0, 0.3 + keen[reader]))
    names, who, unit = (part.astype(str) for part in (patient, reader, np.arange(len(patient))))
    if not paired:
        arm = (rng.permutation(patients) % 5 == 0)[patient]
        return Table(np.where(arm, new, old), arm, names, who, unit, False)
    both = np.arange(2 * len(patient)) < len(patient)
    names, who, unit = (np.tile(part, 2) for part in (names, who, unit))
    return Table(np.concatenate([new, old]), both, names, who, unit, True)


def _positives(rng: np.random.Generator, paired: bool) -> Positives:
    """A critical finding for three patients in ten, of whom a quarter have two; some are hard to see."""
    patients = 300 if paired else 900
    patient = np.concatenate([np.arange(patients), np.arange(patients // 4)])
    mixed = rng.normal(0, 1, patients)[patient]
    old, new = ((rng.random(len(patient)) < expit(at + mixed)).astype(float) for at in (3.2, 3.6))
    if not paired:
        arm = (rng.permutation(patients) % 5 == 0)[patient]
        old, new = np.where(arm, math.nan, old), np.where(arm, new, math.nan)
    names = patient.astype(str)
    return Positives(np.arange(len(patient)).astype(str), names, (CRITICAL[0],) * len(patient), new, old)


def power_of(design: Design, readers: int, reader_sd: float, draws: int) -> tuple[float, float]:
    """Planned and observed power to show a gain of 0.4 at the level of one endpoint, in pairs."""
    planning = design.planning.model_copy(update={"readers": readers, "studies_per_patient": 1.0})
    part = design.endpoints.rating.model_copy(update={"sd": 0.8 * math.sqrt(2), "reader_sd": reader_sd})
    planned = power_of_mean(design.model_copy(update={"planning": planning}), part, 200, 0.4, LEVELS[1] / 2)
    rng = np.random.default_rng([2, readers, int(10 * reader_sd)])
    shown = 0
    for _ in range(draws):
        effect = drawn(rng, True, readers, reader_sd, 0.4).difference()
        shown += effect.estimate > 0 and effect.test().p_value < LEVELS[1]
    return planned, shown / draws


def promoted(design: Design, truth: Truth, draws: int, seed: int) -> float:
    """Share of whole trials, from the export to the decision, that end in PROMOTE."""
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        for draw in range(draws):
            path = Path(folder) / f"{draw}.csv"
            write_csv(path, simulate(design, design.planned_studies, seed + draw, truth))
            outcome = evaluate(read_ratings(path, design), design, Path(folder) / f"{draw}.jsonl")
            count += outcome.decision == "PROMOTE"
    return count / draws


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints every table; returns 1 if one is out of bounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="an eighth of the draws")
    draws = 1000 if parser.parse_args(arguments).quick else 8_000
    good = True
    print("Type I error, with readers and (in brackets) by patient alone")
    for paired in (True, False):
        for readers in READERS:
            for spread in READER_SD:
                ours, alone = error_rates(paired, readers, spread, draws)
                bounds = [TOLERATED[level] + 3 * math.sqrt(level / draws) for level in LEVELS]
                holds = all(rate <= bound for rate, bound in zip(ours, bounds, strict=True))
                good &= holds
                shown = "  ".join(
                    f"{100 * level:g}%: {100 * one:.2f} ({100 * other:.2f})"
                    for level, one, other in zip(LEVELS, ours, alone, strict=True)
                )
                kind = "paired" if paired else "randomised"
                print(
                    f"{kind:10}  {readers:2} readers, sd {spread:.1f}  {shown}  {'' if holds else 'TOO HIGH'}"
                )
    print("\nCoverage of 95 % intervals, patients and readers as clusters")
    tried = draws // 5
    for endpoint in ENDPOINTS:
        for paired in (True, False):
            panels = (0,) if endpoint == "critical_sensitivity" else (5, 10)
            for readers in panels:
                share = coverage(endpoint, paired, readers, tried)
                holds = share >= LEAST_COVERAGE - 3 * math.sqrt(0.05 * 0.95 / tried)
                good &= holds
                kind = "paired" if paired else "randomised"
                by = f"{readers:2} readers" if readers else "by patient"
                print(f"{endpoint:20}  {kind:10}  {by}  {100 * share:.1f} %  {'' if holds else 'TOO LOW'}")
    design = read_design(ROOT / "suites" / "clinical" / "paired.yaml")
    print("\nPower to show a gain of 0.4 at p < 0.0025, paired, 200 studies: planned and observed")
    for readers in READERS:
        for spread in (0.0, 0.2):
            planned, seen = power_of(design, readers, spread, draws // 4)
            # With few readers a plan promises less than it keeps; it must not promise much more.
            holds = -0.15 < planned - seen < 0.09
            good &= holds
            print(
                f"{readers:2} readers, sd {spread:.1f}  {planned:.3f}  {seen:.3f}  {'' if holds else 'OFF'}"
            )
    print("\nWhole trials as designed (suites/clinical/paired.yaml): share that ends in PROMOTE")
    trials = draws // 125
    equal = Truth(gain=0, fewer_edits=0, sensitivity=(0.97, 0.97), minutes_saved=0)
    lost = {"Pneumothorax": 0.1}
    for name, truth, low, high in (
        ("better by 0.3, as sensitive", Truth(sensitivity=(0.97, 0.97)), 0.8, 1.0),
        ("no better", equal, 0.0, 0.01),
        ("better by 0.3, 5 points less sensitive (the margin)", Truth(sensitivity=(0.98, 0.93)), 0.0, 0.025),
        (
            "better by 0.3, 10 points fewer pneumothoraces (the margin)",
            Truth(sensitivity=(0.98, 0.98), lost=lost),
            0.0,
            0.025,
        ),
    ):
        share = promoted(design, truth, trials, 1000)
        chance = 3 * math.sqrt(max(low * (1 - low), high * (1 - high)) / trials)
        holds = low - chance <= share <= high + chance
        good &= holds
        print(f"{name}: {share:.3f} of {trials}  {'' if holds else f'not within {low} to {high}'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
