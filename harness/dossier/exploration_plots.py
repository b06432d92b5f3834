"""Plots of a cohort analysis, as SVG with everything they show in words."""

from __future__ import annotations

from collections.abc import Sequence

from harness.dossier.svg import ACCENT, INK, MUTED, RULE, line, svg, text
from harness.exploration.model import Exploration, Spread
from harness.report import CRITICAL, FINDINGS


def histogram(spread: Spread, title: str, unit: str) -> str:
    """Counts of studies by value, with the median as a dashed line."""
    width, height, left, right, top, bottom = 640, 150, 46, 12, 18, 112
    plot, most = width - left - right, max(spread.counts, default=0) or 1
    low, high = spread.edges[0], spread.edges[-1]
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = bottom - (bottom - top) * share
        parts.append(line(left, y, width - right, y, RULE, 0.6))
        parts.append(text(left - 6, y + 3, f"{most * share:,.0f}", MUTED, 8, "end"))
    bar = plot / len(spread.counts)
    for place, count in enumerate(spread.counts):
        tall = (bottom - top) * count / most
        parts.append(
            f'<rect x="{left + bar * place + 0.7:.1f}" y="{bottom - tall:.1f}" width="{bar - 1.4:.1f}" '
            f'height="{tall:.1f}" fill="{ACCENT}"/>'
        )
    every = max(1, len(spread.edges) // 12)
    for place, edge in enumerate(spread.edges):
        if place % every == 0:
            parts.append(text(left + bar * place, bottom + 13, f"{edge:,}", MUTED, 8, "middle"))
    x = left + plot * (min(spread.median, high) - low) / (high - low)
    parts.append(line(x, top - 4, x, bottom, INK, 1.2, "3 2"))
    parts.append(text(x, top - 7, f"median {spread.median:g}", INK, 8, "middle"))
    parts.append(text(left + plot / 2, bottom + 29, unit, MUTED, 8.5, "middle"))
    told = ", ".join(
        f"{start} to {end - 1}: {count}"
        for start, end, count in zip(spread.edges, spread.edges[1:], spread.counts, strict=False)
        if count
    )
    return svg(width, height, title, f"{unit}; studies: {told}; median {spread.median:g}", parts)


def together(exploration: Exploration, title: str) -> str:
    """Which findings come together: each row's positives that have the column's finding too.

    Darker where the share of the row's positives is greater; the number is the studies.
    """
    cell, left, top = 31, 150, 96
    width = 640
    parts, told = [], []
    for column, finding in enumerate(FINDINGS):
        weight = ' font-weight="600"' if finding in CRITICAL else ""
        parts.append(
            f'<text transform="translate({left + cell * (column + 0.5) + 3:.1f} {top - 8}) rotate(-45)" '
            f'fill="{INK}" font-size="8.5"{weight}>{finding}</text>'
        )
    for row, finding in enumerate(FINDINGS):
        y, positives = top + 22 * row, exploration.together[row][row]
        parts.append(text(left - 8, y + 14, str(finding), INK, 9, "end", 600 if finding in CRITICAL else 400))
        for column, other in enumerate(FINDINGS):
            count, own = exploration.together[row][column], row == column
            share = 0.0 if own or not positives else count / positives
            parts.append(
                f'<rect x="{left + cell * column + 0.8:.1f}" y="{y + 0.8:.1f}" width="{cell - 1.6:.1f}" '
                f'height="20.4" fill="{ACCENT}" fill-opacity="{0.6 * share:.3f}" '
                f'stroke="{INK if own else RULE}" stroke-width="{1.2 if own else 0.6}"/>'
            )
            shown, colour = (f"{count:,}", INK) if count else ("·", MUTED)
            parts.append(
                text(left + cell * (column + 0.5), y + 14, shown, colour, 8, "middle", 600 if own else 400)
            )
            if count and column > row:
                told.append(f"{finding} and {other}: {count}")
    return svg(width, top + 22 * len(FINDINGS) + 6, title, "; ".join(told) or "no two findings", parts)


def labels(exploration: Exploration, title: str) -> str:
    """Positive, uncertain, negative and blank studies of each finding, as parts of one bar."""
    names = ("positive", "uncertain", "negative", "not mentioned", "not covered")
    shades = (ACCENT, "#7f9db1", "#b9c8d2", "#e6ebef", "#ffffff")
    line_height, left, right, top, width = 18, 150, 96, 24, 640
    plot = width - left - right
    parts: list[str] = []
    start = float(left)
    for name, shade in zip(names, shades, strict=True):
        parts.append(
            f'<rect x="{start:.1f}" y="4" width="9" height="9" fill="{shade}" stroke="{MUTED}" '
            'stroke-width="0.5"/>'
        )
        parts.append(text(start + 13, 12, name, MUTED, 8.5, "start"))
        start += 32 + 4.9 * len(name)
    told = []
    for place, item in enumerate(exploration.findings):
        y, at = top + line_height * place, float(left)
        counts: Sequence[int] = (item.positive, item.uncertain, item.negative, item.blank, item.not_covered)
        parts.append(text(left - 8, y + 11, str(item.finding), INK, 9, "end", 600 if item.critical else 400))
        for count, shade in zip(counts, shades, strict=True):
            size = plot * count / exploration.studies
            parts.append(
                f'<rect x="{at:.2f}" y="{y + 2}" width="{size:.2f}" height="12" fill="{shade}" '
                f'stroke="{MUTED}" stroke-width="0.4"/>'
            )
            at += size
        parts.append(
            text(width - right + 8, y + 11, f"{item.positive:,} + {item.uncertain:,}", MUTED, 8.5, "start")
        )
        told.append(
            f"{item.finding}: "
            + ", ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
        )
    return svg(width, top + line_height * len(exploration.findings) + 4, title, "; ".join(told), parts)
