"""Every missed critical finding as a card: picture, reference, report, and what kind of miss it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from harness.analyses import missed_studies
from harness.disclosure import pooled_ages
from harness.dossier.cards import first_picture, fitting
from harness.dossier.highlight import Segment, segments
from harness.error_analysis import Error, ErrorAnalysis, Span
from harness.evidence.identifiers import Identifiers
from harness.ledger import Ledger
from harness.report import join_sections
from harness.suite import Suite

PICTURE: Final = 160
LONGEST: Final = 700
"""Characters of a text: a card is a few lines high."""
_NAME: Final = 12
"""Digits of a pseudonym that a page shows; the evidence has all 32."""


def missed_cards(
    ledger: Ledger, suite: Suite, errors: ErrorAnalysis, identifiers: Identifiers
) -> list[dict[str, Any]]:
    """For each critical finding a card of every study in which it was missed."""
    cases = {row["study_id"]: row for row in ledger.read("cases").to_pylist()}
    predictions = {row["study_id"]: row for row in ledger.read("predictions").to_pylist()}
    found = {(error.study_id, str(error.finding)): error for error in errors.errors}
    groups = []
    for place, (finding, (positives, studies)) in enumerate(missed_studies(ledger, suite).items()):
        cards = []
        for study in studies:
            error = found.get((study, finding))
            case, prediction = cases[study], predictions[study]
            cards.append(
                {
                    **first_picture(case, PICTURE),
                    "indication": fitting(pooled_ages(case["indication"]), LONGEST),
                    "reference": _text(case, error.reference_spans if error else ()),
                    "report": _text(prediction, error.candidate_spans if error else ()),
                    "name": identifiers.study(study)[:_NAME],
                    "error": _kind(error, prediction["status"]),
                }
            )
        groups.append({"finding": finding, "place": place, "positives": positives, "cards": cards})
    return groups


def without_studies(errors: ErrorAnalysis) -> dict[str, Any]:
    """The error analysis as plain values, without the list of single errors."""
    told = errors.as_json()
    del told["errors"]
    return told


def _kind(error: Error | None, status: str) -> str:
    """The error's class, and how the finding came to be missed."""
    if status != "ok":
        return f"missed finding: no usable report ({status})"
    if error is None:
        return "missed finding"
    told = {"negative": "denied", "not_mentioned": "not mentioned"}.get(error.candidate_state, "not asserted")
    instead = f"; said instead: {', '.join(map(str, error.said_instead))}" if error.said_instead else ""
    return f"{error.error_class}: {told}{instead}"


def _text(row: dict[str, Any], spans: Sequence[Span]) -> list[Segment]:
    """Findings and impression, with the words of the finding marked; a long text about the first of them."""
    kept = [span for span in spans if span.kind in ("mention", "cue")]
    parts = segments(join_sections((row["findings"], row["impression"])), kept, LONGEST)
    return [part._replace(text=pooled_ages(part.text)) for part in parts]
