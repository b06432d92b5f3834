"""Plots of a latency run: latency against load, and where the time goes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.dossier.charts import ticks
from harness.dossier.svg import ACCENT, FAIL, INK, MUTED, RULE, line, svg, text
from harness.latency.words import PHASE_WORDS, seconds

_SERIES: Final = (("p50", "P50", ACCENT), ("p99", "P99", INK))
_SHADES: Final = {
    "preprocessing": "#8fabbd", "inference": "#2f5672", "decoding": "#1b242e", "formatting": "#b9924a",
    "elsewhere": "#d5e0e7",
}  # fmt: skip


def load_curve(results: Mapping[str, Any], limits: Sequence[tuple[str, float]], title: str) -> str:
    """P50 and P99 from intended arrival against the rate of arrivals, up to saturation.

    Args:
        results: of the run.
        limits: name and seconds of each limit to draw.
        title: of the plot.
    """
    steps = [stage for stage in results["stages"] if stage["rate_per_hour"] is not None]
    steps.sort(key=lambda stage: stage["rate_per_hour"])
    values = [
        stage["quantiles"][name]["estimate"]
        for stage in steps
        for name, *_ in _SERIES
        if stage["quantiles"][name]["estimate"]
    ]
    width, height, left, right, top, bottom = 640, 250, 52, 92, 18, 204
    if not values:
        nothing = "There was no open loop." if not steps else "No report was given in the open loop."
        return svg(width, 40, title, nothing, [text(left, 24, nothing, MUTED, 10, "start")])
    capacity: float = results["capacity_per_hour"]
    most: float = 1.08 * max([capacity, *(stage["rate_per_hour"] for stage in steps)])
    shown = [limit for _, limit in limits]
    low, high = math.log10(min(values) * 0.7), math.log10(max([*values, *shown]) * 1.5)

    def x(rate: float) -> float:
        return left + (width - left - right) * rate / most

    def y(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(value) - low) / (high - low)

    parts = []
    for value in ticks(10**low, 10**high):
        parts.append(line(left, y(value), width - right, y(value), RULE, 0.6))
        parts.append(text(left - 6, y(value) + 3, f"{value:g} s", MUTED, 8.5, "end"))
    for rate in _rates(most):
        parts.append(line(x(rate), bottom, x(rate), bottom + 4, MUTED, 0.8))
        parts.append(text(x(rate), bottom + 15, f"{rate:,.0f}", MUTED, 8.5, "middle"))
    parts.append(line(x(capacity), top, x(capacity), bottom, MUTED, 1.0, "3 3"))
    parts.append(text(x(capacity), top - 6, f"capacity {capacity:,.0f}/h", MUTED, 8.5, "middle"))
    for name, limit in limits:
        parts.append(line(left, y(limit), width - right, y(limit), FAIL, 1.0, "5 3"))
        parts.append(text(width - right + 6, y(limit) + 3, f"{name} limit", FAIL, 8.5, "start"))
    told, ends = [], list[tuple[float, str, str]]()
    for name, label, colour in _SERIES:
        points = [
            (stage["rate_per_hour"], stage["quantiles"][name]["estimate"], stage["saturated"])
            for stage in steps
            if stage["quantiles"][name]["estimate"]
        ]
        if not points:
            continue
        path = " ".join(f"{x(rate):.1f},{y(value):.1f}" for rate, value, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        for rate, value, saturated in points:
            fill = "#fff" if saturated else colour
            parts.append(
                f'<circle cx="{x(rate):.1f}" cy="{y(value):.1f}" r="3.6" fill="{fill}" stroke="{colour}" '
                'stroke-width="1.6"/>'
            )
        ends.append((y(points[-1][1]), label, colour))
        told.append(f"{label}: " + ", ".join(f"{seconds(v)} at {r:,.0f} an hour" for r, v, _ in points))
    apart = 0.0
    for place, (at, label, colour) in enumerate(sorted(ends)):
        at = max(at, apart + 12) if place else at
        parts.append(text(x(steps[-1]["rate_per_hour"]) + 9, at + 3, label, colour, 9, "start", 600))
        apart = at
    parts.append(
        text(
            left,
            height - 8,
            "studies that arrive in an hour; hollow: more than can be done",
            MUTED,
            8.5,
            "start",
        )
    )
    return svg(width, height, title, "; ".join(told), parts)


def phase_bar(phases: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Mean seconds of each phase of a study, one after another."""
    width, left, right, top = 640, 8, 8, 8
    whole = sum(row["mean"] for row in phases.values())
    parts, at = [], float(left)
    for name, row in phases.items():
        size = (width - left - right) * row["mean"] / whole
        parts.append(f'<rect x="{at:.1f}" y="{top}" width="{size:.1f}" height="18" fill="{_SHADES[name]}"/>')
        at += size
    for place, (name, row) in enumerate(phases.items()):
        x, y = left + 208 * (place % 3), top + 36 + 16 * (place // 3)
        parts.append(f'<rect x="{x}" y="{y - 8}" width="9" height="9" fill="{_SHADES[name]}"/>')
        share = f"{PHASE_WORDS[name].partition(',')[0]} {seconds(row['mean'])}, {row['mean'] / whole:.0%}"
        parts.append(text(x + 14, y, share, INK, 9, "start"))
    told = "; ".join(f"{PHASE_WORDS[name]}: {seconds(row['mean'])}" for name, row in phases.items())
    return svg(width, top + 36 + 16 * ((len(phases) - 1) // 3) + 8, title, told, parts)


def _rates(most: float) -> list[float]:
    """Some five round numbers up to the most."""
    step = next(tick for tick in ticks(most / 10, most) if most / tick <= 6)
    return [step * place for place in range(int(most / step) + 1)]
