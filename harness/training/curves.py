"""Line charts of a training, as SVG with a text alternative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

_INK, _MUTED, _RULE = "#1d2733", "#66727f", "#d5dbe1"
_COLOURS: Final = ("#1f5a8a", "#1f5a8a", "#9a6700", "#1c6e4a")
_WIDTH, _LEFT, _RIGHT, _PANEL, _GAP, _TOP = 640, 48, 16, 150, 34, 48


@dataclass(frozen=True, slots=True)
class Curve:
    """A named series; None where it has no value."""

    name: str
    values: Sequence[float | None]
    panel: Literal["loss", "share"]
    """Losses have an axis from 0 to the greatest; shares one from 0 to 1."""
    dashed: bool = False


def curves(steps: Sequence[str], lines: Sequence[Curve], title: str, marked: int | None = None) -> str:
    """Losses above, shares below, over the same steps; a rule marks one step.

    Args:
        steps: names of the steps, from left to right.
        lines: each as long as `steps`.
        title: said to those who cannot see it.
        marked: index of the step that was kept.
    """
    most = max(
        (v for line in lines if line.panel == "loss" for v in line.values if v is not None), default=1.0
    )
    tops = {"loss": (_TOP, most or 1.0), "share": (_TOP + _PANEL + _GAP, 1.0)}
    room = _WIDTH - _LEFT - _RIGHT

    def x(index: int) -> float:
        return _LEFT + room * (index + 0.5) / max(1, len(steps))

    parts = []
    for panel, (top, high) in tops.items():
        for tick in range(5):
            y = top + _PANEL * (1 - tick / 4)
            parts.append(
                f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{_RULE}" stroke-width="0.6"/>'
            )
            parts.append(_text(_LEFT - 6, y + 3, f"{high * tick / 4:.2f}", "end"))
        parts.append(_text(_LEFT, top - 6, "nats" if panel == "loss" else "share", "start"))
    bottom = _TOP + 2 * _PANEL + _GAP
    if marked is not None:
        parts.append(
            f'<path d="M{x(marked):.1f} {_TOP}V{bottom}" stroke="{_INK}" stroke-dasharray="3 2"/>'
            + _text(x(marked), bottom + 26, "kept", "middle")
        )
    for index, name in enumerate(steps):
        if index % max(1, len(steps) // 8) == 0:
            parts.append(_text(x(index), bottom + 13, name, "middle"))
    start = float(_LEFT)
    for line, colour in zip(lines, _COLOURS, strict=False):
        top, high = tops[line.panel]
        dash = ' stroke-dasharray="4 3"' if line.dashed else ""
        parts.append(f'<path d="M{start:.0f} 14h14" stroke="{colour}" stroke-width="1.8"{dash}/>')
        parts.append(_text(start + 18, 17, line.name, "start"))
        start += 34 + 4.7 * len(line.name)
        path, pen = "", "M"
        for index, value in enumerate(line.values):
            if value is None:
                pen = "M"
                continue
            y = top + _PANEL * (1 - min(max(value / high, 0), 1))
            path += f"{pen}{x(index):.1f} {y:.1f}"
            parts.append(f'<circle cx="{x(index):.1f}" cy="{y:.1f}" r="1.8" fill="{colour}"/>')
            pen = "L"
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
    told = "; ".join(
        f"{line.name}: {', '.join('none' if v is None else f'{v:.3f}' for v in line.values)}"
        for line in lines
    )
    height = bottom + 34
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" font-family="Inter, sans-serif" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{_MUTED}" font-size="8.5" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
