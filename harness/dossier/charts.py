"""Charts of the packet: confusion matrices, the distribution of times, the risk matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.dossier.svg import ACCENT, FAIL, INK, MUTED, PALE, PASS, RULE, line, svg, text
from harness.packet.risk import LEVELS
from harness.packet.schema import PROBABILITIES, SEVERITIES


def confusion(tables: Sequence[tuple[str, int, int, int, int]], title: str) -> str:
    """A two by two table for each finding, side by side; errors are framed.

    Args:
        tables: finding, true positives, false negatives, false positives, true negatives.
        title: of the whole.
    """
    cell_x, cell_y, gap, left, top = 58, 30, 26, 76, 44
    width = max(640, left + len(tables) * (2 * cell_x + gap))
    parts = [
        text(left - 8, top + 19, "in the reference", MUTED, 8.5, "end"),
        text(left - 8, top + cell_y + 19, "not in it", MUTED, 8.5, "end"),
    ]
    for place, (name, hit, missed, invented, rejected) in enumerate(tables):
        x = left + place * (2 * cell_x + gap)
        parts.append(text(x, 14, name, INK, 10, "start", 600))
        parts.append(text(x + cell_x / 2, 34, "reported", MUTED, 8.5, "middle"))
        parts.append(text(x + 1.5 * cell_x, 34, "not reported", MUTED, 8.5, "middle"))
        for row, counts in enumerate(((hit, missed), (invented, rejected))):
            for column, count in enumerate(counts):
                share = count / sum(counts) if sum(counts) else 0.0
                wrong = row != column
                edge = FAIL if wrong and count else RULE
                at_x, at_y = x + column * cell_x, top + row * cell_y
                parts.append(
                    f'<rect x="{at_x + 1:.1f}" y="{at_y + 1:.1f}" width="{cell_x - 2}" height="{cell_y - 2}" '
                    f'fill="{ACCENT}" fill-opacity="{0.06 + 0.3 * share:.3f}" '
                    f'stroke="{edge}" stroke-width="{1.6 if edge == FAIL else 0.6}"/>'
                )
                weight = 600 if wrong and count else 400
                parts.append(text(at_x + cell_x / 2, at_y + 18.5, f"{count:,}", INK, 10, "middle", weight))
    told = "; ".join(
        f"{name}: {hit} found, {missed} missed, {invented} invented, {rejected} rightly not reported"
        for name, hit, missed, invented, rejected in tables
    )
    return svg(width, top + 2 * cell_y + 6, title, told, parts)


def latency_curve(latency: Mapping[str, Any], title: str) -> str:
    """The share of studies reported after so many seconds, with P50 and P99 and their bounds."""
    curve = latency["curve"]
    width, height, left, right, top, bottom = 640, 210, 46, 24, 12, 172
    if not curve:
        return svg(
            width,
            40,
            title,
            "no report was given",
            [text(left, 24, "No report was given.", MUTED, 10, "start")],
        )
    low, high = curve[0][0], max(curve[-1][0], latency["quantiles"]["p99"]["high"] or 0)
    start, end = math.log10(low * 0.9), math.log10(high * 1.1)

    def x(seconds: float) -> float:
        return left + (width - left - right) * (math.log10(seconds) - start) / (end - start)

    def y(share: float) -> float:
        return bottom - (bottom - top) * share

    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(line(left, y(share), width - right, y(share), RULE, 0.6))
        parts.append(text(left - 6, y(share) + 3, f"{share:.0%}", MUTED, 8.5, "end"))
    for seconds in ticks(low * 0.9, high * 1.1):
        parts.append(line(x(seconds), bottom, x(seconds), bottom + 4, MUTED, 0.8))
        parts.append(text(x(seconds), bottom + 15, f"{seconds:g} s", MUTED, 8.5, "middle"))
    points = [f"{x(curve[0][0]):.1f},{y(0):.1f}"]
    for (seconds, share), before in zip(curve, [0.0, *(share for _, share in curve)], strict=False):
        points += [f"{x(seconds):.1f},{y(before):.1f}", f"{x(seconds):.1f},{y(share):.1f}"]
    parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{ACCENT}" stroke-width="1.8"/>')
    told = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        found = latency["quantiles"][name]
        if found["estimate"] is None:
            continue
        ends = [found["low"] or low, found["high"] or high * 1.1]
        wide = max(2.0, x(ends[1]) - x(ends[0]))
        parts.append(
            f'<rect x="{x(ends[0]):.1f}" y="{y(share) - 4:.1f}" width="{wide:.1f}" height="8" '
            f'fill="{INK}" fill-opacity="0.25"/>'
        )
        parts.append(f'<circle cx="{x(found["estimate"]):.1f}" cy="{y(share):.1f}" r="3.4" fill="{INK}"/>')
        label = f"{name.upper()} {found['estimate']:.3g} s"
        if x(ends[1]) < width - right - 80:
            parts.append(text(x(ends[1]) + 8, y(share) + 12, label, INK, 9, "start", 600))
        else:
            parts.append(text(width - right, y(share) + 18, label, INK, 9, "end", 600))
        told.append(label)
    parts.append(
        text(
            left,
            height - 6,
            "seconds from study to report, logarithmic; shaded: bounds of the quantile",
            MUTED,
            8.5,
            "start",
        )
    )
    return svg(width, height, title, ", ".join(told), parts)


def ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten that lie between two positive numbers."""
    ticks = [
        step * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for step in (1, 2, 5)
    ]
    return [tick for tick in ticks if low <= tick <= high]


def risk_matrix(lines: Sequence[Mapping[str, Any]], title: str) -> str:
    """Severity against probability, with the hazards in their updated places."""
    left, top, cell_x, cell_y = 96, 10, 104, 34
    fills = {"low": PALE, "medium": "#dfe6ea", "high": "#f0d9cf"}
    edges = {"low": RULE, "medium": RULE, "high": FAIL}
    parts = []
    for row, severity in enumerate(reversed(SEVERITIES)):
        y = top + row * cell_y
        parts.append(text(left - 8, y + 21, severity, INK, 9.5, "end"))
        for column, probability in enumerate(PROBABILITIES):
            level = LEVELS[severity][column]
            x = left + column * cell_x
            parts.append(
                f'<rect x="{x + 1}" y="{y + 1}" width="{cell_x - 2}" height="{cell_y - 2}" '
                f'fill="{fills[level]}" stroke="{edges[level]}" stroke-width="0.7"/>'
            )
            parts.append(text(x + cell_x - 6, y + 11, level, MUTED, 7, "end"))
            here = [item for item in lines if item["severity"] == severity and item["updated"] == probability]
            names = [f"{'■' if item['open'] else '✓'} {item['id']}" for item in here]
            shown = ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")
            heavy = any(item["open"] for item in here)
            parts.append(text(x + 7, y + 24, shown, FAIL if heavy else PASS, 9, "start", 600))
    bottom = top + len(SEVERITIES) * cell_y
    for column, probability in enumerate(PROBABILITIES):
        parts.append(text(left + (column + 0.5) * cell_x, bottom + 14, probability, INK, 9.5, "middle"))
    told = "; ".join(
        f"{item['id']}: severity {item['severity']}, probability {item['updated']}, risk {item['level']}"
        + (", open" if item["open"] else "")
        for item in lines
    )
    return svg(640, bottom + 22, title, told, parts)
