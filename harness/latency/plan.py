"""Before any study is timed: which limits so many studies can decide, and how long that takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.errors import CohortError
from harness.latency.decide import times_needed
from harness.latency.schedule import Stage, stages_of, warm_up_places
from harness.latency.suite import CLOSED, QUANTILES, LatencyCriterion, LatencySuite
from harness.status import Status


@dataclass(frozen=True, slots=True)
class TimesNeed:
    """One criterion, and the times that there will be for it."""

    id: str
    told: str
    status: Status
    """PASS where a candidate that is fast enough can be shown to be."""
    times: int
    distinct: int
    """Of different studies."""
    needed: int
    reason: str


def plan_latency(suite: LatencySuite, studies: int) -> list[TimesNeed]:
    """What each criterion has on a cohort of so many studies."""
    there = min(studies, suite.cohort.studies or studies)
    if there < 1:
        raise CohortError("the cohort holds no study; nothing can be timed")
    return [_need(criterion, suite, there) for criterion in suite.criteria]


def needed_times(criterion: LatencyCriterion, suite: LatencySuite) -> int:
    """How many independent times a criterion needs if all of them are as good as can be."""
    if criterion.value == "maximum":
        return times_needed(1 - criterion.share, suite.confidence)
    if criterion.value != "throughput":
        return times_needed(QUANTILES[criterion.value], suite.confidence)
    # The band of the mean alone may take no more than the time that a study has.
    most = suite.execution.timeout_s + suite.execution.start_timeout_s
    share = min(1.0, 3600 / criterion.threshold / most)
    return math.ceil(math.log(1 / (1 - suite.confidence)) / (2 * share**2))


def _need(criterion: LatencyCriterion, suite: LatencySuite, there: int) -> TimesNeed:
    needed = needed_times(criterion, suite)
    stages = stages_of(suite)
    stage = next(item for item in stages if item.rate_per_hour == criterion.at or criterion.at == item.name)
    times = stage.studies
    asked = _places(stage, there)
    before = set(warm_up_places(suite, there)).union(
        *(_places(other, there) for other in stages if _may_come_before(other, stage))
    )
    distinct = len(asked - before)
    reason = ""
    if distinct < needed:
        few = "the suite asks for too few" if times < needed else "the cohort has too few studies"
        reason = f"{few}: {needed:,} times of different studies are needed, and there will be {distinct:,}"
    elif distinct < times:
        reason = (
            f"the cohort has too few studies: {times - distinct:,} of {times:,} requests would repeat one "
            f"asked before, and {there:,} studies are there; ask for fewer, or for "
            f"{suite.warm_up + sum(item.studies for item in stages):,} in the cohort"
        )
    elif criterion.at != CLOSED:
        load = 1 - math.sqrt(needed / distinct)
        reason = (
            f"studies that wait behind one another count less; it takes a load below some {load:.0%}, "
            f"{load * 3600 / float(criterion.at):.3g} s a study"
        )
    status = Status.NOT_EVALUATED if distinct < max(needed, times) else Status.PASS
    return TimesNeed(criterion.id, criterion.told, status, times, distinct, needed, reason)


def _places(stage: Stage, there: int) -> set[int]:
    return {stage.study(number, there) for number in range(stage.studies)}


def _may_come_before(other: Stage, stage: Stage) -> bool:
    """Steps are run in the order of their rates; that of a `load` is not known beforehand."""
    if other is stage or stage.name == CLOSED:
        return False
    if other.rate_per_hour is not None and stage.rate_per_hour is not None:
        return other.rate_per_hour < stage.rate_per_hour
    return True


def wants(suite: LatencySuite) -> Iterator[str]:
    """What a suite asks, in lines."""
    target = suite.target
    parts = [target.device]
    if target.memory_gb is not None:
        parts.append(f"{target.memory_gb:g} GB")
    if target.driver is not None:
        parts.append(f"driver {target.driver} or newer")
    if target.power_limit_w is not None:
        parts.append(f"power limit {target.power_limit_w:g} W")
    yield f"Target   {', '.join(parts)}; on any other device nothing is decided"
    yield f"Warm-up  {suite.warm_up:,} studies, logged and not counted"
    yield f"Closed   {suite.closed.studies:,} studies, one at a time"
    hours = 0.0
    for step in suite.steps:
        if step.rate_per_hour is not None:
            lasts = step.studies / step.rate_per_hour
            hours += lasts
            yield f"Open     {step.studies:,} studies at {step.rate_per_hour:g} an hour: {_hours(lasts)}"
        else:
            yield f"Open     {step.studies:,} studies at {step.load:g} of the capacity that is measured"
    if hours:
        yield f"Takes    {_hours(hours)} for the stated rates; the rest depends on the candidate"
    for item in suite.criteria:
        sign = "≥" if item.value == "throughput" else "<"
        need = f"needs {needed_times(item, suite):,} times of different studies"
        yield f"  {item.id:26} {item.told:22} {sign} {item.threshold:<6g} at {suite.confidence:.0%}  {need}"


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"
