"""The gate: a run's evidence checked, its verdict derived again, and written for CI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harness.conclude import conclude
from harness.errors import LedgerError
from harness.latency.evidence import is_latency, judge_latency
from harness.ledger import Ledger, write_atomically
from harness.plain import difference
from harness.report import CRITICAL
from harness.suite import read_suite
from harness.verdict import Decision, Status, Verdict


def judge(folder: Path) -> tuple[dict[str, Any], Verdict]:
    """The results and verdict of a run, after checking that they follow from its evidence.

    The log's chain, every part's digest and the ledger digest are checked; estimates and verdict
    are worked out again from the integer rows; of a latency run, from the raw times in its log.

    Raises:
        LedgerError: the run is incomplete, or something does not follow.
    """
    ledger = Ledger(folder)
    if is_latency(ledger):
        return judge_latency(ledger)
    results = ledger.results()
    if ledger.digest() != results["ledger"]:
        raise LedgerError(f"{folder}: the ledger digest does not follow from its parts")
    suite = read_suite(folder / "suite.yaml")
    if suite.digest() != ledger.identity["suite"]:
        raise LedgerError(f"{folder / 'suite.yaml'}: is not the suite that this run was asked")
    again = json.loads(json.dumps(conclude(ledger, suite)))  # plain values, as the file holds them
    parts = ["verdict", "estimates"]
    stated = results.get("labeler_accuracy", {}).get("measured")
    if stated and again["labeler_accuracy"]["measured"]:  # else another version's figures: not ours to check
        parts.append("labeler_accuracy")
    for part in parts:
        if where := difference(results[part], again[part], part):
            raise LedgerError(f"{folder / 'results.json'}: {where} does not follow from the rows")
    return results, Verdict.from_json(results["verdict"])


def write_summaries(out: Path, results: dict[str, Any], verdict: Verdict) -> list[Path]:
    """Writes verdict.json, junit.xml and summary.md into a folder; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    files = {
        "verdict.json": json.dumps({"ledger": results["ledger"], **verdict.as_json()}, indent=1) + "\n",
        "junit.xml": junit(verdict),
        "summary.md": markdown(results, verdict),
    }
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    return [out / name for name in files]


def junit(verdict: Verdict) -> str:
    """The verdict as JUnit XML: FAIL is a failure, NOT EVALUATED an error. Neither is a pass."""
    counts = {
        "tests": len(verdict.decisions) + len(verdict.reasons),
        "failures": sum(item.status is Status.FAIL for item in verdict.decisions),
        "errors": sum(item.status is Status.NOT_EVALUATED for item in verdict.decisions)
        + len(verdict.reasons),
    }
    attributes = {key: str(count) for key, count in counts.items()}
    suites = ElementTree.Element("testsuites", attributes)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "harness", **attributes})
    for item in verdict.decisions:
        case = ElementTree.SubElement(suite, "testcase", {"classname": item.measure, "name": item.id})
        if item.status is not Status.PASS:
            kind = "failure" if item.status is Status.FAIL else "error"
            told = ElementTree.SubElement(case, kind, {"message": item.reason})
            told.text = f"{item.status}: {sentence(item)}"
    for number, reason in enumerate(verdict.reasons, 1):
        case = ElementTree.SubElement(suite, "testcase", {"classname": "run", "name": f"whole-{number}"})
        ElementTree.SubElement(case, "error", {"message": reason})
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def markdown(results: dict[str, Any], verdict: Verdict) -> str:
    """The verdict as a Markdown page for a CI system."""
    lines = [
        f"## Verdict: {verdict.status}",
        "",
        *(f"> {reason}\n" for reason in verdict.reasons),
        "| Criterion | Value | 95 % interval | Bound | Must be | Counts | Verdict |",
        "|---|---:|---|---:|---:|---:|---|",
    ]
    for item in verdict.decisions:
        cells = (item.id, shown(item.estimate), interval(item), shown(item.bound), must_be(item),
                 counts_of(item), f"**{item.status}**")  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    unmet = [item for item in verdict.decisions if item.status is not Status.PASS]
    lines += ["", *(f"- {item.id}: {item.reason}" for item in unmet)]
    lines += ["", *(f"{line}  " for line in labeler_lines(results))]
    for item in verdict.decisions:
        if item.groups:
            lines += ["", f"### {item.id}, by group", "", "| Group | Value | Bound | Verdict | Why |"]
            lines.append("|---|---:|---:|---|---|")
            lines += [
                f"| {group.group} | {shown(group.estimate)} | {shown(group.bound)} | **{group.status}** "
                f"| {group.reason} |"
                for group in item.groups
            ]
    lines += ["", f"Ledger `{results['ledger']}`", ""]
    return "\n".join(lines)


def labeler_lines(results: dict[str, Any]) -> list[str]:
    """How far the labeler that read the texts is to be trusted, for the critical findings."""
    known = results.get("labeler_accuracy")
    if known is None:
        return []
    if not known["measured"]:
        return [f"Texts read by {known['labeler']}: its accuracy is {known['why']}"]
    lines = [
        f"Texts read by {known['labeler']}, measured on {known['reports']:,} reports labelled by people:"
    ]
    for finding in CRITICAL:
        row = known["findings"].get(finding)
        rates = (
            "not measured"
            if row is None
            else ", ".join(f"{name} {_rate(row[name])}" for name in ("sensitivity", "specificity"))
        )
        lines.append(f"{finding}: {rates}")
    return lines


def _rate(rate: dict[str, Any]) -> str:
    if rate["value"] is None:
        return "0/0"
    return f"{rate['value']:.3f} ({rate['low']:.3f} to {rate['high']:.3f})"


def sentence(item: Decision) -> str:
    """One line with everything that a criterion was decided on."""
    return (
        f"{item.measure}.{item.value} = {shown(item.estimate)} ({interval(item)}), "
        f"{counts_of(item)}; {item.reason}"
    )


def shown(number: float | None) -> str:
    """A number with four decimals, a dash where it is undefined."""
    return "–" if number is None else f"{number:.4f}"


def interval(item: Decision) -> str:
    """The two-sided interval."""
    return "–" if item.low is None else f"{shown(item.low)} to {shown(item.high)}"


def must_be(item: Decision) -> str:
    """The comparison with its threshold."""
    sign = {"above": ">", "at_least": "≥", "below": "<", "at_most": "≤"}[item.comparison]
    return f"{sign} {item.threshold:g}"


def counts_of(item: Decision) -> str:
    """Numerator and denominator, or the number of studies."""
    if item.denominator is None:
        return f"{item.n_studies:,} studies"
    return f"{item.numerator:,} / {item.denominator:,}"
