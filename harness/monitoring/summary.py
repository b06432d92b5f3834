"""A detector in words: what it watches, its value, its limit, and when it would raise its alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.monitoring.config import Rule
from harness.monitoring.faults import STREAM
from harness.monitoring.rules import LACKING

if TYPE_CHECKING:
    from harness.monitoring.judge import Judge

MEANING: Final = {
    "latency": "Latency",
    "failure_rate": "Studies without a report",
    "hallucination_rate": "Text findings that the detection head does not confirm",
    "rejection_rate": "Reports that were rejected",
    "critical_sensitivity": "Sensitivity for critical findings, against radiologists",
    "data-drift": "Embeddings against the reference (MMD)",
    "label-drift": "Findings that reports claim, against the reference",
    "detection-rates": "Findings that reports claim, against 30 days of radiologists",
    "concept-": "F1 and sensitivity over the last days of readings, against the reference",
    "cusum-claimed": "Sudden rise of reports that claim it (CUSUM)",
    "cusum-missed": "Sudden rise of readings whose report missed it (CUSUM)",
    "stream": "Records that are late, lost or contradict others",
}


def shown(value: float | None) -> str:
    """A number in three significant digits; a dash where there is none."""
    return "–" if value is None else f"{value:.3g}"


def value_of(name: str, found: Mapping[str, Any], rules: Mapping[str, Rule]) -> str:
    """The value of the last look, with its counts."""
    if name in rules:
        if found.get("value") is None:
            return "–"
        counts = f"({found['bad']:,} / {found['n']:,})"
        if rules[name].measure == "latency":
            return f"{found['value']:.2%} above {rules[name].limit:g} s {counts}"
        return f"{found['value']:.2%} {counts}"
    if "score" in found:
        return f"score {found['score']:,}"
    if "f1" in found:
        if found["f1"] is None:
            return "–"
        return f"F1 {found['f1']:.3f}, sens. {shown(found['sensitivity'])} ({found['positives']:,} positive)"
    if "mmd" in found:
        return f"MMD² {found['mmd']:.4f}"
    if "psi" in found:
        return f"PSI {shown(found['psi'])}"
    return "–"


def limit_of(name: str, found: Mapping[str, Any], rules: Mapping[str, Rule], judge: Judge) -> str:
    """The limit."""
    if name in rules:
        rule = rules[name]
        if rule.measure == "latency":
            return f"≤ {100 * rule.bad_share:.3g}%"
        return f"≥ {rule.limit:.0%}" if rule.measure == "critical_sensitivity" else f"≤ {rule.limit:.0%}"
    if name in judge.charts:
        design = judge.charts[name].design
        return f"{design.limit:,}" if design else "–"
    if "reference_f1" in found and judge.config.concept_drift is not None:
        f1, sensitivity, drop = (
            found["reference_f1"], found["reference_sensitivity"], judge.config.concept_drift.drop
        )  # fmt: skip
        return "–" if f1 is None else f"{f1:.3f}, {shown(sensitivity)}: − {drop:g}"
    if "threshold" in found:
        return f"{found['threshold']:.4f}"
    if name == "label-drift" and judge.config.label_drift is not None:
        return f"PSI {judge.config.label_drift.psi:g}"
    if name == "detection-rates" and judge.config.detection is not None:
        return f"± {judge.config.detection.margin:.0%}"
    return "–"


def alarm_at(name: str, rules: Mapping[str, Rule], judge: Judge) -> str:
    """When it raises its alarm, and how often it would for nothing."""
    config = judge.config
    if name == STREAM:
        return f"never; NOT EVALUATED above {LACKING:.0%} of a window or period"
    if name in rules:
        every = judge.every_h(rules[name])
        return f"{1 - config.alpha(every):.4%} bound beyond the limit, looked at each {every:g} h"
    if name in judge.charts:
        chart = judge.charts[name]
        if chart.design is None:
            return chart.reason
        design = chart.design
        what = "reports" if chart.part.of == "claimed" else "positive readings"
        return (
            f"score reaches the limit: for nothing once in {design.run_length:,.0f} {what} "
            f"({design.run_length / chart.month * 30:,.0f} days) at a rate of {design.usual:.1%}; after "
            f"{design.delay:,.0f} of them on average at {design.raised:.1%}"
        )
    if name == "data-drift" and judge.drift is not None and config.data_drift is not None:
        row = f"{config.data_drift.consecutive} periods in a row"
        return f"above the threshold ({judge.drift.alpha:.3%} of null windows are), {row}"
    return f"at an error rate of {config.alpha(config.period_h):.4%} a period"


def since(recent: Sequence[Mapping[str, Any]], name: str) -> str:
    """When an alert was raised; empty where that is longer ago than what is at hand."""
    for entry in reversed(recent):
        for alert in entry["alerts"]:
            if alert["id"] == name and alert["event"] == "raised":
                return str(entry["end"])
    return ""
