"""Whether the model still reads as it did: F1 and sensitivity of a week of readings, and CUSUM charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from harness.inference import Interval, proportion_interval, square_and_add
from harness.inference.cusum import BernoulliCusum, design_cusum
from harness.inference.results import Side
from harness.monitoring.config import MONTH_H, ConceptDriftPart, CusumPart
from harness.monitoring.counts import Counts, count, positives
from harness.monitoring.records import Record
from harness.monitoring.rules import State, doubt, doubted
from harness.report import Finding

CONFIDENCE = 0.95
"""Of the bound on the usual rate that a chart is designed for: the reference is a sample too."""


def f1_interval(counts: Counts, finding: str, design_effect: float = 1.0) -> Callable[..., Interval]:
    """The interval of one finding's F1, as a function of confidence and side.

    F1 = 2 J / (1 + J), where J = TP / (TP + FP + FN) is a proportion: of the studies in which reader or
    report or both claim the finding, those in which both do. So F1's exact interval is that of J, carried
    over.
    """
    tp, fp, fn = (counts.get(f"{kind}:{finding}", 0) for kind in ("tp", "fp", "fn"))

    def bound(confidence: float, side: Side) -> Interval:
        found = proportion_interval(
            tp / design_effect, (tp + fp + fn) / design_effect, confidence, "clopper-pearson", side
        )
        low, high, value = (2 * end / (1 + end) for end in (found.low, found.high, found.estimate))
        return Interval(low, high, value, confidence, side, "Clopper-Pearson on TP/(TP+FP+FN)", found.reason)

    return bound


def sensitivity_interval(counts: Counts, finding: str, design_effect: float = 1.0) -> Callable[..., Interval]:
    """The exact interval of one finding's sensitivity, as a function of confidence and side."""
    tp, n = counts.get(f"tp:{finding}", 0), positives(counts, finding)

    def bound(confidence: float, side: Side) -> Interval:
        return proportion_interval(tp / design_effect, n / design_effect, confidence, "clopper-pearson", side)

    return bound


MEASURES: Final = {"F1": f1_interval, "sensitivity": sensitivity_interval}
"""What of a finding must not fall: a fall of recall alone moves F1 by about half as much."""


def concept_drift(
    part: ConceptDriftPart, finding: Finding, week: Counts, reference: Counts, alpha: float, effect: float
) -> dict[str, Any]:
    """The drop of one finding's F1 and sensitivity from the reference to the last week, as plain values.

    The alarm needs a drop of one of them of more than `drop`, and its one-sided bound above 0 (square-and-add
    of the two exact intervals; 1 - alpha / 2 each). NOT EVALUATED where the week's readings are so few that
    not even reports that are all wrong would raise it, or more than a small share of them is not usable.
    """
    told: dict[str, Any] = {"positives": positives(week, finding)}
    wrong = {f"fn:{finding}": positives(week, finding), f"fp:{finding}": week.get(f"fp:{finding}", 0)}
    falls, reachable, reasons = [], False, []
    for measure, interval in MEASURES.items():
        then, now = interval(reference, finding, effect), interval(week, finding, effect)
        fall = square_and_add(then, now, 1 - alpha / 2, "lower")
        worst = square_and_add(then, interval(wrong, finding, effect), 1 - alpha / 2, "lower")
        reachable |= worst.low > 0 and worst.estimate > part.drop  # NaN is not
        if math.isnan(fall.low):
            reasons.append(f"{measure} is {fall.reason or 'undefined'}")
        elif fall.estimate > part.drop and fall.low > 0:
            falls.append(measure)
        told[measure.lower()] = _finite(now(0.95, "two-sided").estimate)
        told[f"reference_{measure.lower()}"] = _finite(then(0.95, "two-sided").estimate)
        told["drop" if measure == "F1" else "sensitivity_drop"] = _finite(fall.estimate)
        told["bound" if measure == "F1" else "sensitivity_bound"] = _finite(fall.low)
    if falls:
        reason = f"{' and '.join(falls)} fell by more than {part.drop:g}"
        return {**told, "state": str(State.ALERT), "reason": reason}
    if len(reasons) == len(MEASURES):
        return {**told, "state": str(State.NOT_EVALUATED), "reason": reasons[0]}
    if not reachable:
        few = f"{told['positives']:,} positive readings are too few: not even all wrong would show a drop"
        return {**told, "state": str(State.NOT_EVALUATED), "reason": few}
    reason = f"neither F1 nor sensitivity is shown to have fallen by more than {part.drop:g}"
    quiet = {**told, "state": str(State.QUIET), "reason": reason}
    return doubted(
        quiet, doubt(week.get("unread", 0), week.get("readings", 0), "findings or reference", week)
    )


class Chart:
    """A CUSUM of one finding, designed from the reference; or the reason why it cannot be."""

    def __init__(self, part: CusumPart, reference: Counts, hours: float, share: float, patience: int) -> None:
        """Designs it.

        Args:
            part: what is watched and which rise.
            reference: counts of the reference.
            hours: that the reference spans: gives trials a month.
            share: false alarms in 30 days that this chart may give.
            patience: after so many windows without a trial it is NOT EVALUATED.
        """
        self.part, self.reason, self.patience = part, "", patience
        self.design: BernoulliCusum | None = None
        finding = part.finding
        if part.of == "claimed":
            events, trials = reference.get(f"claimed:{finding}", 0), reference.get("written", 0)
        else:
            events, trials = reference.get(f"fn:{finding}", 0), positives(reference, finding)
        if trials == 0 or hours <= 0:
            holds = "spans no time" if trials else f"holds no trial of {finding} {part.of}"
            self.reason = f"the reference {holds}"
            return
        usual = proportion_interval(events, trials, CONFIDENCE, "clopper-pearson", "upper").high
        if part.times is not None:
            odds = part.times * usual / (1 - usual) if usual < 1 else math.inf
            raised = odds / (1 + odds)
        else:
            raised = part.raised if part.raised is not None else usual + (part.points or 0.0)
        if not usual < raised < 1:
            self.reason = f"the usual rate may be {usual:.3f}, not below the one to detect, {raised:.3f}"
            return
        self.month = trials / hours * MONTH_H
        """Trials in 30 days."""
        self.design = design_cusum(usual, raised, max(1.0, self.month / share))

    def events(self, records: Sequence[Record]) -> list[bool]:
        """The trials of a window, in the order of time."""
        finding, found = self.part.finding, []
        for record in sorted(records, key=lambda one: one.time):
            if self.part.of == "claimed":
                if not record.reading and record.findings is not None:
                    found.append(finding in record.findings)
            elif record.reference is not None and record.findings is not None and finding in record.reference:
                found.append(finding not in record.findings)
        return found

    def look(
        self, records: Sequence[Record], before: dict[str, Any], counts: Counts | None = None
    ) -> dict[str, Any]:
        """One window, as plain values; `before` is the look before it, empty at the first.

        The alarm is raised where the score reaches its limit in the window, and ends when it is back at 0.
        Where more than a small share of the window's trials is not known, it is never QUIET.

        Args:
            records: of the window.
            before: what this returned then.
            counts: of the window, faults of the stream among them; without them those of `records`.
        """
        if self.design is None:
            blank = {"score": 0, "active": False, "trials": 0, "events": 0, "idle": 0, "limit": None}
            return {**blank, "state": str(State.NOT_EVALUATED), "reason": self.reason}
        start, events = int(before.get("score", 0)), self.events(records)
        path = self.design.scores(events, start)
        score = path[-1] if path else start
        reached = any(value >= self.design.limit for value in path)
        active = reached or (bool(before.get("active")) and score > 0)
        idle = 0 if events else int(before.get("idle", self.patience)) + 1
        state = State.ALERT if reached else State.QUIET if idle < self.patience else State.NOT_EVALUATED
        reason = f"score {max(path, default=start)} of {self.design.limit}"
        if state is State.NOT_EVALUATED:
            reason = f"no trials in the last {self.patience:,} windows"
        told = {
            "state": str(state), "score": score, "limit": self.design.limit, "active": active,
            "trials": len(events), "events": sum(events), "idle": idle, "reason": reason,
        }  # fmt: skip
        counts = count(records) if counts is None else counts
        if self.part.of == "claimed":
            due = counts.get("reports", 0) - counts.get("failed", 0)
            return doubted(told, doubt(counts.get("unwritten", 0), due, "findings", counts))
        unread, readings = counts.get("unread", 0), counts.get("readings", 0)
        return doubted(told, doubt(unread, readings, "findings or reference", counts))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
