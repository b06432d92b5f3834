"""A promotion's decision as files and lines for CI: JSON, Markdown, JUnit, annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from harness.ledger import write_atomically
from harness.promotion.condition import Condition
from harness.promotion.decide import Promotion
from harness.promotion.policy import PolicyFile
from harness.promotion_record import RECORD
from harness.status import Status

_LEVELS: Final = {"WAIVED": "warning", "STATED": "notice", "FAIL": "error", "NOT EVALUATED": "error"}


def write_promotion(out: Path, promotion: Promotion, policy: PolicyFile) -> list[Path]:
    """Writes promotion.json, .md, .xml (JUnit) and .txt (annotations) into a folder; returns their paths.

    Raises:
        LedgerError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    name = Path(RECORD)
    files = {
        name: json.dumps(promotion.as_json(), indent=1, allow_nan=False) + "\n",
        name.with_suffix(".md"): markdown(promotion),
        name.with_suffix(".xml"): junit(promotion),
        name.with_suffix(".txt"): "".join(f"{line}\n" for line in annotation_lines(promotion, policy)),
    }
    for path, text in files.items():
        write_atomically(out / path, text.encode())
    return [out / path for path in files]


def markdown(promotion: Promotion) -> str:
    """The decision as a Markdown page: what blocks first, then waivers, every condition, and evidence."""
    unmet = [item for item in promotion.conditions if item.counted is not Status.PASS]
    policy = promotion.policy
    lines = [f"## Promotion: {promotion.headline}", ""]
    lines += [f"- **{item.word}** {_cell(item.id)}: {_cell(item.reason)}" for item in unmet]
    if promotion.waivers:
        lines += ["", "### Waivers", "", "| Condition | Effect | By | Granted | Expires | Reason |",
                  "|---|---|---|---|---|---|"]  # fmt: skip
        for state in promotion.waivers:
            waiver = state.waiver
            effect = f"**WAIVED**: {state.told}" if state.applied else state.told
            lines.append(
                _row(waiver.condition, effect, waiver.by, waiver.granted, waiver.expires, waiver.reason)
            )
    lines += ["", "### Conditions", "", "| Condition | Verdict | Why |", "|---|---|---|"]
    lines += [_row(item.id, f"**{item.word}**", _why(item)) for item in promotion.conditions]
    lines += [
        "",
        "### Evidence",
        "",
        "| Piece | Folder | Ledger | Candidate | Suite |",
        "|---|---|---|---|---|",
    ]
    lines += [
        _row(
            item.role, item.folder, *(f"`{part[:12]}`" for part in (item.ledger, item.candidate, item.suite))
        )
        for item in promotion.evidence
    ]
    lines += [
        "",
        f"Candidate `{promotion.candidate or 'not known'}`  ",
        f"Policy {policy['name']}, version {policy['version']}, `{policy['digest']}`  ",
        f"Decided on {promotion.decided_on}; decision `{promotion.digest}`",
        "",
    ]
    return "\n".join(lines)


def junit(promotion: Promotion) -> str:
    """The decision as JUnit XML: FAIL is a failure, NOT EVALUATED an error; WAIVED and STATED are skipped."""
    found = [item.word for item in promotion.conditions]
    counts = {
        "tests": len(found),
        "failures": found.count("FAIL"),
        "errors": found.count("NOT EVALUATED"),
        "skipped": found.count("WAIVED") + found.count("STATED"),
    }
    attributes = {key: str(count) for key, count in counts.items()}
    suites = ElementTree.Element("testsuites", attributes)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "harness promotion", **attributes})
    for item in promotion.conditions:
        section, _, name = item.id.partition(".")
        case = ElementTree.SubElement(suite, "testcase", {"classname": section, "name": name or section})
        if item.word != "PASS":
            kind = {"FAIL": "failure", "NOT EVALUATED": "error"}.get(item.word, "skipped")
            told = ElementTree.SubElement(case, kind, {"message": f"{item.word}: {_why(item)}"})
            told.text = item.reason
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def annotation_lines(promotion: Promotion, policy: PolicyFile, *, github: bool = False) -> Iterator[str]:
    """A line for everything that is not plainly passed, at the line of the policy that asks for it.

    Args:
        promotion: the decision.
        policy: the file that asks.
        github: as workflow commands of GitHub Actions; else `path:line: text`, which editors and CI
            systems understand.
    """
    for item in promotion.conditions:
        if item.word != "PASS":
            text = f"{item.id}: {item.word}: {_why(item)}"
            yield _annotation(policy, item.section, _LEVELS[item.word], text, github)
    for place, state in enumerate(promotion.waivers):
        if not state.applied:
            text = f"waiver of {state.waiver.condition} by {state.waiver.by} {state.told}"
            yield _annotation(policy, f"waivers[{place}]", "warning", text, github)


def _annotation(policy: PolicyFile, section: str, level: str, text: str, github: bool) -> str:
    line, text = policy.lines.get(section, 1), " ".join(text.split())
    if not github:
        return f"{policy.path}:{line}: {text}"
    title = _escape(f"harness gate: {section or 'evidence'}", ":,")
    return f"::{level} file={_escape(str(policy.path), ':,')},line={line},title={title}::{_escape(text)}"


def _escape(text: str, further: str = "") -> str:
    """As GitHub's workflow commands ask for it."""
    for sign in "%\r\n" + further:
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text


def _why(item: Condition) -> str:
    if item.waiver is None:
        return item.reason
    waiver = item.waiver
    return f"{item.reason}; waived by {waiver.by} until {waiver.expires}: {waiver.reason}"


def _row(*cells: Any) -> str:
    return "| " + " | ".join(_cell(str(cell)) for cell in cells) + " |"


def _cell(text: str) -> str:
    """One line without markup that a table or an HTML renderer would read."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace("|", "\\|")
