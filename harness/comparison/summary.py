"""A comparison as files: comparison.json for machines, comparison.md for people."""

from __future__ import annotations

import json
from pathlib import Path

from harness.comparison.decide import Comparison
from harness.comparison.differences import Difference
from harness.gate import shown
from harness.ledger import write_atomically

TESTS = ("permutation", "t", "signed-rank", "mcnemar")


def write_comparison(out: Path, comparison: Comparison) -> list[Path]:
    """Writes comparison.json and comparison.md into a folder; returns their paths.

    Raises:
        LedgerError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {
        "comparison.json": json.dumps(comparison.as_json(), indent=1, allow_nan=False) + "\n",
        "comparison.md": markdown(comparison),
    }
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    return [out / name for name in files]


def title(comparison: Comparison) -> str:
    """What was decided: a promotion, or, of a suite without hypotheses, that nothing was lost."""
    return "Promotion" if comparison.family or not comparison.guardrails else "Non-inferiority"


def markdown(comparison: Comparison) -> str:
    """The comparison as a Markdown page."""
    lines = [
        f"## {title(comparison)}: {comparison.status}",
        "",
        *(f"> {line}\n" for line in about(comparison)),
    ]
    if comparison.family:
        lines += ["", "| Hypothesis | Test | p | Adjusted | Finding | Why |", "|---|---|---:|---:|---|---|"]
        lines += [
            f"| {item.id} | {item.test} | {p_value(item.p_value)} | {p_value(item.adjusted)} "
            f"| **{item.finding}** | {item.reason} |"
            for item in comparison.family
        ]
    if comparison.guardrails:
        lines += [
            "",
            "| Guardrail | Difference | Bound | Margin | Verdict | Why |",
            "|---|---:|---:|---:|---|---|",
        ]
        lines += [
            f"| {item.id} | {shown(item.difference)} | {shown(item.bound)} | {item.margin:g} "
            f"| **{item.status}** | {item.reason} |"
            for item in comparison.guardrails
        ]
    lines += ["", "| Value | Current | Challenger | Difference | Interval | "
              + " | ".join(f"p, {name}" for name in TESTS) + " |",
              "|---|---:|---:|---:|---|" + "---:|" * len(TESTS)]  # fmt: skip
    lines += ["| " + " | ".join(cells(item)) + " |" for item in comparison.differences]
    return "\n".join([*lines, ""])


def about(comparison: Comparison) -> list[str]:
    """What was compared, sentence by sentence."""
    lines = [
        f"Suite {comparison.suite}, {comparison.design}: {comparison.n_studies:,} studies of "
        f"{comparison.n_patients:,} patients. Differences are challenger minus current; intervals and "
        "tests are by patient."
    ]
    if comparison.current["candidate"] == comparison.challenger["candidate"]:
        lines.append("Both runs are of one and the same candidate.")
    if comparison.sample_ratio is not None:
        ratio = comparison.sample_ratio
        lines.append(
            f"Patients: {ratio.current:,} current, {ratio.challenger:,} challenger; a share of "
            f"{ratio.share:g} was dealt out (p = {ratio.p_value:.2g})."
        )
    if comparison.look is not None:
        look = comparison.look
        lines.append(
            f"Look {look.number}, at {look.fraction:.0%} of {look.planned:,} planned studies: each of the "
            f"{len(comparison.family)} hypotheses needs p below {look.level:.2g}."
        )
    return [*lines, *comparison.reasons]


def cells(item: Difference) -> list[str]:
    """One row of the table of differences."""
    interval = "–" if item.low != item.low else f"{item.low:+.4f} to {item.high:+.4f}"  # NaN: none
    return [
        f"{item.measure}.{item.value}",
        number(item.current),
        number(item.challenger),
        number(item.difference, sign="+"),
        interval,
        *(p_value(item.tests[name].p_value) if name in item.tests else "" for name in TESTS),
    ]


def number(value: float, sign: str = "") -> str:
    """Four decimals, a dash for NaN."""
    return "–" if value != value else f"{value:{sign}.4f}"


def p_value(p: float | None) -> str:
    """Two significant digits, a dash for what is undefined."""
    return "–" if p is None or p != p else f"{p:.2g}"
