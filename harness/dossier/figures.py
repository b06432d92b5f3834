"""The plots that the short report and the packet share: picked from the results, nothing is worked out."""

from __future__ import annotations

from typing import Any

from harness.dossier.plots import Row, bars, flow, forest
from harness.gate import must_be
from harness.printed import SUPPRESSED
from harness.report import FINDINGS
from harness.suite import Suite
from harness.verdict import Verdict


def verdict_plots(verdict: Verdict) -> list[str]:
    """One plot for what must be high and one for what must be low: each has an axis that fits."""
    plots = []
    for side, title in (("lower", "Criteria that must lie above their threshold"),
                        ("upper", "Criteria that must lie below their threshold")):  # fmt: skip
        items = [
            item
            for item in verdict.decisions
            if item.side == side and not isinstance(item.estimate, str)  # a suppressed one has no place
        ]
        if not items:
            continue
        rows = [
            Row(item.id, item.estimate, item.low, item.high, f"{must_be(item)}   {item.status}",
                item.threshold, item.status.value)
            for item in items
        ]  # fmt: skip
        numbers = [n for item in items for n in (item.low, item.high, item.threshold) if n is not None]
        low, high = (_floor(min(numbers)), 1.0) if side == "lower" else (0.0, _ceiling(max(numbers)))
        plots.append(forest(rows, title, low, high))
    return plots


def _floor(value: float) -> float:
    return max(0.0, min(0.9, int(value * 10) / 10))


def _ceiling(value: float) -> float:
    return next(top for top in (0.05, 0.1, 0.25, 0.5, 1.0) if value <= top or top == 1.0)


def flow_plot(results: dict[str, Any]) -> str:
    """The studies from eligible to reported; what was suppressed says so."""
    facts, statuses = results["flow"], results["statuses"]
    unchosen = facts["included"] - facts["judged"]
    failed = [
        (f"no usable report: {name}", count) for name, count in statuses.items() if name != "ok" and count
    ]
    steps = [
        ("Eligible", facts["eligible"], [(reason, count) for reason, count in facts["excluded"]]),
        ("Included", facts["included"], [("not drawn by the suite's sample", unchosen)] if unchosen else []),
        ("Judged (all are scored)", facts["judged"], failed),
        ("With a usable report", statuses["ok"], []),
    ]
    return flow(steps, "Studies from eligible to reported")


def label_plot(results: dict[str, Any]) -> str:
    """How many studies have each finding; a finding with suppressed counts is left to the table."""
    rows = []
    for finding in FINDINGS:
        states = results["labels"][str(finding)]
        shown = (states["positive"], states["uncertain"])
        if SUPPRESSED not in (*shown, states["not_covered"]) and (
            states["not_covered"] < results["flow"]["judged"]
        ):
            rows.append((str(finding), shown))
    return bars(rows, ("positive", "uncertain"), "Findings in the reference labels")


def subgroup_plots(
    suite: Suite, results: dict[str, Any], measure: str, value: str, heading: str
) -> list[dict[str, Any]]:
    """One value of a measure in each group of each slice, against all studies.

    Args:
        suite: as it was asked.
        results: of the run.
        measure: the measure's installed name.
        value: which of its values.
        heading: what the value is called.
    """
    keys = {part.key for part in suite.measures if part.measure == measure}
    found = [item for item in results["estimates"] if item["measure"] in keys and item["value"] == value]
    whole = next((item for item in found if item["slice"] is None), None)
    groups = []
    for name in suite.slices:
        own = [item for item in found if (item["slice"] or "").startswith(f"{name}=")]
        if not own or whole is None:
            continue
        rows = [
            forest_row("all studies", whole),
            *(forest_row(item["slice"].partition("=")[2], item) for item in own),
        ]
        groups.append({"name": name, "plot": forest(rows, f"{heading} by {name}")})
    return groups


def forest_row(label: str, item: dict[str, Any]) -> Row:
    """An estimate as a line of a forest plot; a suppressed one has no mark."""
    if item["estimate"] == SUPPRESSED:
        return Row(label, None, None, None, SUPPRESSED)
    return Row(label, item["estimate"], item["low"], item["high"], counts(item))


def counts(item: dict[str, Any]) -> str:
    """Numerator and denominator of an estimate; nothing for what is no proportion."""
    if item["denominator"] is None:
        return ""
    return f"{item['numerator']:,} / {item['denominator']:,}"
