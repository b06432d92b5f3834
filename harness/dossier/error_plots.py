"""Plots of an error analysis, as SVG with everything they show in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.dossier.plots import Row, forest
from harness.dossier.svg import ACCENT, INK, MUTED, RULE, line, svg, text
from harness.error_analysis.model import ConfusionRow, FindingErrors, QualityAnalysis, QualityMeasure, Rate
from harness.measures.hallucination_rate import CLAIMS
from harness.report import CRITICAL

_ORDER: Final = (*CRITICAL, *(finding for finding in CLAIMS if finding not in CRITICAL))


def confusion(rows: Sequence[ConfusionRow], title: str) -> str:
    """Reference positives by what was reported: a grid, darker where more of a row's positives lie.

    What was detected is framed, so that print in grey tells it from what was said instead.
    """
    cell_x, cell_y, left, top, width = 34, 27, 140, 98, 640
    parts = []
    for place, finding in enumerate(_ORDER):
        x = left + cell_x * (place + 0.5)
        weight = ' font-weight="600"' if finding in CRITICAL else ""
        parts.append(
            f'<text transform="translate({x + 3:.1f} {top - 8}) rotate(-45)" fill="{INK}" '
            f'font-size="8.5"{weight}>{finding}</text>'
        )
    told = []
    for place, row in enumerate(rows):
        y = top + cell_y * place
        parts.append(text(left - 10, y + 12, str(row.finding), INK, 9.5, "end", 600))
        parts.append(text(left - 10, y + 22, f"{row.positives:,} positives", MUTED, 8, "end"))
        for column, finding in enumerate(_ORDER):
            count, own = row.reported[finding], finding is row.finding
            share = count / row.positives if row.positives else 0.0
            stroke, thick = (INK, 1.6) if own else (RULE, 0.6)
            parts.append(
                f'<rect x="{left + cell_x * column + 1:.1f}" y="{y + 1:.1f}" width="{cell_x - 2}" '
                f'height="{cell_y - 2}" fill="{ACCENT}" fill-opacity="{0.55 * share:.3f}" '
                f'stroke="{stroke}" stroke-width="{thick}"/>'
            )
            shown, colour = (f"{count:,}", INK) if count else ("·", MUTED)
            parts.append(
                text(left + cell_x * (column + 0.5), y + 17, shown, colour, 9, "middle", 600 if own else 400)
            )
        instead = ", ".join(
            f"{name} {row.reported[name]}"
            for name in _ORDER
            if name is not row.finding and row.reported[name]
        )
        told.append(
            f"{row.finding}: {row.detected} of {row.positives} detected; said instead: {instead or 'nothing'}"
        )
    return svg(width, top + cell_y * len(rows) + 6, title, "; ".join(told), parts)


def by_prevalence(findings: Sequence[FindingErrors], which: str, title: str) -> str:
    """One rate of every finding that has one, the most common finding first."""
    known = [item for item in findings if item.prevalence.denominator and getattr(item, which).denominator]
    known.sort(key=lambda item: (-item.prevalence.estimate, item.finding))
    rows = [
        Row(
            f"{item.finding}{' *' if item.critical else ''}  {item.prevalence.estimate:.1%}",
            rate.estimate, rate.low, rate.high, f"{rate.numerator:,} / {rate.denominator:,}",
        )
        for item in known
        for rate in [getattr(item, which)]
    ]  # fmt: skip
    return forest(rows, title)


def by_quality(analysis: QualityAnalysis, measure: QualityMeasure) -> str:
    """Error rates by quarter of one measure, a panel an outcome, with intervals."""
    width, height, top, bottom, gap, left = 640, 112, 22, 84, 34, 34
    panel = (width - left - gap * (len(analysis.outcomes) - 1) - 8) / len(analysis.outcomes)
    parts, told = [], []
    for number, outcome in enumerate(analysis.outcomes):
        x0 = left + number * (panel + gap)
        parts.append(text(x0, 11, outcome[0].upper() + outcome[1:], INK, 8.5, "start", 600))
        rates = [one.rates[number] for one in measure.bins]
        highest = _ceiling(rates)
        for share in (0.0, 0.5, 1.0):
            y = bottom - (bottom - top) * share
            parts.append(line(x0, y, x0 + panel, y, RULE, 0.6))
            parts.append(text(x0 - 5, y + 3, f"{highest * share:.0%}", MUTED, 7.5, "end"))
        step = panel / max(1, len(rates))
        for place, (one, rate) in enumerate(zip(measure.bins, rates, strict=True)):
            x = x0 + step * (place + 0.5)
            parts.append(text(x, bottom + 12, _short(one.low), MUTED, 7.5, "middle"))
            parts.append(text(x, bottom + 21, f"to {_short(one.high)}", MUTED, 7.5, "middle"))
            if not rate.denominator:
                parts.append(text(x, bottom - 4, "none", MUTED, 7.5, "middle"))
                continue
            y, low, high = (
                bottom - (bottom - top) * min(1.0, value / highest)
                for value in (rate.estimate, rate.low, rate.high)
            )
            parts.append(line(x, low, x, high, ACCENT, 1.6))
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{ACCENT}"/>')
        told.append(
            f"{outcome}: "
            + ", ".join(_told(one.low, one.high, rate) for one, rate in zip(measure.bins, rates, strict=True))
        )
    return svg(width, height, f"Errors by {measure.name}", "; ".join(told), parts)


def _told(low: float, high: float, rate: Rate) -> str:
    shown = f"{rate.estimate:.3f} ({rate.low:.3f} to {rate.high:.3f})" if rate.denominator else "none"
    return f"{_short(low)} to {_short(high)} {shown}"


def _ceiling(rates: Sequence[Rate]) -> float:
    most = max((rate.high for rate in rates if rate.denominator), default=1.0)
    return next(top for top in (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if most <= top or top == 1.0)


def _short(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
