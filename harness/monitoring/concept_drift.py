"""Whether the model still reads as it did: F1 of a rolling week of readings, and CUSUM charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from harness.inference import Interval, proportion_interval, square_and_add
from harness.inference.cusum import BernoulliCusum, design_cusum
from harness.inference.results import Side
from harness.monitoring.config import MONTH_H, ConceptDriftPart, CusumPart
from harness.monitoring.counts import Counts, positives
from harness.monitoring.records import Record
from harness.monitoring.rules import State
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


def concept_drift(
    part: ConceptDriftPart, finding: Finding, week: Counts, reference: Counts, alpha: float, effect: float
) -> dict[str, Any]:
    """The drop of one finding's F1 from the reference to the last week, as plain values.

    The alarm needs a drop of more than `drop`, and its one-sided 1 - alpha bound above 0
    (square-and-add of the two exact intervals).
    """
    then, now = (f1_interval(counts, finding, effect) for counts in (reference, week))
    fall = square_and_add(then, now, 1 - alpha, "lower")
    told: dict[str, Any] = {
        "positives": positives(week, finding),
        "f1": _finite(now(0.95, "two-sided").estimate),
        "reference_f1": _finite(then(0.95, "two-sided").estimate),
        "drop": _finite(fall.estimate),
        "bound": _finite(fall.low),
    }
    if math.isnan(fall.low):
        return {**told, "state": str(State.NOT_EVALUATED), "reason": f"F1 is {fall.reason or 'undefined'}"}
    fallen = fall.estimate > part.drop and fall.low > 0
    reason = f"F1 {'fell' if fallen else 'is not shown to have fallen'} by more than {part.drop:g}"
    return {**told, "state": str(State.ALERT if fallen else State.QUIET), "reason": reason}


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

    def look(self, records: Sequence[Record], before: dict[str, Any]) -> dict[str, Any]:
        """One window, as plain values; `before` is the look before it, empty at the first.

        The alarm is raised where the score reaches its limit in the window, and ends when it is back at 0.
        """
        if self.design is None:
            told = {"score": 0, "active": False, "trials": 0, "events": 0, "idle": 0, "limit": None}
            return {**told, "state": str(State.NOT_EVALUATED), "reason": self.reason}
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
        return {
            "state": str(state), "score": score, "limit": self.design.limit, "active": active,
            "trials": len(events), "events": sum(events), "idle": idle, "reason": reason,
        }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
