"""What the dossier shows, read from the ledger. Nothing is worked out here: only picked and sorted."""

from __future__ import annotations

import base64
import inspect
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from harness.digests import digest_file
from harness.dossier.fairness import fairness
from harness.dossier.plots import Row, bars, flow, forest
from harness.gate import counts_of, interval, judge, must_be, shown
from harness.ledger import Ledger
from harness.measures.base import Measure
from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.report import CRITICAL, FINDINGS
from harness.suite import Suite, read_suite
from harness.verdict import Verdict

CARDS: Final = 3
"""Missed critical findings shown with picture and texts, for each finding; all are listed."""
PICTURE: Final = 300
LONGEST: Final = 1_800
"""Characters of a text that a card shows: what fits on a page beside the other texts."""
_LONG_WORD: Final = re.compile(r"\S{40}(?=\S)")


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
        "verdict_plots": _verdict_plots(verdict),
        "flow_plot": _flow_plot(results),
        "label_plot": _label_plot(results),
        "measures": _measures(suite, overall),
        "subgroups": _subgroups(suite, results),
        "fairness": fairness(suite, results, verdict),
        "missed": _missed(ledger, suite),
        "failures": _failures(ledger),
        "critical": [str(finding) for finding in CRITICAL],
    }


def _verdict_plots(verdict: Verdict) -> list[str]:
    """One plot for what must be high and one for what must be low: each has an axis that fits."""
    plots = []
    for side, title in (("lower", "Criteria that must lie above their threshold"),
                        ("upper", "Criteria that must lie below their threshold")):  # fmt: skip
        items = [item for item in verdict.decisions if item.side == side]
        if not items:
            continue
        rows = [
            Row(item.id, item.estimate, item.low, item.high, f"{must_be(item)}   {item.status}",
                item.threshold, item.status.value)
            for item in items
        ]  # fmt: skip
        numbers = [n for item in items for n in (item.low, item.high, item.threshold) if n is not None]
        low, high = (_floor(min(numbers)), 1.0) if side == "lower" else (0.0, _ceiling(max(numbers)))
        plots.append(forest(rows, title, low, high))
    return plots


def _floor(value: float) -> float:
    return max(0.0, min(0.9, int(value * 10) / 10))


def _ceiling(value: float) -> float:
    return next(top for top in (0.05, 0.1, 0.25, 0.5, 1.0) if value <= top or top == 1.0)


def _flow_plot(results: dict[str, Any]) -> str:
    facts, statuses = results["flow"], results["statuses"]
    excluded = [(reason, count) for reason, count in facts["excluded"]]
    unchosen = facts["included"] - facts["judged"]
    failed = [
        (f"no usable report: {name}", count) for name, count in statuses.items() if name != "ok" and count
    ]
    steps: list[tuple[str, int, Sequence[tuple[str, int]]]] = [
        ("Eligible", facts["eligible"], excluded),
        ("Included", facts["included"], [("not drawn by the suite's sample", unchosen)] if unchosen else []),
        ("Judged (all are scored)", facts["judged"], failed),
        ("With a usable report", statuses["ok"], []),
    ]
    return flow(steps, "Studies from eligible to reported")


def _label_plot(results: dict[str, Any]) -> str:
    rows = [
        (str(finding), (counts["positive"], counts["uncertain"]))
        for finding in FINDINGS
        if (counts := results["labels"][str(finding)])["not_covered"] < results["flow"]["judged"]
    ]
    return bars(rows, ("positive", "uncertain"), "Findings in the reference labels")


def _measures(suite: Suite, overall: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    measures = []
    for key, measure in suite.build_measures().items():
        own = [item for item in overall if item["measure"] == key]
        rows = [
            Row(item["value"], item["estimate"], item["low"], item["high"], _counts(item)) for item in own
        ]
        measures.append(
            {
                "key": key,
                "signature": own[0]["signature"] if own else measure.signature(),
                "about": _about(measure),
                "rows": [{**item, "shown": shown(item["estimate"]), "counts": _counts(item)} for item in own],
                # The axis is that of rates; words a report have a table alone.
                "plot": forest(rows, f"{key}: values and 95 % intervals")
                if len(own) > 1 and all(0 <= (row.value or 0) <= 1 for row in rows)
                else "",
            }
        )
    return measures


def _about(measure: Measure) -> str:
    """The first paragraph of what the measure says of itself."""
    told = inspect.cleandoc(type(measure).__doc__ or "").split("\n\n")[0]
    return " ".join(told.replace("`", "").split())


def _counts(item: dict[str, Any]) -> str:
    if item["denominator"] is None:
        return ""
    return f"{item['numerator']:,} / {item['denominator']:,}"


def _subgroups(suite: Suite, results: dict[str, Any]) -> list[dict[str, Any]]:
    """For each slice: the pooled critical sensitivity of each group, against all studies."""
    keys = {part.key for part in suite.measures if part.measure == CriticalSensitivity.name}
    shown_values = [
        item for item in results["estimates"] if item["measure"] in keys and item["value"] == "pooled"
    ]
    whole = next((item for item in shown_values if item["slice"] is None), None)
    groups = []
    for name in suite.slices:
        own = [item for item in shown_values if (item["slice"] or "").startswith(f"{name}=")]
        if not own or whole is None:
            continue
        rows = [Row("all studies", whole["estimate"], whole["low"], whole["high"], _counts(whole))]
        rows += [
            Row(item["slice"].partition("=")[2], item["estimate"], item["low"], item["high"], _counts(item))
            for item in own
        ]
        groups.append({"name": name, "plot": forest(rows, f"Critical sensitivity by {name}")})
    return groups


def _missed(ledger: Ledger, suite: Suite) -> dict[str, Any]:
    """Every critical finding that is in the reference and not in the report."""
    part = next((part for part in suite.measures if part.measure == CriticalSensitivity.name), None)
    if part is None:
        return {"total": 0, "findings": []}
    columns = part.build().columns
    rows = ledger.read("rows", ["study_id", part.key]).to_pylist()
    cases = {row["study_id"]: row for row in ledger.read("cases").to_pylist()}
    predictions = {row["study_id"]: row for row in ledger.read("predictions").to_pylist()}
    findings = []
    for finding in CRITICAL:
        hit, present = columns.index(f"{finding}:tp"), columns.index(f"{finding}:pos")
        missed = [row["study_id"] for row in rows if row[part.key][present] and not row[part.key][hit]]
        positives = sum(row[part.key][present] for row in rows)
        findings.append(
            {
                "finding": str(finding),
                "positives": positives,
                "studies": missed,
                "cards": [_card(cases[study], predictions[study]) for study in missed[:CARDS]],
            }
        )
    return {"total": sum(len(item["studies"]) for item in findings), "findings": findings}


def _card(case: dict[str, Any], prediction: dict[str, Any]) -> dict[str, Any]:
    return {
        "study_id": case["study_id"],
        "indication": _fitting(case["indication"]),
        "reference": _fitting("\n".join(filter(None, (case["findings"], case["impression"])))),
        "report": _fitting("\n".join(filter(None, (prediction["findings"], prediction["impression"])))),
        "status": prediction["status"],
        **_picture(case),
    }


def _fitting(text: str) -> str:
    """The text as a card can show it: long words may break, and a cut says how much there is."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]} … [{len(text):,} characters in all]"
    return _LONG_WORD.sub(lambda word: word.group() + "\u200b", cut)


def _picture(case: dict[str, Any]) -> dict[str, str]:
    """The first picture, small, as a data URI; or why there is none."""
    if not case["images"]:
        return {"picture": "", "why": "The study has no picture."}
    path = Path(case["images"][0])
    try:
        if digest_file(path) != case["image_digests"][0]:
            return {"picture": "", "why": "The picture was changed since the run and is not shown."}
        with Image.open(path) as picture:
            small = picture.convert("L")
            small.thumbnail((PICTURE, PICTURE))
    except OSError:
        return {"picture": "", "why": "The picture cannot be read any more."}
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    return {"picture": "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), "why": ""}


def _failures(ledger: Ledger) -> list[dict[str, Any]]:
    table = ledger.read("predictions", ["study_id", "status", "error"]).to_pylist()
    kinds = Counter((row["status"], row["error"]) for row in table if row["status"] != "ok")
    return [{"status": s, "error": e, "studies": n} for (s, e), n in kinds.most_common()]
