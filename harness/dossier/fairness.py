"""What the dossier shows of groups of patients: picked from the results, nothing is worked out."""

from __future__ import annotations

from typing import Any, Final

from harness.disparities import VALUES
from harness.gate import must_be, shown
from harness.suite import Suite
from harness.verdict import Verdict

_SHOWN: Final = {
    "critical_sensitivity": ("pooled", "Critical sensitivity"),
    "findings_detection": ("pooled specificity", "Specificity"),
    "findings_f1": ("micro-14", "Micro F1"),
    "hallucination_rate": ("per-claim", "Hallucination rate"),
}
"""Measure -> the value of it that is shown by group, and its heading."""


def fairness(suite: Suite, results: dict[str, Any], verdict: Verdict) -> dict[str, Any] | None:
    """Every group with its values, disparities by slice, criteria over groups; None where not asked for."""
    over = [item for item in verdict.decisions if item.groups]
    if suite.fairness is None and not over:
        return None
    shown_values = columns(suite)
    found = {(item["measure"], item["value"], item["slice"]): item for item in results["estimates"]}
    slices = []
    for name in suite.slices:
        labels = sorted({item["slice"] for item in results["estimates"] if _of(item["slice"], name)})
        slices.append(
            {
                "name": name,
                "groups": [
                    {
                        "name": label.partition("=")[2],
                        "studies": next(
                            item["n_studies"] for item in results["estimates"] if item["slice"] == label
                        ),
                        "cells": [_cell(found.get((key, value, label))) for key, value, _ in shown_values],
                    }
                    for label in labels
                ],
                "disparities": [
                    {**item, "cell": _cell(item)}
                    for item in results["estimates"]
                    if item["slice"] == name and item["value"] in VALUES
                ],
            }
        )
    return {
        "headings": [heading for *_, heading in shown_values],
        "slices": slices,
        "criteria": [
            {
                "item": item,
                "must_be": must_be(item),
                "groups": [
                    {"item": group, "shown": shown(group.estimate), "bound": shown(group.bound)}
                    for group in item.groups
                ],
            }
            for item in over
        ],
    }


def columns(suite: Suite) -> list[tuple[str, str, str]]:
    """What is shown of each group: (measure's key, value, heading), for the measures the suite has."""
    return [(part.key, *_SHOWN[part.measure]) for part in suite.measures if part.measure in _SHOWN]


def _of(label: str | None, name: str) -> bool:
    return (label or "").startswith(f"{name}=")


def _cell(item: dict[str, Any] | None) -> str:
    if item is None:
        return "–"
    if item["low"] is None:
        return f"{shown(item['estimate'])} (no interval: {item['reason']})"
    counts = "" if item["denominator"] is None else f", {item['numerator']:,} / {item['denominator']:,}"
    return f"{shown(item['estimate'])} ({shown(item['low'])} to {shown(item['high'])}{counts})"
