"""The pages of an error analysis: picked, sorted and put into words; nothing is worked out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.dossier.error_plots import by_prevalence, by_quality, confusion
from harness.dossier.highlight import segments
from harness.dossier.pictures import picture
from harness.dossier.render import COMMON, render_pdf, render_template
from harness.error_analysis.attention import Attention
from harness.error_analysis.examples import examples
from harness.error_analysis.model import (
    ClassSummary,
    Error,
    ErrorAnalysis,
    ErrorClass,
    FindingErrors,
    Rate,
    Trend,
)
from harness.error_analysis.required import REQUIRED
from harness.error_analysis.trends import PREVALENCE
from harness.gate import shown
from harness.ledger import Ledger, write_atomically
from harness.report import CRITICAL, join_sections

ABOUT: Final = {
    ErrorClass.MISSED: "in the reference, not asserted by the report: denied, not told, or no report",
    ErrorClass.HALLUCINATED: "asserted by the report, not supported by the reference or a narrower finding",
    ErrorClass.WRONG_LATERALITY: "both texts assert it and state a side, not the same one",
    ErrorClass.WRONG_SEVERITY: "both texts assert it and state a severity, not the same one",
    ErrorClass.INCOMPLETE: "both texts assert it; the report leaves out a required attribute that is known",
}
ALPHA: Final = 0.05


def write_error_pages(
    run: Path, analysis: ErrorAnalysis, out: Path, attention: Attention | None = None
) -> list[Path]:
    """Writes errors.pdf and errors.html; returns their paths.

    Raises:
        HarnessError: the PDF engine is not installed. LedgerError: the run is damaged.
    """
    html = render_errors(run, analysis, attention)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "errors.html", html.encode())
    write_atomically(out / "errors.pdf", render_pdf(html))
    return [out / "errors.pdf", out / "errors.html"]


def render_errors(run: Path, analysis: ErrorAnalysis, attention: Attention | None = None) -> str:
    """The whole page, self-contained; every text of a report is escaped."""
    return render_template(
        "errors.html.j2", build_error_model(run, analysis, attention), (COMMON, "analysis.css")
    )


def build_error_model(
    run: Path, analysis: ErrorAnalysis, attention: Attention | None = None
) -> dict[str, Any]:
    """Everything that the template prints."""
    ledger = Ledger(run)
    entries = list(ledger.log.entries())
    evaluated = [item for item in analysis.findings if any(rate.denominator for rate in _rates(item))]
    return {
        "analysis": analysis,
        "started": entries[0]["time"],
        "critical": [str(finding) for finding in CRITICAL],
        "classes": [_class(one, two) for one, two in zip(analysis.critical, analysis.overall, strict=True)],
        "headline": _headline(analysis),
        "findings": [_finding(item) for item in evaluated],
        "uncovered": [str(item.finding) for item in analysis.findings if not item.covered],
        "confusion_plot": confusion(
            analysis.confusion, "Critical findings of the reference by what was reported"
        ),
        "prevalence_plots": [
            by_prevalence(evaluated, "missed", "Share of positives missed, by prevalence"),
            by_prevalence(
                evaluated, "hallucinated_of_negatives", "Share of negatives invented, by prevalence"
            ),
        ],
        "prevalence_trends": [_trend(trend) for trend in analysis.trends if trend.score == PREVALENCE],
        "quality_trends": [_trend(trend) for trend in analysis.trends if trend.score != PREVALENCE],
        "quality": [
            {"measure": measure, "plot": by_quality(analysis.quality, measure)}
            for measure in analysis.quality.measures
        ],
        "examples": _examples(ledger, analysis, attention),
        "attention": attention is not None,
        "required": [
            {
                "finding": str(finding),
                "needs": " and ".join(
                    name
                    for name, needed in (("side", item.laterality), ("severity", item.severity))
                    if needed
                ),
                "reason": item.reason,
            }
            for finding, item in REQUIRED.items()
        ],
    }


def cell(rate: Rate) -> dict[str, str]:
    """A rate as a table shows it."""
    if not rate.denominator:
        return {"value": "not evaluated", "interval": "", "counts": "0 / 0", "why": rate.reason}
    return {
        "value": f"{rate.estimate:.1%}",
        "interval": f"{rate.low:.1%} to {rate.high:.1%}" if math.isfinite(rate.low) else "–",
        "counts": f"{rate.numerator:,} / {rate.denominator:,}",
        "why": rate.reason,
    }


def _class(critical: ClassSummary, overall: ClassSummary) -> dict[str, Any]:
    kind = overall.error_class
    return {
        "name": kind.value,
        "about": ABOUT[kind],
        "of": overall.of,
        "critical": critical,
        "overall": overall,
        "critical_cell": cell(critical.rate),
        "overall_cell": cell(overall.rate),
    }


def _headline(analysis: ErrorAnalysis) -> dict[str, int]:
    return {
        "errors": len(analysis.errors),
        "critical": sum(error.critical for error in analysis.errors),
    }


def _rates(item: FindingErrors) -> tuple[Rate, ...]:
    return item.missed, item.hallucinated, item.wrong_laterality, item.wrong_severity, item.incomplete


def _finding(item: FindingErrors) -> dict[str, Any]:
    return {
        "name": str(item.finding),
        "critical": item.critical,
        "judged": item.judged,
        "prevalence": cell(item.prevalence),
        "cells": [cell(rate) for rate in _rates(item)],
    }


def _trend(trend: Trend) -> dict[str, Any]:
    undefined = math.isnan(trend.p_value)
    direction = ""
    if not undefined and trend.adjusted < ALPHA:
        direction = "more errors as it rises" if trend.z > 0 else "fewer errors as it rises"
    return {
        "trend": trend,
        "z": "–" if undefined else f"{trend.z:+.2f}",
        "p": "–" if undefined else p_value(trend.p_value),
        "adjusted": "–" if undefined else p_value(trend.adjusted),
        "says": trend.reason if undefined else direction or "no trend shown",
        "shown": bool(direction),
    }


def p_value(value: float) -> str:
    """A p-value as tables show it."""
    return "< 0.0001" if value < 0.0001 else shown(value)


def _examples(ledger: Ledger, analysis: ErrorAnalysis, attention: Attention | None) -> list[dict[str, Any]]:
    chosen = examples(analysis.errors)
    wanted = {error.study_id for error in chosen}
    cases = {row["study_id"]: row for row in _rows(ledger, "cases", wanted)}
    predictions = {row["study_id"]: row for row in _rows(ledger, "predictions", wanted)}
    groups = []
    for kind, summary in zip(ErrorClass, analysis.overall, strict=True):
        cards = [
            _card(error, cases[error.study_id], predictions[error.study_id], attention)
            for error in chosen
            if error.error_class is kind
        ]
        groups.append({"name": kind.value, "about": ABOUT[kind], "summary": summary, "cards": cards})
    return groups


def _rows(ledger: Ledger, table: Any, wanted: set[str]) -> list[dict[str, Any]]:
    return [
        row
        for batch in ledger.read(table).to_batches()
        for row in batch.to_pylist()
        if row["study_id"] in wanted
    ]


def _card(
    error: Error, case: dict[str, Any], prediction: dict[str, Any], attention: Attention | None
) -> dict[str, Any]:
    reference = join_sections((case["findings"], case["impression"]))
    report = join_sections((prediction["findings"], prediction["impression"]))
    path = Path(case["images"][0]) if case["images"] else None
    image, why = picture(path, case["image_digests"][0] if path else None)
    key = (error.study_id, error.finding)
    over, over_why = "", ""
    if attention is not None:
        if key in attention.maps:
            over, over_why = picture(attention.pictures[key], attention=attention.maps[key])
        else:
            over_why = attention.why.get(key, "no map was made")
    return {
        "error": error,
        "facts": facts(error),
        "indication": case["indication"][:200],
        "picture": image,
        "why": why,
        "overlay": over,
        "overlay_why": over_why,
        "reference": segments(reference, error.reference_spans),
        "report": segments(report, error.candidate_spans),
        "speaks": (bool(error.reference_spans), bool(error.candidate_spans)),
    }


def facts(error: Error) -> str:
    """What is wrong, in a line."""
    told: list[str] = []
    if error.error_class is ErrorClass.MISSED:
        state = error.candidate_state.replace("_", " ")
        told.append("no usable report" if error.status != "ok" else f"report: {state}")
        if error.said_instead:
            told.append("said instead: " + ", ".join(error.said_instead))
    if error.error_class is ErrorClass.HALLUCINATED:
        told.append(f"reference: {error.reference_state.replace('_', ' ')}")
        told.append(f"report: {error.candidate_state.replace('_', ' ')}")
    for kind, name, true, said in (
        (ErrorClass.WRONG_LATERALITY, "side", error.reference_laterality, error.candidate_laterality),
        (ErrorClass.WRONG_SEVERITY, "severity", error.reference_severity, error.candidate_severity),
    ):
        if kind in error.faults():
            told.append(f"{name}: {true} in the reference, {said} in the report")
    if error.missing:
        stated = {"laterality": error.reference_laterality, "severity": error.reference_severity}
        told += [
            f"{'side' if name == 'laterality' else name} left out (reference: {stated[name]})"
            for name in error.missing
        ]
    return "; ".join(told)


def summary_rows(analysis: ErrorAnalysis) -> Sequence[tuple[str, ...]]:
    """The terminal's table: class, critical errors with rate, all errors with rate."""
    rows = []
    for one, two in zip(analysis.critical, analysis.overall, strict=True):
        cells = [cell(item.rate) for item in (one, two)]
        rows.append(
            (
                two.error_class.value,
                *(
                    part
                    for item, shown_cell in zip((one, two), cells, strict=True)
                    for part in (
                        "–" if item.errors is None else f"{item.errors:,}",
                        shown_cell["value"],
                        shown_cell["interval"],
                        shown_cell["counts"],
                    )
                ),
            )
        )
    return rows
