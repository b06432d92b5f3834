"""Whether the data are those of the experiment that was declared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.stats import binomtest, fisher_exact

from harness.ab.design import ENDPOINTS, Design, EndpointName
from harness.ab.effects import Table
from harness.ab.ratings import UNSURE, Ratings
from harness.comparison.arms import MISMATCH, arm_of
from harness.status import Status

TOLD_APART: Final = 0.99
"""Two-sided confidence with which it must be shown that readers know the arm, to count against them."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    name: str
    status: Status
    """FAIL: the data break the design. NOT EVALUATED: it was declared and could not be made."""
    sentence: str
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """How much of an endpoint is missing in an arm: of pairs, rows or (for sensitivity) studies."""

    endpoint: EndpointName
    arm: str
    missing: int
    expected: int

    @property
    def share(self) -> float:
        """Missing of those expected."""
        return self.missing / self.expected if self.expected else math.nan


def sample_ratio(ratings: Ratings, design: Design) -> list[Check]:
    """As many patients in each arm as were to be dealt out, and each in the arm of its hash."""
    if design.assignment is None:
        return []
    arms = {name: set(ratings.patient[ratings.challenger == (name == "challenger")].tolist())
            for name in ("current", "challenger")}  # fmt: skip
    strayed = sum(
        arm_of(patient, design.assignment) != name for name, them in arms.items() for patient in them
    )
    new, total = len(arms["challenger"]), sum(map(len, arms.values()))
    p = float(binomtest(new, total, design.assignment.share).pvalue)
    counts = (
        f"{new:,} of {total:,} patients had the challenger's drafts; {design.assignment.share:.0%} were to"
    )
    dealt = Check(
        "Patients were dealt out as declared",
        Status.FAIL if strayed else Status.PASS,
        f"{strayed:,} of {total:,} patients are not in the arm that share and salt give"
        + ("; are the patients of the data those that were assigned?" if strayed else ""),
    )
    ratio = Check(
        "As many in each arm as planned",
        Status.FAIL if p < MISMATCH else Status.PASS,
        f"{counts} (p = {p:.2g}; below {MISMATCH:g} something sorted patients)",
        p,
    )
    return [ratio, dealt]


def reader_check(ratings: Ratings) -> Check:
    """More than one reader: of one it cannot be told what is the draft's doing and what is theirs."""
    readers = len(np.unique(ratings.reader))
    return Check(
        "More than one reader took part",
        Status.PASS if readers > 1 else Status.FAIL,
        f"{readers:,} reader{'s' if readers > 1 else ': nothing is known of any other'}",
    )


def missing_values(ratings: Ratings, design: Design, means: Mapping[EndpointName, Table]) -> list[Missing]:
    """For each endpoint and arm."""
    found = []
    adjudicated = np.array([there is not None for there in ratings.present], dtype=bool)
    for endpoint in ENDPOINTS:
        if endpoint == "critical_sensitivity":
            unit, there = ratings.study, adjudicated
        elif design.design == "paired":
            unit, there = means[endpoint].unit, np.isfinite(means[endpoint].values)
        else:
            unit = np.arange(len(ratings)).astype(str)
            there = np.isfinite(means[endpoint].values)
        for arm, challenger in ((design.arms.current, False), (design.arms.challenger, True)):
            own = ratings.challenger == challenger
            expected = set((unit if design.design == "paired" else unit[own]).tolist())
            found.append(
                Missing(endpoint, arm, len(expected - set(unit[own & there].tolist())), len(expected))
            )
    return found


def missing_check(missing: list[Missing], design: Design) -> list[Check]:
    """No more missing than declared, and no more in one arm than in the other."""
    checks = []
    for endpoint in ENDPOINTS:
        arms = [item for item in missing if item.endpoint == endpoint]
        table = [[item.missing, item.expected - item.missing] for item in arms]
        p = float(fisher_exact(np.array(table)).pvalue)
        most = max(arms, key=lambda item: item.share)
        label = endpoint.replace("_", " ")
        words = " and ".join(f"{item.missing:,} of {item.expected:,} ({item.arm})" for item in arms)
        problem = ""
        if most.share > design.missing_at_most:
            problem = f"; more than {design.missing_at_most:.0%} in an arm"
        elif p < MISMATCH:
            problem = f"; one arm lacks more than the other (p = {p:.2g})"
        checks.append(
            Check(f"Missing: {label}", Status.FAIL if problem else Status.PASS, f"{words}{problem}", p)
        )
    return checks


def blinding(ratings: Ratings, design: Design, like: Table) -> Check:
    """Whether readers could tell whose draft they read.

    How much more often a draft is taken for the challenger's when it is one than when it is not: the
    mean of both arms' blinding indices of Bang, Ni & Davis, Control Clin Trials 2004;25:143-156. 0 is
    chance, whatever readers tend to guess; 1 is knowing, and so is -1: who is always wrong tells the
    models apart too. Who is unsure counts half. By patient, as the endpoints are. Guesses that were not
    asked for are no evidence: more than `missing_at_most` of them leave the check unmade.

    Args:
        ratings: the data.
        design: the design.
        like: the table of an endpoint, for who is paired with whom.
    """
    name = "Readers could not tell the models apart"
    if not design.blinded:
        return Check(name, Status.PASS, "the design is not blinded; ratings may follow what readers expect")
    made = ratings.guess >= 0
    values = np.where(ratings.guess == UNSURE, 0.5, ratings.guess)
    table = replace(like, values=np.where(made, values, math.nan)).complete()
    sure = bool((made & (ratings.guess != UNSURE)).any())
    if not ratings.guessed or not sure or not table.both_arms():
        return Check(
            name, Status.NOT_EVALUATED,
            f"the design says blinded, but column {design.columns.arm_guess} holds no guesses to check it; "
            "ask readers which model they think it was, or declare blinded: false",
        )  # fmt: skip
    found = table.difference(by_reader=False)
    ends = found.interval(TOLD_APART)
    told = found.estimate != 0 if found.reason else ends.low > 0 or ends.high < 0
    share = (1 + found.estimate) / 2
    sentence = (
        f"of {len(table.values):,} guesses {share:.0%} were right, each model counting half, where 50% is "
        f"chance (blinding index {round(found.estimate, 2) + 0:.2f}; {int((~made).sum()):,} of "
        f"{len(made):,} without a guess)"
    )
    if told and found.estimate < 0:
        sentence += "; who is so often wrong tells them apart too: are the arms exchanged in the column?"
    lacking = max(float((~made)[ratings.challenger == arm].mean()) for arm in (True, False))
    if lacking > design.missing_at_most and (found.reason or not told):
        sentence += f"; {lacking:.0%} without one in an arm are too many to tell: ask every reader each time"
        return Check(name, Status.NOT_EVALUATED, sentence)
    return Check(name, Status.FAIL if told else Status.PASS, sentence)
