"""Vector plots for the dossier, as SVG with a text alternative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

INK, MUTED, RULE, ACCENT = "#1d2733", "#66727f", "#d5dbe1", "#1f5a8a"
PASS, FAIL, OPEN = "#1c6e4a", "#a3262a", "#9a6700"
SHADE = {"PASS": PASS, "FAIL": FAIL, "NOT EVALUATED": OPEN}


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
    line, left, right, top, width = 20, 210, 128, 8, 640
    plot = width - left - right
    height = top + line * len(rows) + 26

    def x(value: float) -> float:
        inside = min(max(value, low), high)
        return left + plot * (inside - low) / (high - low)

    parts = []
    bottom = top + line * len(rows)
    for step in range(6):
        value = low + (high - low) * step / 5
        parts.append(_line(x(value), top, x(value), bottom, RULE, 0.6))
        parts.append(_text(x(value), bottom + 14, f"{value:.2f}", MUTED, 8.5, "middle"))
    for place, row in enumerate(rows):
        y = top + line * (place + 0.5)
        colour = SHADE.get(row.status, ACCENT)
        parts.append(_text(left - 10, y + 3, row.label, INK, 9.5, "end"))
        if row.low is not None and row.high is not None:
            parts.append(_line(x(row.low), y, x(row.high), y, colour, 1.6))
            for end in (row.low, row.high):
                if low <= end <= high:
                    parts.append(_line(x(end), y - 3.5, x(end), y + 3.5, colour, 1.6))
        if row.threshold is not None:
            parts.append(_line(x(row.threshold), y - 8, x(row.threshold), y + 8, INK, 1.2, "3 2"))
        if row.value is None:
            parts.append(_text(left + 6, y + 3, "undefined", MUTED, 8.5, "start"))
        else:
            parts.append(_mark(x(row.value), y, colour, row.status))
        parts.append(_text(width - right + 12, y + 3, row.note, MUTED, 8.5, "start"))
    return _svg(width, height, title, _described(rows), parts)


def bars(rows: Sequence[tuple[str, Sequence[int]]], names: Sequence[str], title: str) -> str:
    """Stacked counts, one bar a row; the first part is darkest."""
    shades = (ACCENT, "#7ba3c4", "#c9d9e6")
    line, left, right, top, width = 17, 210, 128, 20, 640
    most = max((sum(counts) for _, counts in rows), default=0) or 1
    plot = width - left - right
    parts = []
    start = float(left)
    for name, shade in zip(names, shades, strict=False):
        parts.append(f'<rect x="{start:.1f}" y="3" width="9" height="9" fill="{shade}"/>')
        parts.append(_text(start + 13, 11, name, MUTED, 8.5, "start"))
        start += 30 + 5.2 * len(name)
    for place, (label, counts) in enumerate(rows):
        y = top + line * place
        parts.append(_text(left - 10, y + 11, label, INK, 9.5, "end"))
        at = float(left)
        for count, shade in zip(counts, shades, strict=False):
            size = plot * count / most
            parts.append(f'<rect x="{at:.1f}" y="{y + 3}" width="{size:.1f}" height="11" fill="{shade}"/>')
            at += size
        parts.append(_text(at + 6, y + 12, " + ".join(f"{count:,}" for count in counts), MUTED, 8.5, "start"))
    told = "; ".join(f"{label}: {', '.join(map(str, counts))}" for label, counts in rows)
    return _svg(width, top + line * len(rows) + 4, title, told, parts)


def flow(steps: Sequence[tuple[str, int, Sequence[tuple[str, int]]]], title: str) -> str:
    """A flow diagram: boxes one below the other, with what was left out between them at the side."""
    width, box, gap = 640, 40, 22
    parts: list[str] = []
    y = 4.0
    for place, (label, count, out) in enumerate(steps):
        parts.append(
            f'<rect x="40" y="{y}" width="250" height="{box}" rx="2" fill="#f3f6f9" stroke="{ACCENT}"/>'
        )
        parts.append(_text(165, y + 17, label, INK, 10, "middle"))
        parts.append(_text(165, y + 32, f"{count:,} studies", MUTED, 9.5, "middle"))
        lines = [f"{number:,}  {reason}" for reason, number in out]
        room = max(gap, 12 * len(lines) + 14) if place < len(steps) - 1 else 0
        if place < len(steps) - 1:
            end = y + box + room
            parts.append(_line(165, y + box, 165, end - 5, MUTED, 1))
            parts.append(f'<path d="M161 {end - 6} L165 {end} L169 {end - 6} Z" fill="{MUTED}"/>')
            if lines:
                middle = y + box + room / 2 - 3
                parts.append(_line(165, middle, 320, middle, MUTED, 1))
                first = middle - 6 * (len(lines) - 1) + 3
                parts += [_text(328, first + 12 * n, text, INK, 9, "start") for n, text in enumerate(lines)]
        y += box + room
    told = "; ".join(f"{label}: {count}" for label, count, _ in steps)
    return _svg(width, int(y + 6), title, told, parts)


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


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, width: float, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"{dashed}/>'
    )


def _text(x: float, y: float, text: str, colour: str, size: float, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _svg(width: int, height: int, title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="Inter, sans-serif" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )
