"""What the challenger changes in each endpoint: a difference, its intervals and its test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.ab.design import HIGHER_IS_BETTER, Design, EndpointName
from harness.ab.edits import edit_distances
from harness.ab.ratings import Ratings
from harness.inference import Interval, clustered_paired_difference_interval, square_and_add
from harness.inference.clustered import clustered_proportion_interval
from harness.inference.clustered_differences import OneBound
from harness.inference.two_way import EstimatedDifference, arm_weights, pair_weights, two_way_difference
from harness.report import Finding

Floats = NDArray[np.float64]

MEANS: Final[tuple[EndpointName, ...]] = ("rating", "edit_distance", "turnaround")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Values of one endpoint, a row each."""

    values: Floats
    """Shape (n,), as all that follow; NaN where missing."""
    challenger: NDArray[np.bool_]
    patient: NDArray[np.str_]
    reader: NDArray[np.str_]
    unit: NDArray[np.str_]
    """The pair of a row; without meaning in a randomised design."""
    paired: bool

    def select(self, rows: NDArray[np.bool_]) -> Table:
        """Only these rows."""
        return Table(
            self.values[rows], self.challenger[rows], self.patient[rows], self.reader[rows], self.unit[rows],
            self.paired,
        )  # fmt: skip

    def complete(self) -> Table:
        """Rows that have a value and, in a paired design, another one on the other side."""
        there = self.select(np.isfinite(self.values))
        if not self.paired:
            return there
        both = set(there.unit[there.challenger]) & set(there.unit[~there.challenger])
        return there.select(np.isin(there.unit, sorted(both)))

    def weights(self) -> Floats:
        """Of a complete table: above 0 for the challenger, as `two_way_difference` takes them."""
        if self.paired:
            return pair_weights(self.challenger, self.unit, self.patient)
        return arm_weights(self.challenger)

    def both_arms(self) -> bool:
        """Whether either arm has a row."""
        return bool(self.challenger.any() and not self.challenger.all())

    def difference(self, by_reader: bool = True) -> EstimatedDifference:
        """Challenger minus current, of a complete table."""
        if not self.both_arms():
            return EstimatedDifference(math.nan, math.nan, math.nan, "not made", "an arm without values")
        readers = self.reader if by_reader and len(np.unique(self.reader)) > 1 else None
        return two_way_difference(self.values, self.weights(), self.patient, readers, self.paired)


@dataclass(frozen=True, slots=True)
class Effect:
    """One endpoint: the challenger's value against the current one's."""

    endpoint: EndpointName
    current: float
    challenger: float
    difference: float
    """Challenger minus current."""
    p_value: float
    """Two-sided, unadjusted; NaN where undefined."""
    method: str
    patients: int
    units: int
    """Pairs, or rows of a randomised design; critical findings for sensitivity."""
    reason: str
    """Why it is undefined; empty where it is not."""
    interval: OneBound = field(repr=False)
    silent: OneBound | None = field(default=None, repr=False)
    """The interval if nothing had told the models apart: what so few findings can show at best."""

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if HIGHER_IS_BETTER[self.endpoint] else -1


def tables(ratings: Ratings, design: Design) -> dict[EndpointName, Table]:
    """The rows of the three means, missing values included."""
    values: dict[EndpointName, Floats] = {
        "rating": ratings.rating,
        "edit_distance": edit_distances(ratings.draft, ratings.final),
        "turnaround": ratings.turnaround,
    }
    parts = [ratings.study] if design.pairs == "study" else [ratings.study, ratings.reader]
    unit = np.array(["\x1f".join(names) for names in zip(*parts, strict=True)])
    paired = design.design == "paired"
    return {
        name: Table(values[name], ratings.challenger, ratings.patient, ratings.reader, unit, paired)
        for name in MEANS
    }


def mean_effect(endpoint: EndpointName, table: Table) -> Effect:
    """The effect on a mean, of all rows that can be used."""
    table = table.complete()
    found = table.difference()
    reason = found.reason
    if len(table.values) and np.ptp(table.values) == 0:
        reason = f"every value is {table.values[0]:g}: nothing was told apart; was the column filled in?"
    found = replace(found, reason=reason)
    test = found.test()
    current = challenger = math.nan
    if table.both_arms():
        weights = table.weights()
        challenger = math.fsum((weights * table.values)[weights > 0])
        current = -math.fsum((weights * table.values)[weights < 0])
    return Effect(
        endpoint=endpoint,
        current=current,
        challenger=challenger,
        difference=found.estimate,
        p_value=test.p_value,
        method=found.method,
        patients=len(np.unique(table.patient)),
        units=len(np.unique(table.unit)) if table.paired else len(table.values),
        reason=reason,
        interval=found.interval,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Positives:
    """Critical findings that adjudication says are there: a row each, and whether the drafts report them."""

    study: NDArray[np.str_]
    patient: NDArray[np.str_]
    finding: tuple[Finding, ...]
    challenger: Floats
    """1 reported, 0 missed, NaN: not of this arm, or not adjudicated."""
    current: Floats

    def of(self, finding: Finding) -> Positives:
        """Those of one finding."""
        return self.select(np.array([item is finding for item in self.finding], dtype=bool))

    def select(self, rows: NDArray[np.bool_]) -> Positives:
        """Only these rows."""
        kept = tuple(item for item, keep in zip(self.finding, rows, strict=True) if keep)
        return Positives(
            self.study[rows], self.patient[rows], kept, self.challenger[rows], self.current[rows]
        )


def positives(ratings: Ratings) -> Positives:
    """Every critical finding once for its study, however many readers rated it."""
    owner = dict(zip(ratings.study.tolist(), ratings.patient.tolist(), strict=True))
    present: dict[str, frozenset[Finding]] = {}
    reported: dict[tuple[str, bool], frozenset[Finding]] = {}
    for place, study in enumerate(ratings.study.tolist()):
        there, told = ratings.present[place], ratings.reported[place]
        if there is not None and told is not None:
            present[study] = there
            reported[study, bool(ratings.challenger[place])] = told
    rows = [(study, finding) for study in sorted(present) for finding in sorted(present[study])]

    def arm(challenger: bool) -> Floats:
        sets = [(reported.get((study, challenger)), finding) for study, finding in rows]
        found = [math.nan if told is None else float(finding in told) for told, finding in sets]
        return np.array(found, dtype=np.float64)

    studies = [study for study, _ in rows]
    return Positives(
        np.array(studies, dtype=str), np.array([owner[study] for study in studies], dtype=str),
        tuple(finding for _, finding in rows), arm(True), arm(False),
    )  # fmt: skip


def sensitivity_effect(found: Positives, paired: bool, tested: bool = True) -> Effect:
    """The effect on the pooled sensitivity, by patient; p, if asked for, by inversion of the interval."""
    both = np.isfinite(found.challenger) & np.isfinite(found.current)
    counts = [_by_patient(found, arm, both if paired else np.isfinite(arm))
              for arm in (found.challenger, found.current)]  # fmt: skip
    (hits, trials), (old_hits, old_trials) = counts
    challenger, current = _ratio(hits.sum(), trials.sum()), _ratio(old_hits.sum(), old_trials.sum())
    reason = ""
    if not trials.sum() or not old_trials.sum():
        reason = "no adjudicated critical finding" + ("" if paired else " in an arm")
    interval: OneBound
    if paired:
        won = _by_patient(found, found.challenger * (1 - found.current), both)[0]
        lost = _by_patient(found, found.current * (1 - found.challenger), both)[0]
        interval = partial(clustered_paired_difference_interval, won, lost, trials)
        silent = partial(clustered_paired_difference_interval, 0 * won, 0 * lost, trials)
    else:
        interval = partial(
            square_and_add,
            partial(clustered_proportion_interval, hits, trials),
            partial(clustered_proportion_interval, old_hits, old_trials),
        )
        silent = partial(
            square_and_add,
            partial(clustered_proportion_interval, trials, trials),
            partial(clustered_proportion_interval, old_hits, old_trials),
        )
    difference = challenger - current
    rows = both if paired else np.isfinite(found.challenger) | np.isfinite(found.current)
    return Effect(
        endpoint="critical_sensitivity",
        current=current,
        challenger=challenger,
        difference=difference,
        p_value=math.nan if reason or not tested else inverted_p_value(interval, difference),
        method=interval().method if not reason else "not made",
        patients=len(np.unique(found.patient[rows])),
        units=int(rows.sum()),
        reason=reason,
        interval=interval,
        silent=silent,
    )


def inverted_p_value(interval: OneBound, estimate: float) -> float:
    """The two-sided p that goes with an interval: 1 less the highest confidence at which it excludes 0."""
    if estimate == 0:
        return 1.0

    def excludes(log_alpha: float) -> bool:
        found: Interval = interval(confidence=1 - 10**log_alpha)
        return found.low > 0 or found.high < 0

    low, high = -12.0, -1e-4  # nearer to 1 an interval is too narrow to be found
    if not excludes(high):
        return 1.0
    for _ in range(36):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes(middle) else (middle, high)
    return float(10**high)


def effects(means: Mapping[EndpointName, Table], found: Positives) -> dict[EndpointName, Effect]:
    """All four, from `tables` and `positives`."""
    paired = all(table.paired for table in means.values())
    return {name: mean_effect(name, table) for name, table in means.items()} | {
        "critical_sensitivity": sensitivity_effect(found, paired)
    }


def worst_case(endpoint: EndpointName, table: Table) -> EstimatedDifference:
    """The difference if every missing value spoke against the challenger.

    Missing ratings are 1 for the challenger and 5 for the current model, missing edit distances 1 and 0,
    missing turnarounds the longest and the shortest seen; a pair without one side has it filled in.
    """
    seen = table.values[np.isfinite(table.values)]
    if not len(seen):
        return table.complete().difference()
    bad, good = {
        "rating": (1.0, 5.0),
        "edit_distance": (1.0, 0.0),
        "turnaround": (float(seen.max()), float(seen.min())),
    }[endpoint]
    filled = np.where(np.isfinite(table.values), table.values, np.where(table.challenger, bad, good))
    table = replace(table, values=filled)
    if table.paired:
        lone = [set(table.unit[table.challenger]), set(table.unit[~table.challenger])]
        for challenger, units in ((False, lone[0] - lone[1]), (True, lone[1] - lone[0])):
            rows = np.isin(table.unit, sorted(units))
            places = np.flatnonzero(rows)
            _, once = np.unique(table.unit[places], return_index=True)
            table = _with(table, places[once], challenger, bad if challenger else good)
    return table.difference()


def _with(table: Table, places: NDArray[np.intp], challenger: bool, value: float) -> Table:
    """The table, and these rows once more on the other side."""
    return Table(
        np.append(table.values, np.full(len(places), value)),
        np.append(table.challenger, np.full(len(places), challenger)),
        np.append(table.patient, table.patient[places]),
        np.append(table.reader, table.reader[places]),
        np.append(table.unit, table.unit[places]),
        table.paired,
    )


def _by_patient(found: Positives, hits: Floats, rows: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Hits and trials of each patient, shape (patients,) both."""
    names, index = np.unique(found.patient, return_inverse=True)
    return (
        np.bincount(index[rows], hits[rows], len(names)).astype(np.float64),
        np.bincount(index[rows], minlength=len(names)).astype(np.float64),
    )


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan


def worst_case_positives(ratings: Ratings, found: Positives, paired: bool) -> Positives:
    """The critical findings if whatever was not adjudicated spoke against the challenger.

    A study without adjudication holds one finding, which the challenger missed and the current model
    reported; so does a draft that is not there report nothing, or everything.
    """
    challenger, current = found.challenger, found.current
    if paired:
        challenger = np.where(np.isnan(challenger), 0.0, challenger)
        current = np.where(np.isnan(current), 1.0, current)
    known = {study for study, there in zip(ratings.study, ratings.present, strict=True) if there is not None}
    arm_of = dict(zip(ratings.study.tolist(), ratings.challenger.tolist(), strict=True))
    owner = dict(zip(ratings.study.tolist(), ratings.patient.tolist(), strict=True))
    lost = sorted(set(ratings.study.tolist()) - known)
    new = [0.0 if paired or arm_of[study] else math.nan for study in lost]
    old = [1.0 if paired or not arm_of[study] else math.nan for study in lost]
    return Positives(
        np.append(found.study, np.array(lost, dtype=str)),
        np.append(found.patient, np.array([owner[study] for study in lost], dtype=str)),
        found.finding + (Finding.NO_FINDING,) * len(lost),
        np.append(challenger, new),
        np.append(current, old),
    )


def groups_of(names: Sequence[str]) -> list[str]:
    """Sorted names that are not blank."""
    return sorted({name for name in names if name})
