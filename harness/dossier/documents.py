"""The documents of a packet: their order, names and sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Document:
    """One document; its template is `packet/NUMBER-slug.html.j2`."""

    number: int
    slug: str
    title: str
    sections: tuple[tuple[str, str], ...]
    """(anchor, heading), in the order of the page."""

    @property
    def name(self) -> str:
        """File name without its ending."""
        return f"{self.number:02d}-{self.slug}"

    def place(self, anchor: str) -> int:
        """The number of a section within its document, from 1."""
        return [name for name, _ in self.sections].index(anchor) + 1

    def heading(self, anchor: str) -> str:
        """The heading of a section."""
        return dict(self.sections)[anchor]


DOCUMENTS: Final = (
    Document(
        1,
        "clinical-performance",
        "Clinical performance summary",
        (
            ("verdict", "Verdict and acceptance criteria"),
            ("failures", "Failures to process"),
            ("endpoints", "Endpoints"),
            ("subgroups", "Subgroups"),
            ("fairness", "Fairness"),
            ("errors", "Error analysis"),
            ("latency", "Latency"),
            ("repeat", "Repeatability and reproducibility"),
            ("device", "Device and intended use"),
            ("design", "Study design and protocol"),
            ("cohort", "Studies and patients"),
            ("reference", "Reference standard and labeler"),
            ("limits", "What this does not show"),
        ),
    ),
    Document(
        2,
        "predicate-comparison",
        "Predicate comparison",
        (("standing", "What is compared, and what is not claimed"), ("comparison", "Comparison, row by row")),
    ),
    Document(
        3,
        "risk-analysis",
        "Risk analysis update",
        (
            ("open", "Open hazards"),
            ("hazards", "All hazards"),
            ("evidence", "Hazards in detail"),
            ("changes", "Changes since the previous version"),
            ("rules", "Classes and rules"),
        ),
    ),
    Document(
        4,
        "traceability",
        "Traceability matrix",
        (("unverified", "Unverified and untraced"), ("matrix", "Requirement to record")),
    ),
    Document(
        5,
        "model-card",
        "Model card and change control",
        (
            ("change", "Change control: planned modifications"),
            ("model", "Model"),
            ("use", "Intended use and limits"),
            ("performance", "Measured performance"),
            ("data", "Data"),
        ),
    ),
    Document(
        6,
        "checklists",
        "Reporting checklists",
        (
            ("unaddressed", "Items not addressed"),
            ("stard", "STARD-AI"),
            ("claim", "CLAIM 2024"),
            ("tripod", "TRIPOD+AI"),
            ("gmlp", "Good machine learning practice"),
        ),
    ),
    Document(7, "clinical-lead", "For the clinical lead", (("missed", "Every missed critical finding"),)),
)

BY_NUMBER: Final = {document.number: document for document in DOCUMENTS}
