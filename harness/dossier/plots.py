"""Vector plots for the dossier, as SVG with a text alternative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.dossier.svg import ACCENT, INK, MUTED, PALE, RULE, SHADE, line, svg, text


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a forest plot."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    note: str = ""
    threshold: float | None = None
    """Drawn as a tick across this row."""
    status: str = ""
    """PASS, FAIL or NOT EVALUATED: gives mark and colour; the mark differs too, for print in grey."""


def forest(rows: Sequence[Row], title: str, low: float = 0.0, high: float = 1.0) -> str:
    """Values with their intervals, one row each, against a common axis from `low` to `high`."""
    step_y, left, right, top, width = 20, 210, 128, 8, 640
    plot = width - left - right
    height = top + step_y * len(rows) + 26

    def x(value: float) -> float:
        inside = min(max(value, low), high)
        return left + plot * (inside - low) / (high - low)

    parts = []
    bottom = top + step_y * len(rows)
    for step in range(6):
        value = low + (high - low) * step / 5
        parts.append(line(x(value), top, x(value), bottom, RULE, 0.6))
        parts.append(text(x(value), bottom + 14, f"{value:.2f}", MUTED, 8.5, "middle"))
    for place, row in enumerate(rows):
        y = top + step_y * (place + 0.5)
        colour = SHADE.get(row.status, ACCENT)
        parts.append(text(left - 10, y + 3, row.label, INK, 9.5, "end"))
        if row.low is not None and row.high is not None:
            parts.append(line(x(row.low), y, x(row.high), y, colour, 1.6))
            for end in (row.low, row.high):
                if low <= end <= high:
                    parts.append(line(x(end), y - 3.5, x(end), y + 3.5, colour, 1.6))
        if row.threshold is not None:
            parts.append(line(x(row.threshold), y - 8, x(row.threshold), y + 8, INK, 1.2, "3 2"))
        if row.value is None:
            parts.append(
                text(
                    left + 6,
                    y + 3,
                    row.note if row.note == "suppressed" else "undefined",
                    MUTED,
                    8.5,
                    "start",
                )
            )
        else:
            parts.append(_mark(x(row.value), y, colour, row.status))
        parts.append(text(width - right + 12, y + 3, row.note, MUTED, 8.5, "start"))
    return svg(width, height, title, _described(rows), parts)


def bars(rows: Sequence[tuple[str, Sequence[int]]], names: Sequence[str], title: str) -> str:
    """Stacked counts, one bar a row; the first part is darkest."""
    shades = (ACCENT, "#8fabbd", "#d5e0e7")
    step_y, left, right, top, width = 17, 210, 128, 20, 640
    most = max((sum(counts) for _, counts in rows), default=0) or 1
    plot = width - left - right
    parts = []
    start = float(left)
    for name, shade in zip(names, shades, strict=False):
        parts.append(f'<rect x="{start:.1f}" y="3" width="9" height="9" fill="{shade}"/>')
        parts.append(text(start + 13, 11, name, MUTED, 8.5, "start"))
        start += 30 + 5.2 * len(name)
    for place, (label, counts) in enumerate(rows):
        y = top + step_y * place
        parts.append(text(left - 10, y + 11, label, INK, 9.5, "end"))
        at = float(left)
        for count, shade in zip(counts, shades, strict=False):
            size = plot * count / most
            parts.append(f'<rect x="{at:.1f}" y="{y + 3}" width="{size:.1f}" height="11" fill="{shade}"/>')
            at += size
        parts.append(text(at + 6, y + 12, " + ".join(f"{count:,}" for count in counts), MUTED, 8.5, "start"))
    told = "; ".join(f"{label}: {', '.join(map(str, counts))}" for label, counts in rows)
    return svg(width, top + step_y * len(rows) + 4, title, told, parts)


Count = int | str
"""A number, or the word that stands where one is suppressed."""


def flow(steps: Sequence[tuple[str, Count, Sequence[tuple[str, Count]]]], title: str) -> str:
    """A flow diagram: boxes one below the other, with what was left out between them at the side."""
    width, box, gap = 640, 40, 22
    parts: list[str] = []
    y = 4.0
    for place, (label, count, out) in enumerate(steps):
        parts.append(
            f'<rect x="40" y="{y}" width="250" height="{box}" rx="2" fill="{PALE}" stroke="{ACCENT}"/>'
        )
        parts.append(text(165, y + 17, label, INK, 10, "middle"))
        parts.append(text(165, y + 32, f"{_told(count)} studies", MUTED, 9.5, "middle"))
        lines = [f"{_told(number)}  {reason}" for reason, number in out]
        room = max(gap, 12 * len(lines) + 14) if place < len(steps) - 1 else 0
        if place < len(steps) - 1:
            end = y + box + room
            parts.append(line(165, y + box, 165, end - 5, MUTED, 1))
            parts.append(f'<path d="M161 {end - 6} L165 {end} L169 {end - 6} Z" fill="{MUTED}"/>')
            if lines:
                middle = y + box + room / 2 - 3
                parts.append(line(165, middle, 320, middle, MUTED, 1))
                first = middle - 6 * (len(lines) - 1) + 3
                parts += [text(328, first + 12 * n, told, INK, 9, "start") for n, told in enumerate(lines)]
        y += box + room
    told = "; ".join(f"{label}: {count}" for label, count, _ in steps)
    return svg(width, int(y + 6), title, told, parts)


def _told(count: Count) -> str:
    return count if isinstance(count, str) else f"{count:,}"


def _described(rows: Sequence[Row]) -> str:
    return "; ".join(
        f"{row.label}: undefined"
        if row.value is None
        else f"{row.label}: {row.value:.3f}"
        + (f" ({row.low:.3f} to {row.high:.3f})" if row.low is not None and row.high is not None else "")
        for row in rows
    )


def _mark(x: float, y: float, colour: str, status: str) -> str:
    if status == "FAIL":
        return f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" stroke="{colour}" stroke-width="2.2"/>'
    if status == "NOT EVALUATED":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="#fff" stroke="{colour}" stroke-width="1.8"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.8" fill="{colour}"/>'
