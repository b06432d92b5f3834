"""What the packet's documents show, picked and sorted. Nothing is worked out here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.analyses import compare_repeats, derive, derive_from_rows
from harness.disclosure import public_analyses, public_results
from harness.disparities import VALUES
from harness.dossier.charts import confusion, latency_curve, risk_matrix
from harness.dossier.checklists import read_checklists
from harness.dossier.documents import DOCUMENTS
from harness.dossier.fairness import columns
from harness.dossier.figures import flow_plot, forest_row, label_plot, subgroup_plots, verdict_plots
from harness.dossier.missed import missed_cards, without_studies
from harness.dossier.model import about, failures
from harness.dossier.plots import forest
from harness.dossier.predicates import compare
from harness.error_analysis import analyse as analyse_errors
from harness.evidence.identifiers import open_identifiers
from harness.gate import judge, must_be
from harness.latency import processor_of
from harness.ledger import Ledger
from harness.lock import lock_account, lock_findings
from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.measures.findings_detection import FindingsDetection
from harness.packet import Packet
from harness.packet.schema import PROBABILITIES
from harness.printed import SUPPRESSED
from harness.report import CRITICAL, FINDINGS
from harness.suite import Suite, read_suite
from harness.verdict import Status, Verdict

_ORDER: Final = {Status.FAIL: 0, Status.NOT_EVALUATED: 1, Status.PASS: 2}
_OFTEN: Final = {"site": "Sites", "manufacturer": "X-ray devices"}
"""Groups that a cohort may tell and that a summary is asked for."""


def build_packet_model(run: Path, packet: Packet, folder: Path, public: bool) -> dict[str, Any]:
    """Everything the documents print, from a complete run and a packet file.

    Args:
        run: folder of the run.
        packet: what the sponsor states.
        folder: of the packet file; its relative paths start there.
        public: small cells suppressed.

    Raises:
        LedgerError: the run is incomplete, or its results do not follow from its evidence.
        PacketError: the previous version's risk file cannot be read.
    """
    results, verdict = judge(run)
    ledger, suite = Ledger(run), read_suite(run / "suite.yaml")
    entries = list(ledger.log.entries())
    context = next((entry for entry in entries if entry["event"] == "context"), {})
    errors = analyse_errors(run, pictures=False)
    analyses = {
        **derive(results, packet, folder),
        **derive_from_rows(ledger, suite, packet, processor_of(ledger)),
        **compare_repeats(ledger, packet, folder),
        "errors": without_studies(errors),
    }
    missed = [] if public else missed_cards(ledger, suite, errors, open_identifiers(run))
    if public:
        results = public_results(results, packet.disclosure.minimum_cell)
        analyses = public_analyses(analyses, results)
        verdict = Verdict.from_json(results["verdict"])
    # Signing and looks add to the log; the packet's date is that of its results.
    finished = next(entry["time"] for entry in reversed(entries) if entry["event"] == "results")
    decisions = sorted(verdict.decisions, key=lambda item: _ORDER[item.status])
    return {
        "packet": packet,
        "public": public,
        "suite": suite,
        "identity": ledger.identity,
        "context": context,
        "started": entries[0]["time"],
        "finished": finished,
        "stamp": f"{finished[:19]}Z",
        "head": ledger.log.head,
        "results": results,
        "analyses": analyses,
        "verdict": verdict,
        "decisions": [{"item": item, "sign": must_be(item).partition(" ")[0]} for item in decisions],
        "findings": lock_findings(ledger),
        "unasked": unasked(suite),
        "lock": lock_account(ledger),
        "device_name": f"{packet.device.name} {packet.device.version}"
        if packet.device
        else f"candidate {ledger.identity['candidate_kind']}",
        "author": packet.sponsor.name if packet.sponsor else "sponsor not stated",
        "missing": packet.missing(),
        "documents": DOCUMENTS,
        "missed": missed,
        "failures": failures(ledger),
        "checklists": read_checklists(packet),
        "comparisons": compare(packet, _ledger_says(results, analyses)),
        "detection": _key_of(suite, FindingsDetection.name),
        "critical_key": _key_of(suite, CriticalSensitivity.name),
        "critical": [str(finding) for finding in CRITICAL],
        "covered": [
            str(finding)
            for finding in FINDINGS
            if results["labels"][str(finding)]["not_covered"] != results["flow"]["judged"]
        ],
        "often": {name: heading for name, heading in _OFTEN.items() if name not in results["groups"]},
        "probabilities": PROBABILITIES,
        "measures": _measures(suite, results),
        "slices": _slices(suite, results),
        "group_columns": columns(suite),
        "over": [item for item in verdict.decisions if item.groups],
        "plots": _plots(suite, results, analyses, verdict),
    }  # fmt: skip


def unasked(suite: Suite) -> list[str]:
    """The critical findings whose sensitivity no criterion decides: a PASS does not speak of them."""
    keys = {part.key for part in suite.measures if part.measure == CriticalSensitivity.name}
    decided = {item.value for item in suite.criteria if item.measure in keys}
    return [str(finding) for finding in CRITICAL if finding not in decided]


def _key_of(suite: Suite, measure: str) -> str | None:
    """What the suite calls a measure; None where it has none of it."""
    return next((part.key for part in suite.measures if part.measure == measure), None)


def _plots(
    suite: Suite, results: dict[str, Any], analyses: dict[str, Any], verdict: Verdict
) -> dict[str, Any]:
    tables = [
        (item["finding"], item["found"], item["missed"], item["invented"], item["rejected"])
        for item in analyses["confusion"]
    ]
    return {
        "verdict": verdict_plots(verdict),
        "flow": flow_plot(results),
        "labels": label_plot(results),
        "confusion": confusion(tables, "Critical findings: reference against report") if tables else "",
        "latency": latency_curve(analyses["latency"], "Share of studies reported after so many seconds"),
        "risk": risk_matrix(analyses["risk"], "Hazards by severity and updated probability"),
        "subgroups": {
            heading: subgroup_plots(suite, results, measure, value, heading)
            for heading, measure, value in (
                ("Critical sensitivity", CriticalSensitivity.name, "pooled"),
                ("Specificity", FindingsDetection.name, "pooled specificity"),
            )
        },
    }


def _measures(suite: Suite, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Each measure with its values over all studies."""
    measures = []
    for key, measure in suite.build_measures().items():
        own = [item for item in results["estimates"] if item["measure"] == key and item["slice"] is None]
        rows = [forest_row(item["value"], item) for item in own]
        rates = len(own) > 1 and all(0 <= (line.value or 0) <= 1 for line in rows)
        measures.append(
            {
                "key": key,
                "signature": own[0]["signature"] if own else measure.signature(),
                "about": about(measure),
                "values": own,
                "plot": forest(rows, f"{key}: values and intervals") if rates else "",
            }
        )
    return measures


def _slices(suite: Suite, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Each slice with the labels of its groups, and the disparities between them."""
    slices = []
    for name in suite.slices:
        own = [item for item in results["estimates"] if (item["slice"] or "").startswith(f"{name}=")]
        # Of a group whose other values are suppressed, one that is not tells how many studies it has.
        first = {
            item["slice"]: item for item in sorted(own, key=lambda item: item["n_studies"] != SUPPRESSED)
        }
        between = [item for item in results["estimates"] if item["slice"] == name and item["value"] in VALUES]
        slices.append(
            {
                "name": name,
                "groups": [
                    {"label": label, "name": label.partition("=")[2], "measure": item["measure"],
                     "value": item["value"]}
                    for label, item in sorted(first.items())
                ],
                "disparities": between,
            }
        )  # fmt: skip
    return slices


def _ledger_says(results: dict[str, Any], analyses: dict[str, Any]) -> dict[str, str]:
    """Our side of the comparison, where the ledger knows it and the packet need not tell."""
    views = [group for group, count in results["groups"].get("view", {}).items() if count != SUPPRESSED]
    return {"views": ", ".join(views)} if views else {}
