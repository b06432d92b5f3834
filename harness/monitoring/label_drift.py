"""Whether reports claim what they used to: chi-square and PSI by period, and against the radiologists."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, fisher_exact

from harness.inference import adjust_p_values, difference_interval
from harness.inference.cusum import population_stability_index
from harness.monitoring.config import DetectionPart, LabelDriftPart
from harness.monitoring.counts import Counts, positives, rates
from harness.monitoring.rules import State, doubt, doubted

SMALLEST = 20
"""Reports of a period below which nothing is judged."""
_EXPECTED = 5
"""Below this expected count the chi-square approximation is poor; then Fisher's exact test."""


def label_drift(part: LabelDriftPart, period: Counts, reference: Counts, alpha: float) -> dict[str, Any]:
    """What the reports of a period claim, against the reference, as plain values.

    Each finding has a chi-square test (Holm over all); the alarm needs a finding that differs and a PSI,
    of that finding or of the whole mix, that is not small. Where more than a small share of reports has no
    usable findings, it is never QUIET.
    """
    told: dict[str, Any] = {"state": str(State.NOT_EVALUATED), "reports": period.get("written", 0)}
    if min(period.get("written", 0), reference.get("written", 0)) < SMALLEST:
        return {
            **told,
            "reason": f"fewer than {SMALLEST} reports with findings in the period or the reference",
        }
    now, then = rates(period), rates(reference)
    names = [str(finding) for finding in part.findings]
    raw = [_p_value(*now[name], *then[name]) for name in names]
    adjusted = adjust_p_values(raw, "holm")
    single = [_psi(now[name], then[name]) for name in names]
    mix = population_stability_index([now[name][0] for name in names], [then[name][0] for name in names])
    places = [at for at in range(len(names)) if adjusted[at] <= alpha and max(single[at], mix) >= part.psi]
    worst = min(range(len(names)), key=lambda at: (adjusted[at], -single[at]))
    names_of = ", ".join(names[at] for at in places)
    found = {
        "state": str(State.ALERT if places else State.QUIET),
        "reports": period.get("written", 0),
        "psi": None if np.isnan(mix) else mix,
        "p_value": float(adjusted[worst]),
        "finding": names[worst],
        "findings": {
            name: [*now[name], *then[name], single[at], float(adjusted[at])] for at, name in enumerate(names)
        },
        "reason": f"{names_of}: claimed at another rate than in the reference"
        if places
        else f"PSI {mix:.3f}; smallest adjusted p {adjusted[worst]:.2g} ({names[worst]})",
    }
    return doubted(found, _unwritten(period))


def detection_rates(part: DetectionPart, period: Counts, month: Counts, alpha: float) -> dict[str, Any]:
    """How often the period's reports claim a finding, less how often radiologists did in 30 days.

    Newcombe intervals of two independent samples, Bonferroni over findings. The alarm needs an interval
    that lies wholly beyond the margin.
    """
    readings, written = month.get("readings", 0) - month.get("unread", 0), period.get("written", 0)
    told: dict[str, Any] = {"state": str(State.NOT_EVALUATED), "readings": readings}
    if min(readings, written) < SMALLEST:
        reason = f"{written:,} reports and {readings:,} readings in 30 days; {SMALLEST} of each are needed"
        return {**told, "reason": reason}
    confidence = 1 - 2 * alpha / len(part.findings)
    rows, beyond = {}, []
    for finding in part.findings:
        claimed, true = period.get(f"claimed:{finding}", 0), positives(month, finding)
        interval = difference_interval(claimed, written, true, readings, confidence)
        rows[str(finding)] = [claimed, written, true, readings, interval.low, interval.high]
        if interval.low > part.margin or interval.high < -part.margin:
            beyond.append(str(finding))
    found = {
        "state": str(State.ALERT if beyond else State.QUIET),
        "readings": readings,
        "findings": rows,
        "reason": f"{', '.join(beyond)}: more than {part.margin:.0%} from the radiologists"
        if beyond
        else f"no finding is shown to be more than {part.margin:.0%} from the radiologists",
    }
    unread = doubt(month.get("unread", 0), month.get("readings", 0), "findings or reference", month)
    return doubted(found, _unwritten(period) or unread)


def _unwritten(period: Counts) -> str:
    due = period.get("reports", 0) - period.get("failed", 0)
    return doubt(period.get("unwritten", 0), due, "findings", period)


def _p_value(x: int, n: int, y: int, m: int) -> float:
    if x + y in (0, n + m):
        return 1.0
    table = np.array([[x, n - x], [y, m - y]])
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    if expected.min() < _EXPECTED:
        return min(1.0, float(fisher_exact(table).pvalue))
    return float(chi2_contingency(table, correction=False).pvalue)


def _psi(now: tuple[int, int], then: tuple[int, int]) -> float:
    return population_stability_index([now[0], now[1] - now[0]], [then[0], then[1] - then[0]])
