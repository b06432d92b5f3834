"""Whether the answer holds when it is asked another way, and for each reader and site."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import chi2

from harness.ab.design import Design, EndpointName
from harness.ab.effects import (
    MEANS,
    Positives,
    Table,
    groups_of,
    sensitivity_effect,
    worst_case,
    worst_case_positives,
)
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
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """The effect in the rows of one reader or site."""

    name: str
    patients: int
    units: int
    current: float | None
    challenger: float | None
    difference: float | None
    low: float | None
    high: float | None
    """Of a two-sided 95 % interval by patient, not adjusted for the number of groups."""
    error: float | None


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
    """Ranks and bootstrap of the means, the worst case of all, McNemar's test of sensitivity in pairs."""
    listed: list[Alternative] = []
    for endpoint in MEANS:
        whole = means[endpoint]
        table = whole.complete()
        if not table.both_arms():
            continue
        if table.paired:
            weights = table.weights()
            names, index = np.unique(table.patient, return_inverse=True)
            change = np.bincount(index, weights * table.values) * len(names)
            ranks = signed_rank_test(change.round(12), np.zeros(len(change)))
            listed.append(
                Alternative(
                    endpoint, "Wilcoxon signed rank, by patient", None, None, None, finite(ranks.p_value)
                )
            )
        else:
            above = rank_difference(table.values, table.challenger, table.patient,
                                    table.reader if len(np.unique(table.reader)) > 1 else None)  # fmt: skip
            listed.append(Alternative(
                endpoint, "Wilcoxon-Mann-Whitney, clustered", None, None, None,
                finite(above.test().p_value),
            ))  # fmt: skip
        drawn = two_way_bootstrap(
            table.values, table.weights(), table.patient, table.reader, confidence, seed=design.seed
        )
        listed.append(Alternative(
            endpoint, "Bootstrap by patient and reader", finite(drawn.estimate), finite(drawn.low),
            finite(drawn.high), None,
        ))  # fmt: skip
        worst = worst_case(endpoint, whole)
        bounds = worst.interval(confidence)
        listed.append(Alternative(
            endpoint, WORST_CASE, finite(worst.estimate), finite(bounds.low),
            finite(bounds.high), finite(worst.test().p_value),
        ))  # fmt: skip
    paired = design.design == "paired"
    filled = sensitivity_effect(worst_case_positives(ratings, found, paired), paired)
    bounds = filled.interval(confidence=confidence)
    listed.append(Alternative(
        "critical_sensitivity", WORST_CASE, finite(filled.difference), finite(bounds.low),
        finite(bounds.high), finite(filled.p_value),
    ))  # fmt: skip
    if paired:
        p = _mcnemar(found)
        listed.append(Alternative(
            "critical_sensitivity", "McNemar by patient (Obuchowski)", None, None, None, finite(p)
        ))  # fmt: skip
    return listed


def heterogeneity(means: Mapping[EndpointName, Table], ratings: Ratings) -> list[Heterogeneity]:
    """Of each mean, by reader and by site."""
    listed = []
    for by, names in (("reader", ratings.reader), ("site", ratings.site)):
        known = groups_of(names.tolist())
        if len(known) < 2:
            continue
        for endpoint in MEANS:
            groups = tuple(_group(name, means[endpoint].select(names == name)) for name in known)
            p, inconsistency = _cochran(groups)
            listed.append(Heterogeneity(endpoint, by, groups, p, inconsistency))
    return listed


def _group(name: str, table: Table) -> Group:
    table = table.complete()
    if not table.both_arms():
        return Group(name, 0, 0, None, None, None, None, None, None)
    weights = table.weights()
    effect = table.difference(by_reader=False)
    interval = effect.interval(0.95)
    return Group(
        name=name,
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
