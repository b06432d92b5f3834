"""Rates against limits: alarms on a bound, with hysteresis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from harness.inference import Interval, proportion_interval
from harness.monitoring.config import Rule
from harness.monitoring.counts import Counts

KEPT_CONFIDENCE: Final = 0.95
"""Of the bound that shows a limit kept, and so ends an alarm."""
LACKING: Final = 0.01
"""Where a larger share of records lacks the field or cannot be used, the others say nothing."""


class State(StrEnum):
    """What a look says. NOT EVALUATED is never a kind of QUIET."""

    ALERT = "ALERT"
    QUIET = "QUIET"
    NOT_EVALUATED = "NOT EVALUATED"


def too_many(lacking: int, records: int) -> bool:
    """Whether so many unusable ones of so many records leave too much open; a single one never does."""
    return lacking > max(1.0, LACKING * records)


def unusable(counts: Counts) -> int:
    """Records of which nothing was counted: not placed, or against an earlier one of the same study."""
    return counts.get("unplaced", 0) + counts.get("contradicted", 0)


def doubt(lacking: int, due: int, what: str, counts: Counts) -> str:
    """Why records that are not known leave too much open; empty where they do not.

    Args:
        lacking: records that lack a field.
        due: records that should have it.
        what: the field.
        counts: of the span: unusable records are in it.
    """
    if too_many(lacking, due):
        return f"{lacking:,} of {due:,} records lack {what}: has the stream's schema changed?"
    lost = unusable(counts)
    records = counts.get("reports", 0) + counts.get("readings", 0) + lost
    if too_many(lost, records):
        return f"{lost:,} of {records:,} records could not be placed, or contradict an earlier one"
    return ""


def doubted(told: dict[str, Any], why: str) -> dict[str, Any]:
    """A look that is QUIET only by what is not known is NOT EVALUATED; an alert stays one."""
    if why and told["state"] == State.QUIET:
        return {**told, "state": str(State.NOT_EVALUATED), "reason": why}
    return told


@dataclass(frozen=True, slots=True)
class Trials:
    """Bad events, of how many, and how many records could not be counted."""

    bad: int
    n: int
    lacking: int = 0
    records: int = 0
    """All that should have been counted, those that lack a field among them."""
    what: str = ""
    """The field that they lack."""
    lost: int = 0
    """Trials that are not known, at most: each may be a bad one."""


def trials(rule: Rule, counts: Counts) -> Trials:
    """What a rule counts."""

    def get(key: str) -> int:
        return counts.get(key, 0)

    untimed, gone = get("reports") - get("timed"), unusable(counts)
    match rule.measure:
        case "latency":
            bad = get(f"slow:{rule.id}")
            return Trials(bad, get("timed"), untimed, get("reports"), "latency_s", untimed + gone)
        case "failure_rate":
            return Trials(get("failed"), get("timed"), untimed, get("reports"), "latency_s", untimed + gone)
        case "hallucination_rate":
            due, lacking = get("reports") - get("failed"), get("unchecked")
            each = max(1, math.ceil(get("claims") / get("checked"))) if get("checked") else 1
            lost = each * (lacking + gone)
            return Trials(get("unconfirmed"), get("claims"), lacking, due, "findings or detected", lost)
        case "rejection_rate":
            return Trials(get("rejected"), get("reviewed"), lost=gone)
    misses, positives = get("critical misses"), get("critical positives")
    if rule.value != "pooled":
        misses = get(f"fn:{rule.value}")
        positives = misses + get(f"tp:{rule.value}")
    unread, readings = get("unread"), get("readings")
    return Trials(misses, positives, unread, readings, "findings or reference", unread + gone)


def look(
    rule: Rule, span: Counts, fresh: Counts, before: Mapping[str, Any], alpha: float, design_effect: float
) -> dict[str, Any]:
    """One look at a rule, as plain values; `before` is the look before it, empty at the first.

    The alarm is raised when the one-sided Clopper-Pearson bound at 1 - alpha, on all trials of the span,
    lies beyond the limit. It ends when the trials since it was last so show the limit kept: their
    95 % bound lies on the good side. Between the two it neither flickers nor needs a second limit.
    What is lacking counts as bad where a limit is to be shown kept; where it would raise the alarm if it
    were, or is more than a small share, the look is NOT EVALUATED.

    Args:
        rule: what is looked at.
        span: counts of the rule's whole span.
        fresh: counts since the look before.
        before: what this returned then.
        alpha: error rate of this look.
        design_effect: studies that are worth one independent one.
    """
    seen, new = trials(rule, span), trials(rule, fresh)
    limit, active = rule.bad_share, bool(before.get("active"))
    sensitivity = rule.measure == "critical_sensitivity"

    def lower(bad: int, n: int) -> Interval:
        return proportion_interval(
            bad / design_effect, n / design_effect, 1 - alpha, "clopper-pearson", "lower"
        )

    found = lower(seen.bad, seen.n)
    breach = found.low > limit  # NaN is not
    calm = [0, 0]
    if active and not breach:
        calm = [before["calm"][0] + new.bad + new.lost, before["calm"][1] + new.n + new.lost]
        kept = _kept(calm[0], calm[1], limit, design_effect)
    else:
        kept = _kept(seen.bad + seen.lost, seen.n + seen.lost, limit, design_effect)
    reachable = seen.n > 0 and seen.n / design_effect * math.log(limit) < math.log(alpha)
    state, reason = State.QUIET, "not shown to be beyond its limit" if not kept else "shown to keep its limit"
    if breach:
        side, end, edge = ("upper", 1 - found.low, 1 - limit) if sensitivity else ("lower", found.low, limit)
        relation = "below" if sensitivity else "above"
        state, reason = State.ALERT, f"{side} {1 - alpha:.4%} bound {end:.2%} is {relation} {100 * edge:.3g}%"
    elif why := doubt(seen.lacking, seen.records, seen.what, span):
        state, reason = State.NOT_EVALUATED, why
    elif seen.lost and lower(seen.bad + seen.lost, seen.n + seen.lost).low > limit:
        state = State.NOT_EVALUATED
        reason = f"beyond its limit if what is lacking ({seen.lost:,} of {seen.n + seen.lost:,}) is bad"
    elif not reachable:
        state = State.NOT_EVALUATED
        reason = f"{seen.n:,} trials are too few: not even all bad would raise it" if seen.n else "no trials"
    ended = active and not breach and kept and state is not State.NOT_EVALUATED
    value, bound = seen.bad / seen.n if seen.n else None, found.low if seen.n else None
    if sensitivity:
        value, bound = (None if item is None else 1 - item for item in (value, bound))
    return {
        "state": str(state),
        "active": breach or (active and not ended),
        "bad": seen.bad,
        "n": seen.n,
        "value": value,
        "bound": bound,
        "kept": kept,
        "calm": calm,
        "reason": reason,
    }


def _kept(bad: int, n: int, limit: float, design_effect: float) -> bool:
    bound = proportion_interval(
        bad / design_effect, n / design_effect, KEPT_CONFIDENCE, "clopper-pearson", "upper"
    )
    return bound.high < limit  # NaN is not


@dataclass(slots=True)
class Alarm:
    """Hysteresis of a drift detector: so many looks in a row to raise it, two calm ones to end it."""

    active: bool = False
    streak: int = 0
    calm: int = 0

    def look(self, state: State, consecutive: int = 1) -> None:
        """Takes one look in; NOT EVALUATED changes nothing."""
        if state is State.NOT_EVALUATED:
            return
        if state is State.ALERT:
            self.streak, self.calm = self.streak + 1, 0
            self.active = self.active or self.streak >= consecutive
            return
        self.streak, self.calm = 0, self.calm + 1
        self.active = self.active and self.calm < CALM_LOOKS


CALM_LOOKS: Final = 2
