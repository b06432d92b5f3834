"""Each critical finding by itself: a pooled sensitivity hides that one finding is no longer reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.ab.design import Design
from harness.ab.effects import Positives, sensitivity_effect, worst_case_positives
from harness.ab.ratings import Ratings
from harness.comparison.looks import Look
from harness.report import Finding
from harness.status import Status, finite

LEAST: Final = 1e-12
"""What a look may spend must be above this: nearer to 1 than that, no confidence is reckoned with."""
NO_ALPHA: Final = (
    "this look comes too early, or does not follow on the one before: there is no alpha to spend"
)


@dataclass(frozen=True, slots=True)
class Guard:
    """What became of one critical finding."""

    name: Finding
    status: Status
    """NOT EVALUATED also where the design does not decide it; then it does not count."""
    finding: str
    """"not worse" (within the margin), "worse", "worse by more than the margin", "open", "undefined" (none
    was seen) or "undecided" (the design says so, and no loss is shown)."""
    current: int
    """Reported by the current model's drafts."""
    current_of: int
    """Of so many that adjudication says are there."""
    challenger: int
    challenger_of: int
    difference: float | None
    """Challenger's sensitivity minus the current model's."""
    low: float | None
    high: float | None
    """Of the two-sided interval one end of which is the bound that decides."""
    confidence: float | None
    margin: float | None
    """None where the design does not decide it."""
    reason: str

    @property
    def counts(self) -> bool:
        """Whether the verdict rests on it: it is to be decided, or a loss is shown."""
        return self.margin is not None or self.status is Status.FAIL


def guards(ratings: Ratings, found: Positives, design: Design, loss: Look) -> tuple[Guard, ...]:
    """Judges every critical finding of the design.

    A loss is shown where the interval lies wholly below 0: at the one-sided level of the bounds that
    decide, not shared between findings, since here a false alarm costs less than a miss. Else the bound
    must lie within the finding's own margin, also if all that was not adjudicated spoke against the
    challenger.

    Args:
        ratings: the data.
        found: their critical findings.
        design: margins, and what is left undecided.
        loss: what the bounds of this look may spend, two-sided.
    """
    return tuple(_guard(finding, ratings, found.of(finding), design, loss) for finding in design.findings)


def _guard(finding: Finding, ratings: Ratings, own: Positives, design: Design, loss: Look) -> Guard:
    paired = design.design == "paired"
    effect = sensitivity_effect(own, paired, tested=False)
    margin = None if finding in design.undecided else design.critical_findings[finding].margin
    old, new = ((int(np.nansum(arm)), int(np.isfinite(arm).sum())) for arm in (own.current, own.challenger))

    def judged(status: Status, word: str, reason: str, ends: tuple[float, float] | None = None) -> Guard:
        low, high = map(finite, ends) if ends else (None, None)
        return Guard(
            finding, status, word, *old, *new, finite(effect.difference), low, high,
            1 - loss.level if ends else None, margin, reason,
        )  # fmt: skip

    if effect.reason:
        reason = "no adjudicated case was seen" + ("" if paired else " in an arm")
        return judged(Status.NOT_EVALUATED, "undefined", reason)
    if loss.level <= LEAST:
        return judged(Status.NOT_EVALUATED, "open", NO_ALPHA)
    interval = effect.interval(confidence=1 - loss.level, side="two-sided")
    ends = interval.low, interval.high
    if interval.high < 0:
        if margin is not None and -interval.high >= margin:
            reason = f"a loss of more than the margin of {margin:g} is shown"
            return judged(Status.FAIL, "worse by more than the margin", reason, ends)
        return judged(Status.FAIL, "worse", f"a loss of at least {-interval.high:.2g} is shown", ends)
    if margin is None:
        reason = f"the design does not decide it; a loss of up to {-interval.low:.2g} is not excluded"
        return judged(Status.NOT_EVALUATED, "undecided", reason, ends)
    if not -interval.low < margin:
        reason = f"a loss of up to {-interval.low:.2g} cannot be excluded; the margin is {margin:g}"
        if effect.silent is not None and not -effect.silent(confidence=1 - loss.level).low < margin:
            reason += f"; with {effect.units:,} cases not even equal drafts could show it"
        return judged(Status.NOT_EVALUATED, "open", reason, ends)
    worst = sensitivity_effect(worst_case_positives(ratings, own, paired), paired, tested=False)
    if not -worst.interval(confidence=1 - loss.level).low < margin:
        reason = "within the margin only if what was not adjudicated is not counted against the challenger"
        return judged(Status.NOT_EVALUATED, "open", reason, ends)
    reason = f"no loss beyond {max(0.0, -interval.low):.2g}; the margin is {margin:g}"
    return judged(Status.PASS, "not worse", reason, ends)
