"""The pages of a cohort analysis: picked and put into words; nothing is worked out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from harness.cohorts.base import Cohort
from harness.dossier.exploration_plots import histogram, labels, together
from harness.dossier.highlight import segments
from harness.dossier.pictures import picture
from harness.dossier.render import COMMON, render_pdf, render_template
from harness.exploration.model import Exploration, FindingCounts
from harness.ledger import write_atomically

LONGEST: Final = 330
"""Characters of a report in the sample grid."""


def write_exploration(cohort: Cohort, exploration: Exploration, locator: str, out: Path) -> list[Path]:
    """Writes explore.json (without any word of a report), explore.pdf and explore.html; their paths.

    Raises:
        HarnessError: the PDF engine is not installed. LedgerError: the disk cannot be written.
    """
    html = render_exploration(cohort, exploration, locator)
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(exploration.as_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomically(out / "explore.json", text.encode())
    write_atomically(out / "explore.html", html.encode())
    write_atomically(out / "explore.pdf", render_pdf(html))
    return [out / "explore.json", out / "explore.pdf", out / "explore.html"]


def render_exploration(cohort: Cohort, exploration: Exploration, locator: str) -> str:
    """The whole page, self-contained; every text of a report is escaped."""
    return render_template(
        "exploration.html.j2", build_exploration_model(cohort, exploration, locator), (COMMON, "analysis.css")
    )


def build_exploration_model(cohort: Cohort, exploration: Exploration, locator: str) -> dict[str, Any]:
    """Everything that the template prints."""
    return {
        "cohort": exploration,
        "locator": locator,
        "label_plot": labels(exploration, "Reference labels by finding"),
        "findings": [_finding(item) for item in exploration.findings],
        "together_plot": together(exploration, "Findings that come together"),
        "length_plots": [
            histogram(spread, f"Length of the {spread.name}", f"words of the {spread.name}")
            for spread in exploration.lengths
            if spread.known
        ],
        "age_plot": histogram(exploration.age, "Age", "years") if exploration.age.known else "",
        "tiles": [_tile(cohort, index) for index in exploration.sample],
    }


def _finding(item: FindingCounts) -> dict[str, Any]:
    known = math.isfinite(item.share)
    return {
        "item": item,
        "share": f"{item.share:.1%}" if known else "not covered",
        "interval": f"{item.low:.1%} to {item.high:.1%}" if known and math.isfinite(item.low) else "–",
    }


def _tile(cohort: Cohort, index: int) -> dict[str, Any]:
    case = cohort[index]
    image = case.study.images[0] if case.study.images else None
    source, why = picture(image.path if image else None)
    context = case.study.context
    facts = [
        f"{context.age} years" if context.age is not None else "",
        context.sex.value if context.sex else "",
        image.view.value if image else "",
    ]
    return {
        "study_id": case.study.study_id,
        "facts": ", ".join(filter(None, facts)),
        "picture": source,
        "why": why,
        "text": segments(case.reference.text, (), LONGEST),
    }
