"""The page of a latency run, for clinical and regulatory readers: HTML and PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.dossier.charts import latency_curve
from harness.dossier.latency_plots import load_curve, phase_bar
from harness.dossier.render import COMMON, render_pdf, render_template
from harness.gate import must_be
from harness.latency.conclude import told_device
from harness.latency.evidence import judge_latency
from harness.latency.roofline import ASSUMPTIONS
from harness.latency.suite import CLOSED, LatencySuite, read_latency_suite
from harness.latency.words import (
    PHASE_WORDS,
    clock_line,
    cost_line,
    memory_line,
    seconds,
    sessions_line,
    stage_rows,
)
from harness.ledger import Ledger, write_atomically
from harness.status import Status
from harness.verdict import Decision, Verdict

SHADES: Final = {Status.PASS: "pass", Status.FAIL: "fail", Status.NOT_EVALUATED: "open"}


def write_latency_page(run: Path, out: Path) -> list[Path]:
    """Writes latency.html and latency.pdf of a run; returns their paths.

    Raises:
        LedgerError: the run is incomplete or damaged.
        HarnessError: the PDF engine is not installed, or lacks its native library.
    """
    html = render_template("latency.html.j2", page_model(run), (COMMON, "ab.css", "latency.css"))
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "latency.pdf", out / "latency.html"]
    write_atomically(paths[1], html.encode())
    write_atomically(paths[0], render_pdf(html))
    return paths


def page_model(run: Path) -> dict[str, Any]:
    """What the template shows, as plain values and plots.

    Raises:
        LedgerError: the run is incomplete or damaged.
    """
    ledger = Ledger(run)
    results, verdict = judge_latency(ledger)
    suite = read_latency_suite(run / "suite.yaml")
    context = next(entry for entry in ledger.log.entries() if entry["event"] == "context")
    closed = results["stages"][0]
    head, rows = stage_rows(results)
    limits = [] if not results["on_target"] else _limits(suite)
    return {
        "results": results,
        "suite": suite,
        "verdict": verdict,
        "identity": ledger.identity,
        "context": context,
        "shade": SHADES,
        "sentence": _sentence(suite, results, verdict),
        "device": told_device(results["device"]),
        "decisions": [_row(item) for item in verdict.decisions],
        "head": head,
        "rows": rows,
        "load_plot": load_curve(results, limits, "Latency against load"),
        "curve_plot": latency_curve(
            {"curve": results["curve"], "quantiles": closed["quantiles"]}, "One study at a time"
        ),
        "phase_plot": phase_bar(results["phases_s"], "Mean time of a study") if results["phases_s"] else "",
        "phase_words": PHASE_WORDS,
        "seconds": seconds,
        "cost": cost_line(results),
        "memory": memory_line(results),
        "clock": clock_line(results),
        "sessions": sessions_line(results),
        "assumptions": ASSUMPTIONS,
        "finished": _finished(ledger),
    }


def _sentence(suite: LatencySuite, results: dict[str, Any], verdict: Verdict) -> str:
    target = suite.target.device
    if not results["on_target"]:
        return (
            f"Nothing is decided of {target}: these times were taken on something else. They are shown as "
            f"what they are, times of {results['device']['name']}."
        )
    if verdict.status is Status.PASS:
        return f"On {target}, every limit is kept, by the confidence bound."
    unmet = [item.id for item in verdict.decisions if item.status is not Status.PASS]
    word = "not shown to be kept" if verdict.status is Status.FAIL else "open"
    return f"On {target}, {len(unmet)} of {len(verdict.decisions)} limits are {word}: {', '.join(unmet)}."


def _row(item: Decision) -> dict[str, Any]:
    unit = "/h" if item.measure == "throughput" else " s"

    def told(number: float | None) -> str:
        return "–" if number is None else f"{number:,.0f}{unit}" if unit == "/h" else seconds(number)

    return {
        "id": item.id,
        "what": item.value.removesuffix(" (s)"),
        "must": must_be(item) + unit,
        "estimate": told(item.estimate),
        "bound": told(item.bound),
        "status": item.status,
        "reason": item.reason,
    }


def _limits(suite: LatencySuite) -> list[tuple[str, float]]:
    """The strictest limit in the open loop of each value that is drawn."""
    found: dict[str, float] = {}
    for item in suite.criteria:
        if item.at != CLOSED and item.value in ("p50", "p99"):
            found[item.value] = min(item.threshold, found.get(item.value, item.threshold))
    return [(name.upper(), limit) for name, limit in found.items()]


def _finished(ledger: Ledger) -> str:
    entry = next(entry for entry in ledger.log.entries() if entry["event"] == "finished")
    return str(entry["time"])[:16].replace("T", " ")
