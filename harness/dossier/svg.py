"""Lines, words and the frame of a plot, as SVG with a text alternative."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

INK, MUTED, RULE, ACCENT, PALE = "#1b242e", "#5c6773", "#d3d9df", "#2f5672", "#f2f5f7"
PASS, FAIL, OPEN = "#0a6a74", "#a83a10", "#7a5c00"
SHADE = {"PASS": PASS, "FAIL": FAIL, "NOT EVALUATED": OPEN}
"""Blue-green and vermilion differ for every common colour blindness; a mark tells them apart in grey."""


def line(x0: float, y0: float, x1: float, y1: float, colour: str, width: float, dash: str = "") -> str:
    """A straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" '
        f'stroke-width="{width}"{dashed}/>'
    )


def text(x: float, y: float, words: str, colour: str, size: float, anchor: str, weight: int = 400) -> str:
    """Words, escaped; `anchor` is start, middle or end."""
    heavy = "" if weight == 400 else f' font-weight="{weight}"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" '
        f'text-anchor="{anchor}"{heavy}>{escape(words)}</text>'
    )


def svg(width: int, height: int, title: str, description: str, parts: Sequence[str]) -> str:
    """The plot with its title and, in words, everything that it shows.

    The PDF takes its alternative text from `<title>`: both go there.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="Inter, sans-serif" aria-label="{escape(title)}">'
        f"<title>{escape(title)}. {escape(description)}</title>{''.join(parts)}</svg>"
    )
