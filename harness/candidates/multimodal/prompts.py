"""What the language model is asked: the clinical context and an instruction, as text.

The same weights follow every instruction; what differs is the text in front of the answer, and, in
training, the answer that belongs to it (`Instruction.target`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from harness.annotators.rules import RulesLabeler
from harness.candidates.multimodal.sections import Sections, sentence_spans
from harness.errors import CandidateError
from harness.report import FINDINGS, Finding, State
from harness.study import Context, Sex

CUT: Final = "[cut]"
"""Stands where an indication was too long for the context and ends early."""
_PRIORS: Final = 3


@dataclass(frozen=True, slots=True)
class Template:
    """A named manner of reporting."""

    request: str
    """The instruction's words."""
    findings: bool = True
    """Whether the answer has a Findings section; each has an impression."""
    regions: Mapping[str, tuple[Finding, ...]] | None = None
    """Heading -> the findings told under it; None: free text."""


_REGIONS: Final = MappingProxyType(
    {
        "Lungs": (
            Finding.LUNG_OPACITY,
            Finding.LUNG_LESION,
            Finding.EDEMA,
            Finding.CONSOLIDATION,
            Finding.PNEUMONIA,
            Finding.ATELECTASIS,
        ),
        "Pleura": (Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION, Finding.PLEURAL_OTHER),
        "Heart": (Finding.CARDIOMEGALY,),
        "Mediastinum": (Finding.ENLARGED_CARDIOMEDIASTINUM,),
        "Bones": (Finding.FRACTURE,),
        "Devices": (Finding.SUPPORT_DEVICES,),
    }
)
_ELSE: Final = "Other"

TEMPLATES: Final[Mapping[str, Template]] = MappingProxyType(
    {
        "standard": Template("Write the report."),
        "by-region": Template(
            f"Write the report, its findings by region: {', '.join(_REGIONS)}.", regions=_REGIONS
        ),
        "brief-impression": Template("Write only the impression.", findings=False),
    }
)
"""Reporting templates by name."""

DETAILS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "standard": "",
        "brief": "Name only what is abnormal.",
        "full": "Describe every region, normal ones too.",
    }
)
"""Level of detail -> the words that ask for it."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """What is asked of the model: a report in some manner, or an answer to a question.

    Args:
        template: a name of `TEMPLATES`.
        detail: a name of `DETAILS`.
        question: a question about the pictures, instead of a report.

    Raises:
        CandidateError: a name that is not there, an empty question, or a question together with a
            template or a level of detail.
    """

    template: str = "standard"
    detail: str = "standard"
    question: str | None = None

    def __post_init__(self) -> None:
        for name, known in (("template", TEMPLATES), ("detail", DETAILS)):
            if getattr(self, name) not in known:
                raise CandidateError(f"no {name} {getattr(self, name)!r}; there is {', '.join(known)}")
        if self.question is not None:
            if not self.question.strip():
                raise CandidateError("the question is empty; write one, or leave it out for a report")
            if (self.template, self.detail) != ("standard", "standard"):
                raise CandidateError("a question takes no template and no level of detail")

    @property
    def text(self) -> str:
        """The instruction's words."""
        if self.question is not None:
            return f"Question: {_line(self.question)}"
        return " ".join(filter(None, (TEMPLATES[self.template].request, DETAILS[self.detail])))

    @property
    def cue(self) -> str:
        """The last line of the prompt, behind which the answer begins."""
        return "Report:" if self.question is None else "Answer:"

    def target(self, findings: str, impression: str) -> str:
        """The answer to train towards, from a reference report's sections; "" if none can be made.

        "brief" keeps the sentences that state a finding as present or possible. "full" has no
        answer of its own in a reference: it is the whole text.

        Raises:
            CandidateError: a question has no answer in a report's sections (see `finding_answer`).
        """
        if self.question is not None:
            raise CandidateError("a question's answer is not a report; give it as the text itself")
        template = TEMPLATES[self.template]
        told = findings if template.findings else ""
        if self.detail == "brief":
            told = abnormal(told)
        if template.regions:
            told = by_region(told, template.regions)
        return Sections(told, impression).joined()


STANDARD: Final = Instruction()


def finding_question(finding: Finding) -> str:
    """The question whether a finding is there, as training and `Instruction(question=...)` put it."""
    return f"Is there {finding.lower()}?"


def finding_answer(state: State) -> str:
    """Its answer; "" where the reference does not tell."""
    return {State.POSITIVE: "Yes.", State.NEGATIVE: "No.", State.UNCERTAIN: "Possibly."}.get(state, "")


def abnormal(text: str) -> str:
    """The sentences that state a finding as present or possible."""
    spans = sentence_spans(text)
    there = [
        mention.start
        for mention in RulesLabeler().mentions(text)
        if mention.state in (State.POSITIVE, State.UNCERTAIN) and mention.finding is not Finding.NO_FINDING
    ]
    return " ".join(text[start:end] for start, end in spans if any(start <= at < end for at in there))


def by_region(text: str, regions: Mapping[str, tuple[Finding, ...]]) -> str:
    """A text's sentences under the heading of the first finding that each speaks of.

    Sentences keep their order under a heading; those that speak of no finding come last, as Other.
    """
    home = {finding: name for name, findings in regions.items() for finding in findings}
    told: dict[str, list[str]] = {name: [] for name in (*regions, _ELSE)}
    mentions = RulesLabeler().mentions(text)
    for start, end in sentence_spans(text):
        names = [home[m.finding] for m in mentions if start <= m.start < end and m.finding in home]
        told[names[0] if names else _ELSE].append(text[start:end])
    return " ".join(f"{name} - {' '.join(said)}" for name, said in told.items() if said)


def context_lines(context: Context, views: Sequence[str]) -> tuple[list[str], str]:
    """The clinical context, a line each, and the indication apart, which may be cut.

    Line breaks in the indication are blanks here: it is data and starts no line of its own.
    """
    person = [f"{context.age}-year-old"] if context.age is not None else []
    if context.sex is not None:
        person.append("woman" if context.sex is Sex.FEMALE else "man")
    lines = [f"Patient: {' '.join(person)}."] if person else []
    if context.prior_studies:
        latest = context.prior_studies[-_PRIORS:]
        lines.append(f"Prior studies: {len(context.prior_studies)}, latest {', '.join(latest)}.")
    lines.append(f"Views: {', '.join(views)}.")
    return lines, _line(context.indication)


def detected_line(findings: Collection[Finding]) -> str:
    """The findings that the head sees, in CheXpert's order; No Finding is not one of them."""
    named = [finding.lower() for finding in FINDINGS if finding in findings and finding is not FINDINGS[0]]
    return f"Detected: {', '.join(named) or 'nothing'}."


def prompt_text(lines: Sequence[str], indication: str, instruction: Instruction) -> str:
    """The whole prompt, one thing a line; the answer is written behind it."""
    told = [f"Indication: {indication}"] if indication else []
    return "\n".join([*lines, *told, instruction.text, instruction.cue])


def _line(text: str) -> str:
    return " ".join(text.split())
