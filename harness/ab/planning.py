"""How many studies it takes, before any is collected."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
from scipy.stats import binom, nct, t

from harness.ab.design import ENDPOINTS, Design, EndpointName, MeanEndpoint, SensitivityEndpoint
from harness.inference import power_mcnemar, power_non_inferiority, proportion_interval
from harness.report import Finding
from harness.status import Status

MOST_STUDIES: Final = 1_000_000
MOST_FINDINGS: Final = 8_000
"""Of one arm; beyond these the search for a sample size ends without one."""

Power = Callable[[int], float]
"""Studies in both arms together to the probability of the answer that is hoped for."""


@dataclass(frozen=True, slots=True)
class Need:
    """One question and what it takes."""

    endpoint: EndpointName
    critical: Finding | None
    """The critical finding that is asked about by itself; None for the endpoint as a whole."""
    question: str
    """"not worse" or "better"."""
    power: float | None
    """At the planned number of studies; None where nothing was assumed to reckon it from."""
    studies: int | None
    """The fewest with the power that is wanted; None where there is no such number, or it is past all
    reason."""
    enough: bool
    needed: bool
    """Every endpoint, and every critical finding that is to be decided, must be shown to be not worse; of
    "better" one is enough."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All of them. PASS: the planned studies are enough."""

    status: Status
    needs: tuple[Need, ...]
    notes: tuple[str, ...]


def plan(design: Design) -> Plan:
    """Works out the power of every question at the planned number of studies, and the studies it takes.

    Means: noncentral t with the variance of patients (studies of one correlate as assumed) and of readers,
    who do not get more as studies do, as `two_way_difference`. Sensitivity: exact, over both discordant
    counts in pairs, and over both arms' hits in a randomised design. One rating a study and model is
    assumed; more can but help. All studies are taken to be seen in one look.
    """
    wanted, notes = design.planning.power, []
    needs: list[Need] = []
    for name in ENDPOINTS:
        part = getattr(design.endpoints, name)
        for question in ("not worse", "better"):
            if question == "better" and part.expected_gain <= 0:
                continue
            needs.append(_need(design, part, name, None, question))
            if needs[-1].power is None:
                what = "sd" if isinstance(part, MeanEndpoint) else _missing_of_sensitivity(design)
                notes.append(f"endpoints.{name}: give {what} to plan it")
        if name != "critical_sensitivity":
            continue
        asked: dict[SensitivityEndpoint, Need] = {}  # those of which the same is assumed need the same
        for finding, own in design.critical_findings.items():
            part = _filled(design, own)
            if part not in asked:
                asked[part] = _need(design, part, name, finding, "not worse")
            needs.append(replace(asked[part], critical=finding))
            if needs[-1].power is None:
                notes.append(f"critical_findings.{finding.value}: give per_study to plan it")
    better = [need for need in needs if need.question == "better"]
    enough = all(need.enough for need in needs if need.needed) and any(need.enough for need in better)
    if not better:
        notes.append("no endpoint is expected to gain (expected_gain above 0): then nothing can be promoted")
    words = "enough" if enough else "too few"
    notes.append(
        f"{design.planned_studies:,} studies are {words}: every endpoint and critical finding is to be shown "
        f"not worse than its margin at one-sided {100 * design.confidence:g}%, and one endpoint to be better "
        f"at p < {design.alpha / len(ENDPOINTS):g}, with a power of {wanted:g} each."
    )
    if enough:
        lacking = sum(1 - (need.power or 0.0) for need in needs if need.needed)
        lacking += 1 - max(need.power or 0.0 for need in better)
        # A guard takes chance for a loss as often as its bound errs.
        lacking += len(design.findings) * (1 - design.confidence)
        notes.append(
            "The chance that all of it is shown together, and no critical finding seems lost by chance, is "
            f"{max(0.0, 1 - lacking):.2f} at least (Bonferroni)."
        )
    notes.append(
        "This assumes one look, at the planned number of studies. Each earlier look spends some of alpha "
        f"({design.spending} spending) and lowers the power of the last."
    )
    if design.undecided:
        left = " and ".join(finding.value for finding in design.undecided)
        notes.append(f"By design this trial does not decide {left} alone; every conclusion says so.")
    if design.assignment is not None:
        theirs = design.assignment.share * design.planned_studies
        notes.append(f"Of {design.planned_studies:,} studies about {theirs:,.0f} are the challenger's.")
    return Plan(Status.PASS if enough else Status.NOT_EVALUATED, tuple(needs), tuple(notes))


def _need(
    design: Design,
    part: MeanEndpoint | SensitivityEndpoint,
    name: EndpointName,
    finding: Finding | None,
    question: str,
) -> Need:
    needed = question == "not worse"
    power = _power_of(design, part, question)
    if power is None:
        return Need(name, finding, question, None, None, False, needed)
    reached, wanted = power(design.planned_studies), design.planning.power
    return Need(name, finding, question, reached, _fewest(power, wanted), reached >= wanted, needed)


def _missing_of_sensitivity(design: Design) -> str:
    return "sensitivity, per_study" + (", discordant" if design.design == "paired" else "")


def _filled(design: Design, own: SensitivityEndpoint) -> SensitivityEndpoint:
    """What is assumed of one finding: its own words, and else those of all of them together."""
    pooled = design.endpoints.critical_sensitivity
    given = own.model_dump(exclude_none=True, exclude_unset=True)
    shared = {"expected_gain", "sensitivity", "discordant"}
    return own.model_copy(update={key: getattr(pooled, key) for key in shared - set(given)})


def _power_of(design: Design, part: MeanEndpoint | SensitivityEndpoint, question: str) -> Power | None:
    margin = part.margin if question == "not worse" else 0.0
    alpha = 1 - design.confidence if question == "not worse" else design.alpha / len(ENDPOINTS) / 2
    if isinstance(part, MeanEndpoint):
        if part.sd is None:
            return None
        return lambda studies: power_of_mean(design, part, studies, part.expected_gain + margin, alpha)
    if (
        part.sensitivity is None
        or part.per_study is None
        or (design.assignment is None and part.discordant is None)
    ):
        return None
    if design.assignment is None:
        return cache(lambda studies: _power_paired_sensitivity(design, part, studies, margin, alpha))
    return cache(lambda studies: _power_randomised_sensitivity(design, part, studies, margin, alpha))


def power_of_mean(design: Design, part: MeanEndpoint, studies: int, shift: float, alpha: float) -> float:
    """The probability that a mean is shown to be above what lies `shift` below its expected gain.

    Args:
        design: for arms, patients and readers.
        part: the endpoint; its standard deviation is needed.
        studies: in both arms together.
        shift: expected gain plus margin (not worse), or expected gain (better).
        alpha: one-sided level.

    Raises:
        ValueError: the endpoint has no standard deviation.
    """
    if part.sd is None:
        raise ValueError("a standard deviation is needed")
    planning = design.planning
    effect = 1 + (planning.studies_per_patient - 1) * planning.correlation
    share = design.assignment.share if design.assignment is not None else None
    sizes = [float(studies)] if share is None else [studies * share, studies * (1 - share)]
    parts = [(part.sd**2 * effect / size, size / planning.studies_per_patient - 1) for size in sizes]
    if min(freedom for _, freedom in parts) < 1:
        return 0.0
    doubt = sum(variance**2 / count for variance, count in parts)
    variance = sum(variance for variance, _ in parts)
    if planning.readers > 1:
        # With one rating a study the variance by reader holds that of the studies too.
        variance += part.reader_sd**2 / planning.readers
        doubt += variance**2 / (planning.readers - 1)
    freedom = variance**2 / doubt
    return float(nct.sf(t.isf(alpha, freedom), freedom, shift / math.sqrt(variance)))


def _positives(design: Design, part: SensitivityEndpoint, studies: float) -> int:
    """Critical findings in so many studies, in independent ones' worth."""
    effect = 1 + (design.planning.studies_per_patient - 1) * design.planning.correlation
    return int(studies * (part.per_study or 0.0) / effect)


def _power_paired_sensitivity(
    design: Design, part: SensitivityEndpoint, studies: int, margin: float, alpha: float
) -> float:
    pairs, gain = _positives(design, part, studies), part.expected_gain
    discordant = max(part.discordant or 0.0, abs(gain))
    won, lost = (discordant + gain) / 2, (discordant - gain) / 2
    if pairs > MOST_FINDINGS:
        return math.nan
    if margin:
        return power_non_inferiority(won, lost, pairs, margin, alpha)
    return power_mcnemar(won, lost, pairs, 2 * alpha)


def _power_randomised_sensitivity(
    design: Design, part: SensitivityEndpoint, studies: int, margin: float, alpha: float
) -> float:
    if design.assignment is None or part.sensitivity is None:
        raise ValueError("a randomised design and a sensitivity are needed")
    share = design.assignment.share
    trials = [_positives(design, part, studies * of) for of in (share, 1 - share)]
    if not all(trials):
        return 0.0
    if max(trials) > 20 * MOST_FINDINGS:
        return math.nan
    rates = [min(part.sensitivity + part.expected_gain, 1.0), part.sensitivity]
    arms = []
    for count, rate, side in zip(trials, rates, ("lower", "upper"), strict=True):
        hits = np.arange(count + 1)
        chance = binom.pmf(hits, count, rate)
        hits, chance = hits[chance > 1e-10], chance[chance > 1e-10]
        ends = [proportion_interval(int(hit), count, 1 - alpha, "clopper-pearson", side) for hit in hits]  # type: ignore[arg-type]  # a side
        bound = np.array([end.low if side == "lower" else end.high for end in ends])
        arms.append((hits / count, abs(hits / count - bound), chance))
    (new, below, often), (old, above, as_often) = arms
    lowest = new[:, None] - old[None, :] - np.hypot(below[:, None], above[None, :])
    return float((often[:, None] * as_often[None, :])[lowest > -margin].sum())


def _fewest(power: Power, wanted: float) -> int | None:
    low, high = 1, 32
    while not (reached := power(high)) >= wanted:
        if high > MOST_STUDIES or math.isnan(reached):
            return None
        low, high = high, 2 * high
    while high - low > max(1, high // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= wanted else (middle, high)
    return high
