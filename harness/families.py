"""Criteria over groups: the worst group, and the largest gap between two, error rates held by Holm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import permutations

from harness.estimates import Estimate, IntervalOf, end_of
from harness.inference import Interval, holm_step_down, square_and_add
from harness.status import GroupDecision, OneSided, Status, finite, holds, status_of
from harness.suite import Criterion


@dataclass(frozen=True, slots=True)
class Family:
    """What follows for a criterion over groups."""

    status: Status
    reason: str
    groups: tuple[GroupDecision, ...]
    """Every group of every slice, those that were not evaluated too."""
    deciding: GroupDecision | None
    """The evaluated group that is furthest from meeting the criterion."""


def decide_family(criterion: Criterion, estimates: Sequence[Estimate], confidence: float) -> Family:
    """Judges every group of the slices that the criterion is over.

    "worst": each group with enough trials is a hypothesis of its own, "this group is not above the
    threshold". "gap": each slice is one, "two of its groups differ by the threshold or more", shown
    to be wrong when the upper bound of every pair's difference lies below it (Newcombe's
    square-and-add of the two groups' intervals). Holm's procedure (Scand J Stat 1979;6:65-70) holds
    the error rate of all of them together at 1 - confidence.
    """
    items: list[Estimate | _Gap] = []
    groups: list[GroupDecision] = []
    for name in criterion.over:
        own = [
            item
            for item in estimates
            if (item.measure, item.value) == (criterion.measure, criterion.value)
            and (item.slice or "").startswith(f"{name}=")
        ]
        enough = [item for item in own if trials_of(item) >= (criterion.minimum_trials or 1)]
        groups += [_too_few(item, criterion) for item in own if item not in enough]
        if not own:
            groups.append(_unknown(name, f"no study has a {name}"))
        elif criterion.statistic == "worst":
            items += enough
        elif len(enough) < 2:
            groups.append(_unknown(name, f"fewer than two groups of {name} are large enough to compare"))
        else:
            items.append(_Gap.of(name, enough))
    tests = [partial(_shown, criterion, item) for item in items]
    judged = [
        _judge(criterion, item, level)
        for item, (_, level) in zip(items, holm_step_down(tests, 1 - confidence), strict=True)
    ]
    groups = sorted([*judged, *groups], key=lambda group: group.group)
    status = Status.whole(group.status for group in groups)
    return Family(status, _reason(criterion, groups), tuple(groups), _furthest(criterion, judged))


def trials_of(item: Estimate) -> int:
    """What a group's size is measured in: its trials, or its studies where it has none."""
    return item.n_studies if item.denominator is None else item.denominator


@dataclass(frozen=True, slots=True)
class _Gap:
    """The largest difference of a value between two groups of a slice."""

    slice: str
    estimate: float
    low: float
    high: float
    n_studies: int
    n_patients: int
    reason: str
    members: tuple[Estimate, ...] = field(repr=False)
    numerator: None = None
    denominator: None = None

    @classmethod
    def of(cls, name: str, members: Sequence[Estimate]) -> _Gap:
        values = [item.estimate for item in members]
        reason = next((item.reason for item in members if item.reason), "")
        # Of groups that are alike, two different ones.
        order = sorted(range(len(members)), key=lambda place: values[place])
        least, most = members[order[0]], members[order[-1]]
        both = square_and_add(most.interval, least.interval, most.confidence)
        return cls(
            slice=f"{name}: {_group(most)} - {_group(least)}",
            estimate=math.nan if reason else most.estimate - least.estimate,
            low=both.low if both.low > 0 or math.isnan(both.low) else 0.0,
            high=both.high,
            n_studies=sum(item.n_studies for item in members),
            n_patients=sum(item.n_patients for item in members),
            reason=reason,
            members=tuple(members),
        )

    def bound(self, side: OneSided, confidence: float) -> float:
        """The largest bound of any pair of groups: that of the gap itself."""
        return _largest([item.interval for item in self.members], side, confidence)

    def best_bound(self, side: OneSided, confidence: float) -> float:
        """The bound if no group had made any error, and so no two differed."""
        perfect = [item.perfect for item in self.members if item.perfect is not None]
        if len(perfect) < len(self.members):
            return math.nan
        return _largest([partial(_all_succeed, one) for one in perfect], side, confidence)


def _largest(intervals: Sequence[IntervalOf], side: OneSided, confidence: float) -> float:
    cached = [cache(interval) for interval in intervals]
    bounds = [
        end_of(square_and_add(one, other, confidence, side), side) for one, other in permutations(cached, 2)
    ]
    return math.nan if any(map(math.isnan, bounds)) else max(bounds)


def _all_succeed(perfect: IntervalOf, confidence: float, side: OneSided) -> Interval:
    lower = perfect(confidence=confidence, side="lower")
    return lower if side == "lower" else replace(lower, low=0.0, high=1.0, side=side)


def _group(item: Estimate) -> str:
    return (item.slice or "").partition("=")[2]


def _shown(criterion: Criterion, item: Estimate | _Gap, confidence: float) -> bool:
    return holds(criterion, item.bound(criterion.side, confidence))


def _judge(criterion: Criterion, item: Estimate | _Gap, confidence: float) -> GroupDecision:
    status, reason = status_of(criterion, item, confidence)
    return GroupDecision(
        group=item.slice or "",
        status=status,
        estimate=finite(item.estimate),
        low=finite(item.low),
        high=finite(item.high),
        bound=finite(item.bound(criterion.side, confidence)),
        confidence=confidence,
        numerator=item.numerator,
        denominator=item.denominator,
        n_studies=item.n_studies,
        n_patients=item.n_patients,
        reason=reason,
    )


def _too_few(item: Estimate, criterion: Criterion) -> GroupDecision:
    what = "studies" if item.denominator is None else "trials"
    return GroupDecision(
        group=item.slice or "",
        status=Status.NOT_EVALUATED,
        estimate=finite(item.estimate),
        low=finite(item.low),
        high=finite(item.high),
        bound=None,
        confidence=None,
        numerator=item.numerator,
        denominator=item.denominator,
        n_studies=item.n_studies,
        n_patients=item.n_patients,
        reason=f"{trials_of(item)} {what}, fewer than the minimum of {criterion.minimum_trials}",
    )


def _unknown(name: str, reason: str) -> GroupDecision:
    return GroupDecision(name, Status.NOT_EVALUATED, None, None, None, None, None, None, None, 0, 0, reason)


def _furthest(criterion: Criterion, judged: Sequence[GroupDecision]) -> GroupDecision | None:
    order = {Status.FAIL: 0, Status.NOT_EVALUATED: 1, Status.PASS: 2}
    sign = 1 if criterion.side == "lower" else -1

    def distance(group: GroupDecision) -> tuple[int, float]:
        return order[group.status], -math.inf if group.bound is None else sign * group.bound

    return min(judged, key=distance, default=None)


def _short(group: GroupDecision) -> str:
    """The group and what it rests on; why it was judged so stands with the group."""
    if group.denominator is not None:
        return f"{group.group} ({group.numerator:,} / {group.denominator:,})"
    return group.group if group.estimate is None else f"{group.group} ({group.estimate:.4f})"


def _reason(criterion: Criterion, groups: Sequence[GroupDecision]) -> str:
    """Names the groups that fail, and those that could not be evaluated."""
    named = []
    for status, words in ((Status.FAIL, "below the threshold" if criterion.side == "lower" else "too high"),
                          (Status.NOT_EVALUATED, "not evaluated")):  # fmt: skip
        found = [_short(group) for group in groups if group.status is status]
        if found:
            named.append(f"{words}: {', '.join(found)}")
    return "; ".join(named) or f"all {len(groups)} met it, error rates held together (Holm)"
