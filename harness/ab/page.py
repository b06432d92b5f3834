"""The page for clinical leads: HTML, PDF and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness import __version__
from harness.ab import plots, words
from harness.ab.decide import Outcome
from harness.ab.edits import NEGATIONS, SIDES, changes_words_of, edit_distances, frequent, marked
from harness.ab.ratings import Ratings
from harness.dossier.render import COMMON, render_pdf, render_template
from harness.ledger import write_atomically
from harness.status import Status

SHOWN: Final = 8
"""Frequent edits of an arm, and readers' names a table."""
SHADES: Final = {Status.PASS: "pass", Status.FAIL: "fail", Status.NOT_EVALUATED: "open"}


def write_json(out: Path, outcome: Outcome) -> Path:
    """Writes ab.json into a folder.

    Raises:
        LedgerError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "ab.json"
    write_atomically(path, (json.dumps(outcome.as_json(), indent=1, allow_nan=False) + "\n").encode())
    return path


def write_page(out: Path, outcome: Outcome, ratings: Ratings) -> list[Path]:
    """Writes ab.html and ab.pdf; both quote texts: keep them where those may be kept.

    Raises:
        HarnessError: the PDF engine is not installed, or lacks its native library.
        LedgerError: the folder cannot be written.
    """
    html = render(outcome, ratings)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "ab.pdf", out / "ab.html"]
    write_atomically(paths[1], html.encode())
    write_atomically(paths[0], render_pdf(html))
    return paths


def render(outcome: Outcome, ratings: Ratings) -> str:
    """The whole page, self-contained; every text from the data is escaped.

    Raises:
        HarnessError: the page engine is not installed.
    """
    return render_template("ab.html.j2", model(outcome, ratings), (COMMON, "ab.css"))


def model(outcome: Outcome, ratings: Ratings) -> dict[str, Any]:
    """What the template shows."""
    design = outcome.design
    arms = [(design.arms.current, ~ratings.challenger), (design.arms.challenger, ratings.challenger)]
    groups = {(part.by, part.endpoint): part.groups for part in outcome.heterogeneity}
    kinds = list(dict.fromkeys(by for by, _ in groups))
    return {
        "outcome": outcome,
        "version": __version__,
        "design": design,
        "shade": SHADES,
        "words": words,
        "sentence": words.conclusion(outcome),
        "endpoint_plot": plots.endpoints(outcome.endpoints),
        "finding_plot": plots.findings(outcome.critical),
        "group_plots": [
            (by, plots.readers(groups[by, "rating"], groups[by, "critical_sensitivity"], f"Each {by}"))
            for by in kinds
        ],
        "rating_plot": plots.distribution(
            [
                (name, [int((ratings.rating[rows] == value).sum()) for value in range(1, 6)])
                for name, rows in arms
            ]
        ),
        "edits": [_edits(name, np.flatnonzero(rows), ratings) for name, rows in arms],
        "examples": _examples(ratings),
        "kinds": kinds,
        "cautions": words.cautions(outcome),
    }


def _edits(name: str, places: Sequence[int] | Any, ratings: Ratings) -> dict[str, Any]:
    """What readers changed in the drafts of one arm."""
    kept = [place for place in places if ratings.final[place]]
    drafts, finals = [ratings.draft[place] for place in kept], [ratings.final[place] for place in kept]
    distances = edit_distances(drafts, finals)
    count = frequent(drafts, finals)
    reports = max(1, len(kept))

    def share(number: int) -> str:
        return f"{100 * number / reports:.0f}%"

    pairs = list(zip(drafts, finals, strict=True))
    return {
        "name": name,
        "reports": len(kept),
        "unchanged": share(int((distances == 0).sum())),
        "heavy": share(int((distances >= 0.5).sum())),
        "negations": share(sum(changes_words_of(draft, final, NEGATIONS) for draft, final in pairs)),
        "sides": share(sum(changes_words_of(draft, final, SIDES) for draft, final in pairs)),
        # Once is no habit. Ties in the order of the alphabet, so that the page is a function of the data.
        "frequent": [
            {"removed": edit.removed, "added": edit.added, "share": f"{100 * number / reports:.1f}"}
            for edit, number in sorted(
                count.items(), key=lambda item: (-item[1], item[0].removed, item[0].added)
            )
            if number > 1
        ][:SHOWN],
    }


def _examples(ratings: Ratings) -> list[dict[str, Any]]:
    """Three of the challenger's drafts: most changed, in the middle, and one whose side or negation was."""
    distances = edit_distances(ratings.draft, ratings.final)
    order = [place for place in np.argsort(distances, kind="stable").tolist()
             if ratings.challenger[place] and distances[place] > 0]  # fmt: skip
    if not order:
        return []
    wanted = [
        ("The most changed", order[-1]),
        ("In the middle of those that were changed", order[len(order) // 2]),
    ]
    serious = next(
        (place for place in order if changes_words_of(ratings.draft[place], ratings.final[place], SIDES)),
        None,
    )
    if serious is not None:
        wanted.append(("A side was corrected", serious))
    seen: set[tuple[str, str]] = set()
    cards = []
    for title, place in wanted:
        texts = (ratings.draft[place], ratings.final[place])
        if texts in seen:
            continue
        seen.add(texts)
        cards.append({
            "title": title,
            "study": str(ratings.study[place]),
            "reader": str(ratings.reader[place]),
            "rating": "not rated" if np.isnan(rating := ratings.rating[place]) else f"rated {rating:.0f}",
            "changed": f"{100 * distances[place]:.0f}%",
            "pieces": marked(*texts),
        })  # fmt: skip
    return cards
