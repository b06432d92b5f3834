"""Pictures of the page, as SVG with a text alternative."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from harness.ab.decide import Endpoint
from harness.ab.guards import Guard
from harness.ab.robustness import Group
from harness.ab.words import LABELS, amount, difference, finding, margin
from harness.dossier import svg as draw
from harness.dossier.svg import ACCENT, FAIL, INK, MUTED, OPEN, PASS, RULE

OLD, NEW = "#8a96a3", ACCENT
GOOD, BAD = PASS, FAIL
SHADES: Final = {
    "better": GOOD, "not worse": NEW, "worse": BAD, "worse by more than the margin": BAD, "open": OPEN,
    "undefined": OPEN, "undecided": OPEN,
}  # fmt: skip
RATED: Final = ("#a83a10", "#d98b6a", "#d9dee3", "#7ba3c4", "#2f5672")
"""From 1 to 5."""


def endpoints(items: Sequence[Endpoint]) -> str:
    """A forest plot in units of each endpoint's margin: right is better, beyond -1 is too much of a loss."""
    width, left, right, top, line = 680, 176, 166, 28, 50
    plot, height = width - left - right, top + line * len(items) + 24
    ends = [
        abs(item.sign * end / item.margin)
        for item in items
        for end in (item.low, item.high)
        if end is not None
    ]
    reach = min(5.0, max(2.0, math.ceil(max(ends, default=2.0))))

    def x(units: float) -> float:
        return left + plot * (min(max(units, -reach), reach) + reach) / (2 * reach)

    bottom = top + line * len(items)
    parts = [
        _box(x(-reach), top - 8, x(-1) - x(-reach), bottom - top + 8, "#f8ece6"),
        _box(x(-1), top - 8, x(reach) - x(-1), bottom - top + 8, "#eef5f5"),
        draw.line(x(0), top - 8, x(0), bottom, INK, 0.9),
        draw.line(x(-1), top - 8, x(-1), bottom, BAD, 1.3, "4 3"),
        draw.text(x(-1), top - 13, "margin", BAD, 8.5, "middle"),
        draw.text(x(0) + 2, top - 13, "no difference", INK, 8.5, "start"),
        draw.text(x(-reach), bottom + 15, "← challenger worse", MUTED, 8.5, "start"),
        draw.text(x(reach), bottom + 15, "challenger better →", MUTED, 8.5, "end"),
    ]
    for place, item in enumerate(items):
        y, shade = top + line * (place + 0.5) - 4, SHADES[item.finding]
        label, _, unit = LABELS[item.name].partition(" (")
        parts.append(draw.text(0, y - 5, label, INK, 10, "start", 600))
        values = f"{amount(item.name, item.current)} → {amount(item.name, item.challenger)}"
        parts.append(draw.text(0, y + 9, values + (f"  ({unit}" if unit else ""), MUTED, 9, "start"))
        if item.low is not None and item.high is not None:
            low, high = sorted(item.sign * end / item.margin for end in (item.low, item.high))
            parts.append(draw.line(x(low), y, x(high), y, shade, 2.4))
            for end in (low, high):
                parts.append(_cap(x(end), y, end, reach, shade))
        if item.difference is None:
            parts.append(draw.text(x(0) + 8, y + 3, "could not be judged", MUTED, 9, "start"))
        else:
            parts.append(_dot(x(item.sign * item.difference / item.margin), y, 4.6, shade))
        parts.append(draw.text(width - right + 14, y - 6, finding(item), shade, 10, "start", 600))
        parts.append(draw.text(width - right + 14, y + 7, difference(item), INK, 8.6, "start"))
        parts.append(draw.text(width - right + 14, y + 18, f"margin {margin(item)}", MUTED, 8.2, "start"))
        if place:
            parts.append(draw.line(0, y - line / 2 + 4, width, y - line / 2 + 4, RULE, 0.5))
    told = "; ".join(
        f"{LABELS[item.name]}: {finding(item)}, {difference(item)}, margin {margin(item)}" for item in items
    )
    return draw.svg(width, round(height), "The four endpoints against their margins", told, parts)


def findings(items: Sequence[Guard]) -> str:
    """A forest plot of each critical finding in points of sensitivity, with its own margin and counts."""
    width, left, right, top, line = 680, 176, 166, 22, 42
    bottom = top + line * len(items)
    known = [abs(end) for item in items for end in (item.low, item.high, item.margin) if end is not None]
    reach = min(1.0, max(0.05, math.ceil(20 * 1.1 * max(known, default=0.05)) / 20))

    def x(value: float) -> float:
        share = (min(max(value, -reach), reach) + reach) / (2 * reach)
        return left + (width - left - right) * share

    parts = [draw.line(x(0), top - 8, x(0), bottom, INK, 0.9),
             draw.text(x(0) + 2, top - 13, "no difference", INK, 8.5, "start")]  # fmt: skip
    for value in (-reach, -reach / 2, reach / 2, reach):
        place = "start" if value == -reach else "end" if value == reach else "middle"
        parts.append(draw.text(x(value), bottom + 13, _points(value), MUTED, 8.5, place))
        parts.append(draw.line(x(value), bottom, x(value), bottom + 4, RULE, 0.8))
    parts.append(draw.text(x(0), bottom + 13, "points", MUTED, 8.5, "middle"))
    for row, item in enumerate(items):
        y, shade = top + line * (row + 0.5) - 4, SHADES[item.finding]
        parts.append(draw.text(0, y - 5, item.name.value, INK, 10, "start", 600))
        counts = f"{item.current:,}/{item.current_of:,} → {item.challenger:,}/{item.challenger_of:,}"
        parts.append(draw.text(0, y + 9, counts, MUTED, 9, "start"))
        if item.margin is not None:
            at = x(-item.margin)
            parts.append(_box(left, y - line / 2 + 6, at - left, line - 4, "#f8ece6"))
            parts.append(draw.line(at, y - line / 2 + 6, at, y + line / 2 + 2, BAD, 1.3, "4 3"))
        if item.low is not None and item.high is not None:
            parts.append(draw.line(x(item.low), y, x(item.high), y, shade, 2.4))
            parts += [_cap(x(end), y, end, reach, shade) for end in (item.low, item.high)]
        if item.difference is None:
            parts.append(draw.text(x(0) + 8, y + 3, "none was seen", MUTED, 9, "start"))
        else:
            parts.append(_dot(x(item.difference), y, 4.6, shade))
        parts.append(draw.text(width - right + 14, y - 6, finding(item), shade, 10, "start", 600))
        parts.append(draw.text(width - right + 14, y + 7, difference(item), INK, 8.6, "start"))
        allowed = f"margin {margin(item)}" if item.margin else "no margin"
        parts.append(draw.text(width - right + 14, y + 18, allowed, MUTED, 8.2, "start"))
        if row:
            parts.append(draw.line(0, y - line / 2 + 4, width, y - line / 2 + 4, RULE, 0.5))
    told = "; ".join(
        f"{item.name.value}: {item.current} of {item.current_of} against {item.challenger} of "
        f"{item.challenger_of}, {finding(item)}, {difference(item)}, margin {margin(item)}"
        for item in items
    )
    return draw.svg(width, round(bottom + 18), "Each critical finding against its margin", told, parts)


def _points(value: float) -> str:
    return f"{100 * value:+.3g}".replace("-", "−")


def readers(groups: Sequence[Group], critical: Sequence[Group], title: str) -> str:
    """Mean ratings of each reader or site, of either model's drafts, and what their drafts missed.

    Args:
        groups: of ratings.
        critical: of critical findings, the same readers or sites in the same order.
        title: of the picture.
    """
    width, left, right, top, line = 680, 80, 300, 26, 22
    known = [value for item in groups for value in (item.current, item.challenger) if value is not None]
    low = max(1.0, math.floor(2 * min(known, default=1.0) - 0.2) / 2)
    high = min(5.0, max(math.ceil(2 * max(known, default=5.0) + 0.2) / 2, low + 1))
    low = min(low, high - 1)
    bottom = top + line * len(groups)

    def x(value: float) -> float:
        return left + (width - left - right) * (value - low) / (high - low)

    parts = [
        _dot(left + 5, 8, 4, "#fff", OLD),
        draw.text(left + 14, 11, "current model", MUTED, 8.5, "start"),
        _dot(left + 95, 8, 4.6, NEW),
        draw.text(left + 104, 11, "challenger", MUTED, 8.5, "start"),
        draw.text(width - right + 14, 11, "difference (95% interval)", MUTED, 8.5, "start"),
        draw.text(width - 128, 11, "studies", MUTED, 8.5, "end"),
        draw.text(width, 11, "critical findings missed", MUTED, 8.5, "end"),
    ]
    for step in range(round(2 * (high - low)) + 1):
        tick = low + step / 2
        parts.append(draw.line(x(tick), top - 4, x(tick), bottom, RULE, 0.6))
        parts.append(draw.text(x(tick), bottom + 12, f"{tick:g}", MUTED, 8.5, "middle"))
    for place, (item, found) in enumerate(zip(groups, critical, strict=True)):
        y = top + line * (place + 0.5) - 2
        parts.append(draw.text(left - 10, y + 3, item.name, INK, 9.5, "end"))
        lost = found.high is not None and found.high < 0
        parts.append(draw.text(width, y + 3, missed(found), BAD if lost else INK, 8.6, "end"))
        parts.append(draw.text(width - 128, y + 3, f"{item.studies:,}", INK, 8.6, "end"))
        if item.current is None or item.challenger is None:
            parts.append(draw.text(left + 6, y + 3, "rated one model only", MUTED, 8.5, "start"))
            continue
        worse = item.high is not None and item.high < 0
        shade = BAD if worse else NEW
        parts.append(draw.line(x(item.current), y, x(item.challenger), y, shade, 2))
        parts.append(_dot(x(item.current), y, 4, "#fff", OLD))
        parts.append(_dot(x(item.challenger), y, 4.6, shade))
        parts.append(
            draw.text(
                width - right + 14, y + 3, group_difference(item), shade if worse else INK, 8.6, "start"
            )
        )
    told = "; ".join(
        f"{item.name}: {group_difference(item)}, {item.studies:,} studies, critical findings missed "
        f"{missed(found)}"
        for item, found in zip(groups, critical, strict=True)
    )
    return draw.svg(width, round(bottom + 18), title, told, parts)


def group_difference(item: Group) -> str:
    """`+0.22 (+0.07 to +0.37)`."""
    ends = "" if item.low is None or item.high is None else f" ({item.low:+.2f} to {item.high:+.2f})"
    value = "–" if item.difference is None else f"{item.difference:+.2f}"
    return f"{value}{ends}".replace("-", "−")


def missed(item: Group) -> str:
    """`4 of 82 → 1 of 82`: by the current model's drafts, and by the challenger's."""
    pairs = zip(item.missed or (0, 0), item.findings or (0, 0), strict=True)
    return " → ".join(f"{part:,} of {whole:,}" for part, whole in pairs)


def distribution(rows: Sequence[tuple[str, Sequence[int]]]) -> str:
    """How often each rating was given, in each arm, as shares of a bar."""
    width, left, right, top, line = 680, 120, 60, 22, 28
    plot = width - left - right
    parts = []
    for place, shade in enumerate(RATED):
        parts.append(_box(left + 46 * place, 2, 10, 10, shade))
        parts.append(draw.text(left + 46 * place + 14, 11, str(place + 1), MUTED, 8.5, "start"))
    for place, (label, counts) in enumerate(rows):
        y, at, total = top + line * place, float(left), max(1, sum(counts))
        parts.append(draw.text(left - 10, y + 14, label, INK, 9.5, "end"))
        for count, shade, ink in zip(counts, RATED, ("#fff", INK, INK, INK, "#fff"), strict=True):
            size = plot * count / total
            parts.append(_box(at, y, size, 20, shade))
            if count / total >= 0.04:
                parts.append(
                    draw.text(at + size / 2, y + 13.5, f"{100 * count / total:.0f}%", ink, 8.5, "middle")
                )
            at += size
        parts.append(draw.text(left + plot + 8, y + 14, f"{sum(counts):,}", MUTED, 8.5, "start"))
    told = "; ".join(f"{label}: {', '.join(map(str, counts))}" for label, counts in rows)
    return draw.svg(width, round(top + line * len(rows)), "Ratings given, 1 to 5", told, parts)


def _cap(x: float, y: float, units: float, reach: float, shade: str) -> str:
    """The end of an interval; an arrow head where it goes on beyond the picture."""
    if abs(units) <= reach:
        return draw.line(x, y - 4.5, x, y + 4.5, shade, 2)
    way = 6 if units < 0 else -6
    return f'<path d="M{x:.1f} {y:.1f}l{way} -4.5v9z" fill="{shade}"/>'


def _dot(x: float, y: float, size: float, shade: str, edge: str = "#fff") -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{shade}" stroke="{edge}" stroke-width="1.5"/>'


def _box(x: float, y: float, width: float, height: float, shade: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}" fill="{shade}"/>'
    )
