"""What a latency run found, in words and cells, for the terminal and the page."""

from __future__ import annotations

from typing import Any, Final

from harness.latency.suite import CLOSED

HEAD: Final = (
    "Load", "Arrive/h", "Device busy", "Studies", "No report", "P50", "P90", "P99", "P99, interval",
    "Slowest", "Mean wait", "Longest queue",
)  # fmt: skip
PHASE_WORDS: Final = {
    "preprocessing": "Preprocessing",
    "inference": "Inference",
    "decoding": "Decoding",
    "formatting": "Formatting",
    "elsewhere": "Elsewhere, between processes too",
}


def seconds(value: float | None) -> str:
    """Three digits; a dash where there is none."""
    if value is None:
        return "–"
    if value >= 1:
        return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"
    return f"{1000 * value:.0f} ms" if value >= 0.001 or value == 0 else "< 1 ms"


def quantile(stage: dict[str, Any], name: str) -> str:
    """A quantile; where studies without a report reach down to it, that there is none."""
    found = stage["quantiles"][name]
    return "no report" if found["estimate"] is None and stage["failed"] else seconds(found["estimate"])


def stage_rows(results: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The head and rows of the table of stages."""
    rows = []
    for stage in results["stages"]:
        closed = stage["stage"] == CLOSED
        bounds = stage["quantiles"]["p99"]
        high = seconds(bounds["high"]) if bounds["high"] is not None else "no bound"
        rows.append(
            (
                "one at a time" if closed else "saturated" if stage["saturated"] else "Poisson",
                f"{results['capacity_per_hour']:,.0f}" if closed else f"{stage['rate_per_hour']:,.0f}",
                "100%" if closed else f"{stage['load']:.0%}",
                f"{stage['studies']:,}",
                f"{stage['failed']:,}",
                *(quantile(stage, name) for name in ("p50", "p90", "p99")),
                f"{seconds(bounds['low'])} to {high}",
                seconds(stage["slowest_s"]),
                seconds(stage["wait_mean_s"]),
                f"{stage['queue_most']:,}",
            )
        )
    return HEAD, rows


def facts(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and finding of everything that is no stage, in lines."""
    found = []
    capacity = results["capacity_per_hour"]
    saturated = results["saturated_at_per_hour"]
    tried = max((stage["rate_per_hour"] or 0 for stage in results["stages"]), default=0)
    found.append(
        (
            "Capacity",
            f"{capacity:,.0f} studies an hour, one at a time; "
            + (
                f"saturated where {saturated:,.0f} an hour arrive"
                if saturated
                else f"not saturated at {tried:,.0f}"
            ),
        )
    )
    found.append(("Cost", cost_line(results)))
    if phases := results["phases_s"]:
        told = ", ".join(f"{name} {seconds(row['mean'])}" for name, row in phases.items())
        found.append(("Phases, mean", told))
    else:
        found.append(("Phases", "the candidate does not tell them"))
    if tokens := results["tokens"]:
        found.append(
            (
                "Tokens",
                f"{tokens['written_per_s']:,.0f} written a second; {tokens['read']:,.0f} read and "
                f"{tokens['written']:,.0f} written a study",
            )
        )
    found.append(("Memory", memory_line(results)))
    cold = results["cold_start"]
    found.append(
        (
            "Cold start",
            f"{seconds(cold['load_s'])} to load, {seconds(cold['first_report_s'])} for the first report"
            + (f"; the slowest of {cold['starts']} starts" if cold["starts"] > 1 else ""),
        )
    )
    warm = len(cold["warm_up"])
    failed = sum(step["status"] != "ok" for step in cold["warm_up"])
    found.append(
        ("Warm-up", f"{warm} studies, not counted" + (f"; {failed} without a report" * bool(failed)))
    )
    found.append(("Clock", clock_line(results)))
    found.append(("Sessions", sessions_line(results)))
    found.append(("Estimate", estimate_line(results)))
    return found


def cost_line(results: dict[str, Any]) -> str:
    """What a study costs, at what the device can do and at each declared rate."""
    price = results["gpu_usd_per_hour"]
    parts = [f"USD {results['usd_per_study_at_capacity']:.5f} a study at capacity"]
    parts += [
        f"USD {stage['usd_per_study']:.5f} at {stage['rate_per_hour']:g} an hour"
        for stage in results["stages"]
        if stage["usd_per_study"] is not None and stage["load_asked"] is None
    ]
    return f"{', '.join(parts)}, if this device were rented at USD {price:.2f} an hour"


def memory_line(results: dict[str, Any]) -> str:
    """Peak memory, of host and GPU."""
    peaks = results["peaks_bytes"]
    names = {
        "host_peak_bytes": "of the candidate's process at most",
        "gpu_peak_bytes": "reserved on the GPU at most (torch)",
        "gpu_used_bytes": "in use on the GPU at most (NVML)",
    }
    told = [f"{peaks[key] / 1e9:.2f} GB {words}" for key, words in names.items() if key in peaks]
    return ", ".join(told) or "not told"


def clock_line(results: dict[str, Any]) -> str:
    """Which clock, and whether the wall clock was set meanwhile."""
    jumps = results["clock_jumps_s"]
    told = f"{results['clock']}; "
    if jumps:
        amounts = ", ".join(f"{jump:+.1f} s" for jump in jumps)
        told += f"the wall clock was set meanwhile ({amounts}), which these times do not follow"
    else:
        told += "the wall clock was not set meanwhile"
    return told


def sessions_line(results: dict[str, Any]) -> str:
    """How often the run was interrupted, what that cost, and which stages repeat studies."""
    told = []
    if (count := results["sessions"] - 1) > 0:
        lost = sum(stage["interrupted"] for stage in results["stages"])
        told.append(
            f"{count:,} interruption{'s' * (count > 1)}; {lost:,} requests without a known outcome count as "
            "without a report"
        )
        if again := [stage["stage"] for stage in results["stages"] if stage["attempts"] > 1]:
            told.append(f"begun again, the worst attempt at each request counting: {', '.join(again)}")
    if repeated := [stage["stage"] for stage in results["stages"] if stage["repeats"]]:
        told.append(f"studies asked before are asked again in {', '.join(repeated)}, which can pass nothing")
    return "; ".join(told) or "not interrupted; every study asked once"


def estimate_line(results: dict[str, Any]) -> str:
    """The estimate in a line that cannot be taken for a measurement."""
    guess = results["estimate"]
    if guess["reason"]:
        return f"none for {results['target']['device']}: {guess['reason']}"
    return (
        f"{guess['target']}: some {seconds(guess['seconds'])} a study, a guess from the model's size "
        f"(efficiency {guess['efficiency']:.2g}, {guess['efficiency_told']}). Not evidence; decides nothing"
    )
