"""PASS, FAIL or NOT EVALUATED for each limit, from times and from the device that made them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.inference import Interval, bounded_mean_interval
from harness.latency.samples import StageTimes, Times
from harness.latency.suite import CLOSED, QUANTILES, LatencyCriterion, LatencySuite
from harness.status import Status, finite
from harness.verdict import Decision, Verdict


@dataclass(frozen=True, slots=True)
class Found:
    """What one criterion rests on."""

    status: Status
    reason: str
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    bound: float = math.nan
    studies: int = 0
    method: str = ""


def decide(suite: LatencySuite, times: Times, mismatches: Sequence[str]) -> Verdict:
    """The verdict on a finished run.

    Times of another device than the target say nothing of it: no criterion is then evaluated, and no
    value stands beside one.

    Args:
        suite: limits and confidence.
        times: of the run.
        mismatches: in what the device was not the target, in any session.
    """
    reasons = []
    if mismatches:
        target = suite.target.device
        reasons.append(f"The times are not those of the {target} asked for: {'; '.join(mismatches)}.")
    decisions = []
    for criterion in suite.criteria:
        found = find(criterion, times, suite)
        if mismatches:
            reason = f"not measured on the {suite.target.device} asked for: {'; '.join(mismatches)}"
            found = Found(Status.NOT_EVALUATED, reason, studies=found.studies, method=found.method)
        decisions.append(_decision(criterion, found, suite))
    status = Status.whole([*(item.status for item in decisions), *(Status.NOT_EVALUATED for _ in reasons)])
    return Verdict(status, tuple(decisions), tuple(reasons))


def find(criterion: LatencyCriterion, times: Times, suite: LatencySuite) -> Found:
    """One criterion on the times alone, whatever device made them."""
    stage = times.at(criterion.at)
    if stage is None:
        reached = [item.rate_per_hour for item in times.stages if item.rate_per_hour is not None]
        told = f"{criterion.at:g} studies an hour were not reached: {max(reached):.4g} saturated the device"
        return Found(Status.FAIL, told)
    if criterion.value == "throughput":
        found = _throughput(criterion, stage, suite)
    elif criterion.value == "maximum":
        found = _maximum(criterion, stage, suite.confidence)
    else:
        found = _quantile(criterion, stage, suite.confidence)
    if stage.repeats and found.status is Status.PASS:  # an answer that is remembered takes no time
        reason = (
            f"{stage.repeats:,} of {len(stage.asked):,} requests repeat studies asked before, whose answers "
            f"may be remembered; it takes different ones ({found.reason})"
        )
        found = replace(found, status=Status.NOT_EVALUATED, reason=reason)
    return replace(found, reason=found.reason + _interrupted(stage, len(times.sessions)))


def _interrupted(stage: StageTimes, sessions: int) -> str:
    if sessions < 2:
        return ""
    told = f"; the run was interrupted {_times(sessions - 1)}"
    if stage.attempts > 1:
        told += f", this stage was begun {_times(stage.attempts)}, of each request the worst attempt counts"
    if stage.lost:
        told += f", {stage.lost:,} that had arrived without a known outcome count as without a report"
    return told


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _quantile(criterion: LatencyCriterion, stage: StageTimes, confidence: float) -> Found:
    q, limit = QUANTILES[criterion.value], criterion.threshold
    upper = stage.quantile(q, confidence, "upper")
    both = stage.quantile(q, confidence, "two-sided")
    told = f"upper {confidence:.4g} bound of {criterion.value}"
    if upper.reason:  # no bound on so few: it may still be plain that the limit is not kept
        lower = stage.quantile(q, confidence, "lower")
        if lower.low >= limit:
            status, reason = Status.FAIL, f"even the lower bound, {_seconds(lower.low)}, is not < {limit:g} s"
        else:
            status, reason = Status.NOT_EVALUATED, f"too few: {upper.reason}"
    elif upper.high < limit:
        status, reason = Status.PASS, f"{told}, {_seconds(upper.high)}, is < {limit:g} s"
    else:
        status, reason = Status.FAIL, f"{told}, {_seconds(upper.high)}, is not < {limit:g} s"
    return _found(status, reason, both, upper.high, stage)


def _maximum(criterion: LatencyCriterion, stage: StageTimes, confidence: float) -> Found:
    limit, needed = criterion.threshold, times_needed(1 - criterion.share, confidence)
    latencies = stage.latencies
    most = float(latencies.max())
    over, silent = int((latencies >= limit).sum()), int(np.isinf(latencies).sum())
    n, worth = len(latencies), math.floor(stage.worth + 1e-9)
    if over:
        without = f", {silent} of them without a report" if silent else ""
        status, reason = Status.FAIL, f"{over} of {n} took {limit:g} s or longer{without}"
    elif worth < needed:
        status = Status.NOT_EVALUATED
        reason = (
            f"too few: none of {n} (worth {worth}) took {limit:g} s; to show that fewer than "
            f"{criterion.share:g} of all studies do, {needed} are needed"
        )
    else:
        reason = (
            f"the slowest of {n} took {_seconds(most)}, < {limit:g} s: at {confidence:.4g}, fewer than "
            f"{criterion.share:.2%} of all studies take {limit:g} s or longer"
        )
        status = Status.PASS
    return Found(status, reason, most, math.nan, math.nan, most, n, "maximum, order statistics")


def _throughput(criterion: LatencyCriterion, stage: StageTimes, suite: LatencySuite) -> Found:
    """Studies an hour of a busy device, from the mean time for which a study occupies it.

    A study without a report counts with the time limit at least, and with the start of a new process
    where one was needed; no study can count with more than both limits together.
    """
    execution, wanted = suite.execution, criterion.threshold
    occupied = [
        item.occupied_s if item.ok else max(item.occupied_s, execution.timeout_s) for item in stage.asked
    ]
    most = max(execution.timeout_s + execution.start_timeout_s, *occupied)
    confidence, worth = suite.confidence, max(1.0, stage.worth)
    upper = bounded_mean_interval(occupied, most, confidence, "upper", worth).high
    both = bounded_mean_interval(occupied, most, confidence, worth=worth)
    bound = 3600 / upper
    words = f"lower {confidence:.4g} bound of studies an hour, {bound:.4g},"
    perfect = bounded_mean_interval(np.zeros(len(occupied)), most, confidence, "upper", worth).high
    if bound >= wanted:
        status, reason = Status.PASS, f"{words} is ≥ {wanted:g}"
    else:
        lower = bounded_mean_interval(occupied, most, confidence, "lower", worth).low
        status, reason = Status.FAIL, f"{words} is not ≥ {wanted:g}"
        if 3600 / perfect < wanted and not (lower > 0 and 3600 / lower < wanted):
            status = Status.NOT_EVALUATED
            reason = f"too few: even a perfect result could not reach ≥ {wanted:g} ({reason})"
    rates = Interval(
        3600 / both.high, 3600 / both.low if both.low else math.inf, 3600 / both.estimate, confidence,
        "two-sided", f"mean under a ceiling of {most:g} s, Anderson",
    )  # fmt: skip
    return _found(status, reason, rates, bound, stage)


def times_needed(q: float, confidence: float) -> int:
    """How many times bound a quantile from above by the largest of them: 299 for P99 at 95 %."""
    return math.ceil(math.log(1 - confidence) / math.log(q))


def _found(status: Status, reason: str, both: Interval, bound: float, stage: StageTimes) -> Found:
    return Found(
        status, reason, both.estimate, both.low, both.high, bound, len(stage.asked), both.method
    )  # fmt: skip


def _decision(criterion: LatencyCriterion, found: Found, suite: LatencySuite) -> Decision:
    throughput = criterion.value == "throughput"
    side: Literal["lower", "upper"] = "lower" if throughput else "upper"
    return Decision(
        id=criterion.id,
        status=found.status,
        measure="throughput" if throughput else "latency",
        value=criterion.told,
        slice=None,
        comparison="at_least" if throughput else "below",
        threshold=criterion.threshold,
        side=side,
        confidence=suite.confidence,
        bound=finite(found.bound),
        estimate=finite(found.estimate),
        low=finite(found.low),
        high=finite(found.high),
        numerator=None,
        denominator=None,
        n_studies=found.studies,
        n_patients=0,
        method=found.method,
        signature=f"latency|{CLOSED if criterion.at == CLOSED else 'poisson'}|{suite.target.device}|v1",
        reason=found.reason,
        requirement=criterion.requirement,
        rationale=criterion.rationale,
    )


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if math.isfinite(value) else "no report at all"
