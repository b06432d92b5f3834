"""Whether the answer holds when it is asked another way, and for each reader and site."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.stats import chi2, norm, rankdata

from harness.ab.design import Design, EndpointName
from harness.ab.effects import (
    MEANS,
    Floats,
    Positives,
    Table,
    groups_of,
    sensitivity_effect,
    worst_case,
    worst_case_positives,
)
from harness.ab.guards import LEAST
from harness.ab.ordinal import proportional_odds
from harness.ab.ratings import Ratings
from harness.inference import clustered_mcnemar_test, signed_rank_test
from harness.inference.two_way import rank_difference, two_way_bootstrap
from harness.status import finite

FEWEST: Final = 10
"""A reader or site with fewer patients is shown, but takes no part in the test of heterogeneity."""


WORST_CASE: Final = "Missing values against it"


@dataclass(frozen=True, slots=True)
class Alternative:
    """One other analysis of an endpoint; what it does not give is None."""

    endpoint: EndpointName
    analysis: str
    scale: Literal["difference", "rank", "odds ratio"]
    """Of the estimate: challenger minus current in the endpoint's unit; how much more often the challenger's
    value is higher than lower, -1 to 1; the odds of a higher value with the challenger, above 0."""
    estimate: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """The effect in the rows of one reader or site."""

    name: str
    studies: int
    """That were read there."""
    patients: int
    units: int
    current: float | None
    challenger: float | None
    difference: float | None
    low: float | None
    high: float | None
    """Of a two-sided 95 % interval by patient, not adjusted for the number of groups."""
    error: float | None
    missed: tuple[int, int] | None = None
    """Critical findings that the drafts of the current model missed, and the challenger's."""
    findings: tuple[int, int] | None = None
    """Critical findings that were there for either."""
    harmed: bool = False
    """Whether a loss of critical findings is shown, at the level of the verdict's bounds shared between
    the groups (Bonferroni)."""


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """How an endpoint's effect differs between readers, or sites."""

    endpoint: EndpointName
    by: str
    """"reader" or "site"."""
    groups: tuple[Group, ...]
    p_value: float | None
    """Cochran's Q over groups that are large enough; None with fewer than two."""
    inconsistency: float | None
    """I squared (Higgins & Thompson, Stat Med 2002;21:1539-1558): share of variation that is not chance."""


def alternatives(
    ratings: Ratings,
    means: Mapping[EndpointName, Table],
    found: Positives,
    design: Design,
    confidence: float,
) -> list[Alternative]:
    """Ranks, proportional odds of ratings, bootstrap, the worst case of all, McNemar's test in pairs."""
    listed: list[Alternative] = []
    for endpoint in MEANS:
        whole = means[endpoint]
        table = whole.complete()
        if not table.both_arms():
            continue
        if table.paired:
            weights = table.weights()
            names, index = np.unique(table.patient, return_inverse=True)
            change: Floats = np.bincount(index, weights * table.values).astype(np.float64) * len(names)
            change = change.round(12)
            ranks = signed_rank_test(change, np.zeros(len(change)))
            listed.append(Alternative(
                endpoint, "Wilcoxon signed rank, by patient", "rank", _rank_biserial(change), None, None,
                finite(ranks.p_value),
            ))  # fmt: skip
        else:
            above = rank_difference(table.values, table.challenger, table.patient,
                                    table.reader if len(np.unique(table.reader)) > 1 else None)  # fmt: skip
            listed.append(Alternative(
                endpoint, "Wilcoxon-Mann-Whitney, clustered", "rank", finite(2 * above.estimate), None, None,
                finite(above.test().p_value),
            ))  # fmt: skip
        if endpoint == "rating":
            odds = proportional_odds(table)
            reach = odds.interval(confidence)
            estimate, low, high = (
                finite(math.exp(value)) if math.isfinite(value) else None
                for value in (odds.estimate, reach.low, reach.high)
            )
            listed.append(Alternative(
                endpoint, "Proportional odds" + (", marginal" if table.paired else ""), "odds ratio",
                estimate, low, high, finite(odds.test().p_value),
            ))  # fmt: skip
        drawn = two_way_bootstrap(
            table.values, table.weights(), table.patient, table.reader, confidence, seed=design.seed
        )
        listed.append(Alternative(
            endpoint, "Bootstrap by patient and reader", "difference", finite(drawn.estimate),
            finite(drawn.low), finite(drawn.high), None,
        ))  # fmt: skip
        worst = worst_case(endpoint, whole)
        bounds = worst.interval(confidence)
        listed.append(Alternative(
            endpoint, WORST_CASE, "difference", finite(worst.estimate), finite(bounds.low),
            finite(bounds.high), finite(worst.test().p_value),
        ))  # fmt: skip
    paired = design.design == "paired"
    filled = sensitivity_effect(worst_case_positives(ratings, found, paired), paired)
    bounds = filled.interval(confidence=confidence)
    listed.append(Alternative(
        "critical_sensitivity", WORST_CASE, "difference", finite(filled.difference), finite(bounds.low),
        finite(bounds.high), finite(filled.p_value),
    ))  # fmt: skip
    if paired:
        p = _mcnemar(found)
        listed.append(Alternative(
            "critical_sensitivity", "McNemar by patient (Obuchowski)", "difference", None, None, None,
            finite(p),
        ))  # fmt: skip
    return listed


def _rank_biserial(change: Floats) -> float:
    """Ranks of gains less ranks of losses, as a share of all (Kerby, Compr Psychol 2014;3)."""
    moved = change[change != 0]
    ranks = rankdata(np.abs(moved))
    return float((ranks * np.sign(moved)).sum() / ranks.sum()) if len(moved) else 0.0


def heterogeneity(
    means: Mapping[EndpointName, Table], found: Positives, ratings: Ratings, design: Design, level: float
) -> list[Heterogeneity]:
    """Of each endpoint, by reader and by site.

    Args:
        means: tables of the means.
        found: critical findings; those of a group are in the studies that it read.
        ratings: the data.
        design: the design.
        level: two-sided, of the bounds that decide; shared between the groups.
    """
    listed = []
    for by, names in (("reader", ratings.reader), ("site", ratings.site)):
        known = groups_of(names.tolist())
        if len(known) < 2:
            continue
        read = {name: set(ratings.study[names == name].tolist()) for name in known}
        for endpoint in MEANS:
            groups = tuple(
                _group(name, len(read[name]), means[endpoint].select(names == name)) for name in known
            )
            listed.append(Heterogeneity(endpoint, by, groups, *_cochran(groups)))
        groups = tuple(
            _sensitivity_group(name, len(read[name]), found.select(np.isin(found.study, sorted(read[name]))),
                               design, level / len(known))
            for name in known
        )  # fmt: skip
        listed.append(Heterogeneity("critical_sensitivity", by, groups, *_cochran(groups)))
    return listed


def _sensitivity_group(name: str, studies: int, found: Positives, design: Design, level: float) -> Group:
    paired = design.design == "paired"
    effect = sensitivity_effect(found, paired, tested=False)
    both = np.isfinite(found.current) & np.isfinite(found.challenger)
    arms = [arm[both if paired else np.isfinite(arm)] for arm in (found.current, found.challenger)]
    old, new = (int((arm == 0).sum()) for arm in arms)
    interval = effect.interval(confidence=0.95)
    width = interval.high - interval.low
    return Group(
        name=name,
        studies=studies,
        patients=effect.patients,
        units=effect.units,
        current=finite(effect.current),
        challenger=finite(effect.challenger),
        difference=finite(effect.difference),
        low=finite(interval.low),
        high=finite(interval.high),
        # Of the score interval, which has a width even where no draft differs.
        error=finite(width / (2 * float(norm.isf(0.025)))) if not effect.reason else None,
        missed=(old, new),
        findings=(len(arms[0]), len(arms[1])),
        harmed=not effect.reason and level > LEAST and effect.interval(confidence=1 - level).high < 0,
    )


def _group(name: str, studies: int, table: Table) -> Group:
    table = table.complete()
    if not table.both_arms():
        return Group(name, studies, 0, 0, None, None, None, None, None, None)
    weights = table.weights()
    effect = table.difference(by_reader=False)
    interval = effect.interval(0.95)
    return Group(
        name=name,
        studies=studies,
        patients=len(np.unique(table.patient)),
        units=len(np.unique(table.unit)) if table.paired else len(table.values),
        current=-math.fsum((weights * table.values)[weights < 0]),
        challenger=math.fsum((weights * table.values)[weights > 0]),
        difference=finite(effect.estimate),
        low=finite(interval.low),
        high=finite(interval.high),
        error=finite(effect.error) if not effect.reason else None,
    )


def _cochran(groups: tuple[Group, ...]) -> tuple[float | None, float | None]:
    known = [(item.difference, item.error) for item in groups if item.patients >= FEWEST]
    pairs = [(effect, error) for effect, error in known if effect is not None and error is not None]
    if len(pairs) < 2:
        return None, None
    effects, errors = np.array(pairs).T
    weights = 1 / errors**2
    q = float((weights * (effects - (weights * effects).sum() / weights.sum()) ** 2).sum())
    freedom = len(pairs) - 1
    return float(chi2.sf(q, freedom)), max(0.0, 1 - freedom / q) if q > 0 else 0.0


def _mcnemar(found: Positives) -> float:
    both = np.isfinite(found.challenger) & np.isfinite(found.current)
    names, index = np.unique(found.patient[both], return_inverse=True)
    new, old = found.challenger[both], found.current[both]
    one, first, second, none = (
        np.bincount(index, part, len(names))
        for part in (new * old, new * (1 - old), old * (1 - new), (1 - new) * (1 - old))
    )
    return clustered_mcnemar_test(one, first, second, none).p_value if len(names) else math.nan
