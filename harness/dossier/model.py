"""What the dossier shows, read from the ledger. Nothing is worked out here: only picked and sorted."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness.analyses import missed_studies
from harness.dossier.cards import card
from harness.dossier.fairness import fairness
from harness.dossier.figures import counts, flow_plot, forest_row, label_plot, subgroup_plots, verdict_plots
from harness.dossier.plots import forest
from harness.dossier.promotion import promotion
from harness.gate import counts_of, interval, judge, must_be, shown
from harness.ledger import Ledger
from harness.measures.base import Measure
from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.report import CRITICAL
from harness.suite import Suite, read_suite

CARDS: Final = 3
"""Missed critical findings shown with picture and texts, for each finding; all are listed."""


def build_model(folder: Path) -> dict[str, Any]:
    """Everything the templates print, from a complete run.

    Raises:
        LedgerError: the run is incomplete, or its results do not follow from its evidence.
    """
    results, verdict = judge(folder)
    ledger = Ledger(folder)
    suite = read_suite(folder / "suite.yaml")
    entries = list(ledger.log.entries())
    context = next((entry for entry in entries if entry["event"] == "context"), {})
    overall = [item for item in results["estimates"] if item["slice"] is None]
    return {
        "suite": suite,
        "identity": ledger.identity,
        "context": context,
        "started": entries[0]["time"],
        "head": ledger.log.head,
        "results": results,
        "verdict": verdict,
        "decisions": [
            {
                "item": item,
                "shown": shown(item.estimate),
                "interval": interval(item),
                "bound": shown(item.bound),
                "must_be": must_be(item),
                "counts": counts_of(item),
            }
            for item in verdict.decisions
        ],
        "verdict_plots": verdict_plots(verdict),
        "flow_plot": flow_plot(results),
        "label_plot": label_plot(results),
        "measures": _measures(suite, overall),
        "subgroups": subgroup_plots(
            suite, results, CriticalSensitivity.name, "pooled", "Critical sensitivity"
        ),
        "fairness": fairness(suite, results, verdict),
        "promotion": promotion(folder, results["ledger"]),
        "missed": _missed(ledger, suite),
        "failures": failures(ledger),
        "critical": [str(finding) for finding in CRITICAL],
    }


def _measures(suite: Suite, overall: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    measures = []
    for key, measure in suite.build_measures().items():
        own = [item for item in overall if item["measure"] == key]
        rows = [forest_row(item["value"], item) for item in own]
        measures.append(
            {
                "key": key,
                "signature": own[0]["signature"] if own else measure.signature(),
                "about": about(measure),
                "rows": [{**item, "shown": shown(item["estimate"]), "counts": counts(item)} for item in own],
                # The axis is that of rates; words a report have a table alone.
                "plot": forest(rows, f"{key}: values and 95 % intervals")
                if len(own) > 1 and all(0 <= (row.value or 0) <= 1 for row in rows)
                else "",
            }
        )
    return measures


def about(measure: Measure) -> str:
    """The first paragraph of what the measure says of itself."""
    told = inspect.cleandoc(type(measure).__doc__ or "").split("\n\n")[0]
    return " ".join(told.replace("`", "").split())


def _missed(ledger: Ledger, suite: Suite) -> dict[str, Any]:
    """Every critical finding that is in the reference and not in the report."""
    cases = {row["study_id"]: row for row in ledger.read("cases").to_pylist()}
    predictions = {row["study_id"]: row for row in ledger.read("predictions").to_pylist()}
    findings: list[dict[str, Any]] = [
        {
            "finding": finding,
            "positives": positives,
            "studies": missed,
            "cards": [card(cases[study], predictions[study]) for study in missed[:CARDS]],
        }
        for finding, (positives, missed) in missed_studies(ledger, suite).items()
    ]
    return {"total": sum(len(item["studies"]) for item in findings), "findings": findings}


def failures(ledger: Ledger) -> list[dict[str, Any]]:
    """How many studies have no usable report, by what happened and where."""
    table = ledger.read("predictions", ["study_id", "status", "error"]).to_pylist()
    kinds = Counter((row["status"], row["error"]) for row in table if row["status"] != "ok")
    return [{"status": s, "error": e, "studies": n} for (s, e), n in kinds.most_common()]
