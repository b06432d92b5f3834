"""Report texts to sections."""

from __future__ import annotations

import re
from typing import Final

_HEADINGS: Final = {
    "findings": "findings",
    "finding": "findings",
    "findings and impression": "findings",
    "findings/impression": "findings",
    "impression": "impression",
    "impressions": "impression",
    "conclusion": "impression",
    "conclusions": "impression",
    "summary": "impression",
    "indication": "indication",
    "indications": "indication",
    "history": "indication",
    "clinical history": "indication",
    "clinical information": "indication",
    "clinical indication": "indication",
    "reason for exam": "indication",
    "reason for examination": "indication",
    "comparison": "comparison",
    "comparisons": "comparison",
}
# Headings that only end the section before them.
_OTHERS: Final = (
    "final report", "wet read", "examination", "exam", "study", "technique", "procedure", "type of exam",
    "notification", "recommendation", "recommendations", "recommendation(s)", "addendum", "final addendum",
    "provisional findings impression", "preliminary report", "radiograph", "chest radiographs",
    "views", "date",
)  # fmt: skip
# A heading is a known name and a colon, or a known name in capitals alone on its line.
_HEADING: Final = re.compile(
    r"^[ \t_]*(?:(?P<name>"
    + "|".join(re.escape(name) for name in sorted((*_HEADINGS, *_OTHERS), key=len, reverse=True))
    + r")[ \t]*:|(?P<bare>FINDINGS?|IMPRESSION|CONCLUSION|FINAL REPORT|WET READ|(?:FINAL )?ADDENDUM)[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_UPPER: Final = re.compile(r"(?<!AND )(?<!/)\b(FINDINGS|IMPRESSION)[ \t]*:")


def parse_sections(report: str) -> dict[str, str]:
    """Findings, impression, indication and comparison of a report; "" where there is none.

    Lines are joined. Of several sections of one name the first that says something counts (an
    addendum does not replace the report). A text without findings and impression headings gives
    its last paragraph as findings, as the extractor that comes with MIMIC-CXR does; one that is
    nothing but headings gives nothing.
    """
    text = report.replace("\r\n", "\n").replace("\x00", " ")
    # "... COMPARISON: none. FINDINGS: ..." - headings in capitals in the middle of a line.
    text = _UPPER.sub(lambda match: "\n" + match.group(0), text)
    found = _by_heading(text)
    if not found["findings"] and not found["impression"]:
        paragraphs = [part for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
        if paragraphs and not _HEADING.search(paragraphs[-1]):
            # It must not stay in the section before it: a candidate is told the indication.
            found = _by_heading("\n\n".join(paragraphs[:-1]))
            found["findings"] = _joined(paragraphs[-1])
    return found


def _by_heading(text: str) -> dict[str, str]:
    found: dict[str, str] = {"findings": "", "impression": "", "indication": "", "comparison": ""}
    marks = [mark for mark in _HEADING.finditer(text) if mark.group("bare") in (None, mark.group(0).strip())]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=False):
        name = _HEADINGS.get((mark.group("name") or mark.group("bare")).lower())
        body = _joined(text[mark.end() : end])
        if name and body and not found[name]:
            found[name] = body
    return found


def _joined(text: str) -> str:
    return " ".join(text.replace("_" * 4, " ").split())
