"""What people read of a shadow deployment: the verdict, its page, and the list for review."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from harness.dossier import svg as draw
from harness.dossier.render import COMMON, render_template
from harness.dossier.svg import FAIL, INK, MUTED, RULE, SHADE
from harness.evidence.identifiers import open_identifiers
from harness.ledger import write_atomically
from harness.monitoring.judge import iso
from harness.staging.shadow import Shadow

SHOWN: Final = 50
"""Disagreements on the page; the list for review has all."""
BANNER: Final = {"PASS": "pass", "FAIL": "fail", "NOT EVALUATED": "open"}


def disagreements(shadow: Shadow) -> list[dict[str, str]]:
    """Critical findings that one report alone claims; those that the new model may have missed first."""
    names = open_identifiers(shadow.root)
    rows = []
    for study, pair in shadow.pairs.pairs.items():
        reading = shadow.pairs.readings.get(study)
        for finding in pair.disagreement:
            missed = pair.production.claims(finding)
            seen = "not read yet"
            if reading is not None:
                there = finding in reading.sure
                seen = "contested" if finding in reading.contested else "there" if there else "not there"
            rows.append(
                {
                    "review_id": names.study(study), "study_id": study, "time": iso(pair.time),
                    "finding": finding.value, "production": "claims it" if missed else "is silent",
                    "shadow": "is silent" if missed else "claims it", "reading": seen,
                }
            )  # fmt: skip
    order = {"there": 0, "contested": 1, "not read yet": 2, "not there": 3}
    return sorted(rows, key=lambda row: (row["shadow"] != "is silent", order[row["reading"]], row["time"]))


def write_review(shadow: Shadow) -> Path:
    """Writes review.csv, with study ids, for the radiologists on the spot; readable by its owner alone.

    Raises:
        LedgerError: the folder cannot be written.
    """
    rows = disagreements(shadow)
    text = io.StringIO()
    names = ("review_id", "study_id", "time", "finding", "production", "shadow", "reading")
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    path = shadow.root / "review.csv"
    write_atomically(path, text.getvalue().encode())
    path.chmod(0o600)
    return path


def write_verdict(shadow: Shadow) -> list[Path]:
    """Writes shadow.json and shadow.html; neither holds an id that means something elsewhere.

    Raises:
        LedgerError: the folder cannot be written. HarnessError: the page engine is not installed.
    """
    assert shadow.verdict is not None  # noqa: S101 - there is a verdict to write
    root, config = shadow.root, shadow.config
    head = {"name": config.name, "declaration": config.digest(), "start": shadow.start.isoformat(),
            "hours": config.hours, "production": config.production.model_dump(),
            "shadow": config.shadow.model_dump()}  # fmt: skip
    looks = [
        {key: look[key] for key in ("share", "positives", "studies", "level", "harm", "stops")}
        for look in shadow.looks
    ]
    text = json.dumps({**head, "looks": looks, "verdict": shadow.verdict}, indent=1, allow_nan=False)
    paths = [root / "shadow.json", root / "shadow.html"]
    write_atomically(paths[0], text.encode() + b"\n")
    write_atomically(paths[1], render(shadow).encode())
    return paths


def render(shadow: Shadow) -> str:
    """The whole page, self-contained.

    Raises:
        HarnessError: the page engine is not installed.
    """
    verdict = shadow.verdict
    assert verdict is not None  # noqa: S101 - as above
    rows = disagreements(shadow)
    return render_template(
        "shadow.html.j2",
        {
            "shadow": shadow, "config": shadow.config, "verdict": verdict, "shade": BANNER,
             "plot": forest(verdict["measures"]), "points": points,
            "disagreements": [{key: row[key] for key in row if key != "study_id"} for row in rows[:SHOWN]],
            "total": len(rows), "missed": sum(row["shadow"] == "is silent" for row in rows),
            "unread": sum(row["reading"] == "not read yet" for row in rows),
        },
        (COMMON, "ab.css"),
    )  # fmt: skip


def points(value: float | None, sign: str = "+") -> str:
    """A difference of shares in percentage points; a dash where there is none."""
    return "–" if value is None else f"{100 * value:{sign}.1f}".replace("-", "−")


def forest(items: Sequence[Mapping[str, Any]]) -> str:
    """Differences in units of each margin: right is better, beyond −1 is too much of a loss."""
    width, left, right, top, row = 680, 196, 150, 28, 40
    plot, bottom, reach = width - left - right, top + row * len(items), 3.0

    def x(units: float) -> float:
        return left + plot * (min(max(units, -reach), reach) + reach) / (2 * reach)

    parts = [
        f'<rect x="{x(-reach):.1f}" y="{top - 8}" width="{x(-1) - x(-reach):.1f}" '
        f'height="{bottom - top + 8}" fill="#f8ece6"/>',
        draw.line(x(0), top - 8, x(0), bottom, INK, 0.9),
        draw.line(x(-1), top - 8, x(-1), bottom, FAIL, 1.3, "4 3"),
        draw.text(x(-1), top - 13, "margin", FAIL, 8.5, "middle"),
        draw.text(x(0) + 2, top - 13, "no difference", INK, 8.5, "start"),
        draw.text(x(-reach), bottom + 14, "← new model worse", MUTED, 8.5, "start"),
        draw.text(x(reach), bottom + 14, "new model better →", MUTED, 8.5, "end"),
    ]
    told = []
    for place, item in enumerate(items):
        y, shade = top + row * (place + 0.5) - 4, SHADE[item["status"]]
        sign = 1 if item["higher_is_better"] else -1
        values = " → ".join("–" if item[k] is None else f"{item[k]:.1%}" for k in ("current", "challenger"))
        parts += [
            draw.text(0, y - 3, item["label"], INK, 9.5, "start", 600),
            draw.text(0, y + 9, f"{values}   ({item['trials']:,})", MUTED, 8.5, "start"),
            draw.text(width - right + 12, y - 3, item["status"], shade, 9.5, "start", 600),
        ]
        if item["low"] is None or item["difference"] is None:
            parts.append(draw.text(x(0) + 8, y + 3, "no data", MUTED, 9, "start"))
        else:
            low, high = sorted(sign * item[end] / item["margin"] for end in ("low", "high"))
            parts += [
                draw.line(x(low), y, x(high), y, shade, 2.4),
                f'<circle cx="{x(sign * item["difference"] / item["margin"]):.1f}" cy="{y:.1f}" r="4.4" '
                f'fill="{shade}" stroke="#fff" stroke-width="1.5"/>',
            ]
        interval = f"{points(item['difference'])} ({points(item['low'])} to {points(item['high'])})"
        parts.append(draw.text(width - right + 12, y + 9, interval, INK, 8.5, "start"))
        if place:
            parts.append(draw.line(0, y - row / 2 + 4, width, y - row / 2 + 4, RULE, 0.5))
        told.append(f"{item['label']}: {item['status']}, {interval} points, margin {item['margin']:g}")
    return draw.svg(width, bottom + 20, "Differences against their margins", "; ".join(told), parts)
