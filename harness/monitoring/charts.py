"""Time series and shares as SVG with a text alternative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.dossier.svg import ACCENT, FAIL, INK, MUTED, RULE, line, svg, text

SHADES = (ACCENT, "#7ba3c4", "#b7cfe0")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 372, 180, 42, 10, 28, 24


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    label: str
    points: Sequence[tuple[float, float | None]]
    """Time in seconds since 1970, and value; None breaks the line."""
    colour: str = ACCENT


def timeline(
    title: str,
    series: Sequence[Series],
    *,
    limit: float | None = None,
    limit_label: str = "limit",
    raised: Sequence[tuple[float, float]] = (),
    percent: bool = False,
    floor: float | None = 0.0,
) -> str:
    """Values over time with their limit (dashed), and the times an alert was raised (shaded).

    Args:
        title: what the text alternative begins with.
        series: the lines, most important first.
        limit: drawn across.
        limit_label: its name.
        raised: from and to, in seconds since 1970.
        percent: values are shares.
        floor: the axis begins here, or below the smallest value where it is None.
    """
    times = [time for one in series for time, _ in one.points]
    values = [value for one in series for _, value in one.points if value is not None]
    if not values:
        return _empty(title)
    values += [limit] if limit is not None else []
    low, high, step = _axis(min(values) if floor is None else min(floor, *values), max(values))
    first, last = min(times), max(times)
    span = (last - first) or 1.0

    def x(time: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (min(max(time, first), last) - first) / span

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    parts = [
        f'<rect x="{x(start):.1f}" y="{TOP}" width="{max(1.5, x(end) - x(start)):.1f}" '
        f'height="{HEIGHT - TOP - BOTTOM}" fill="{FAIL}" opacity="0.10"/>'
        for start, end in raised
        if end >= first
    ]
    for place in range(round((high - low) / step) + 1):
        value = low + place * step
        parts.append(line(LEFT, y(value), WIDTH - RIGHT, y(value), RULE, 0.6))
        shown = f"{round(100 * value, 6):g} %" if percent else f"{round(value, 9):g}"
        parts.append(text(LEFT - 6, y(value) + 3, shown, MUTED, 10, "end"))
    for at, anchor in ((first, "start"), ((first + last) / 2, "middle"), (last, "end")):
        parts.append(text(x(at), HEIGHT - 8, _day(at, span), MUTED, 10, anchor))
    for one, width in zip(reversed(series), [1.2] * (len(series) - 1) + [1.8], strict=True):
        parts += _paths([(x(time), None if v is None else y(v)) for time, v in one.points], one.colour, width)
    if limit is not None:
        parts.append(line(LEFT, y(limit), WIDTH - RIGHT, y(limit), INK, 1.1, "4 3"))
    legend = [(one.label, one.colour, "") for one in series]
    legend += [(limit_label, INK, "4 3")] if limit is not None else []
    at_x = 4.0
    for label, colour, dash in legend:
        parts.append(line(at_x, 11, at_x + 14, 11, colour, 1.8, dash))
        parts.append(text(at_x + 18, 14, label, MUTED, 10, "start"))
        at_x += 30 + 5.2 * len(label)
    told = "; ".join(
        f"{one.label}: last {known[-1]:.4g}, from {min(known):.4g} to {max(known):.4g}"
        for one in series
        if (known := [value for _, value in one.points if value is not None])
    )
    return svg(WIDTH, HEIGHT, title, told, parts)


def shares(title: str, rows: Sequence[tuple[str, Sequence[int]]], names: Sequence[str]) -> str:
    """The make-up of wholes, one bar each, parts in the same order and shade."""
    left, step_y, top = 78, 24, 4
    width = WIDTH - left - RIGHT
    parts: list[str] = []
    for place, (label, counts) in enumerate(rows):
        y, at, whole = top + step_y * place, float(left), sum(counts) or 1
        parts.append(text(left - 8, y + 14, label, INK, 10, "end"))
        for part, count in enumerate(counts):
            size = width * count / whole
            shade = f"hsl(207 {58 - 3 * part}% {30 + 55 * part / max(1, len(counts) - 1):.0f}%)"
            box = f'x="{at:.1f}" y="{y + 2}" width="{max(0.0, size - 1):.1f}" height="17"'
            parts.append(f'<rect {box} fill="{shade}"/>')
            if size > 24:
                ink = "#fff" if part < len(counts) * 0.55 else INK
                parts.append(text(at + size / 2, y + 14, f"{100 * count / whole:.0f} %", ink, 10, "middle"))
            at += size
    told = "; ".join(
        f"{label}: " + ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
        for label, counts in rows
    )
    return svg(WIDTH, top + step_y * len(rows) + 4, title, told, parts)


def _axis(low: float, high: float) -> tuple[float, float, float]:
    """Ends and step of an axis of some four steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / 4
    scale = 10 ** math.floor(math.log10(raw))
    step = next(scale * factor for factor in (1, 2, 5, 10) if scale * factor >= raw * 0.999)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step


def _day(time: float, span: float) -> str:
    when = datetime.fromtimestamp(time, UTC)
    return f"{when:%d %b}" if span > 3 * 86400 else f"{when:%d %b %H:%M}"


def _paths(points: Sequence[tuple[float, float | None]], colour: str, width: float) -> list[str]:
    runs: list[list[str]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append(f"{x:.1f},{y:.1f}")
    return [
        f'<polyline points="{" ".join(run)}" fill="none" stroke="{colour}" stroke-width="{width}" '
        'stroke-linejoin="round"/>'
        if len(run) > 1
        else f'<circle cx="{run[0].split(",")[0]}" cy="{run[0].split(",")[1]}" r="{width}" fill="{colour}"/>'
        for run in runs
        if run
    ]


def _empty(title: str) -> str:
    words = text(WIDTH / 2, 44, "NOT EVALUATED: nothing measured yet", MUTED, 10, "middle")
    return svg(WIDTH, 80, title, "nothing measured yet", [words])
