"""What a packet file may say, section by section."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.suite import Confidence, Name, Threshold

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]

Severity = Literal["negligible", "minor", "serious", "critical", "catastrophic"]
Probability = Literal["improbable", "remote", "occasional", "probable", "frequent"]
SEVERITIES: Final[tuple[Severity, ...]] = ("negligible", "minor", "serious", "critical", "catastrophic")
PROBABILITIES: Final[tuple[Probability, ...]] = (
    "improbable", "remote", "occasional", "probable", "frequent",
)  # fmt: skip
"""Qualitative classes of the kind ISO 14971:2019 and ISO/TR 24971:2020 leave to the manufacturer."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Device(_Part):
    """What is to be placed on the market."""

    name: Text
    version: Text
    manufacturer: Text
    description: Text
    model: str = ""
    """Architecture and weights in words; their digest comes from the ledger."""
    algorithm: str = ""
    """Its type, such as "convolutional or transformer network with sentence templates"."""
    locked: bool | None = None
    """Whether the algorithm is fixed once deployed. None: not stated."""
    training_data: str = ""
    input: str = ""
    output: str = ""
    workflow: str = ""
    alters_images: bool | None = None
    deployment: str = ""
    product_code: str = ""
    regulation: str = ""
    submission: str = ""


class IntendedUse(_Part):
    """For whom and for what the device is meant."""

    statement: Text
    population: Text
    users: str = ""
    setting: str = ""
    views: str = ""
    findings: str = ""
    contraindications: Texts = ()


class Sponsor(_Part):
    """Who answers for the packet."""

    name: Text
    contact: str = ""


class StudyDesign(_Part):
    """How the evidence was gathered; what the ledger knows stands in the ledger."""

    design: Text
    protocol: str = ""
    eligibility: Texts = ()
    exclusion: Texts = ()
    sites: Texts = ()
    manufacturers: Texts = ()
    """Of the X-ray devices."""
    period: str = ""
    reference_standard: Text
    ethics: str = ""
    funding: str = ""
    registration: str = ""
    data_access: str = ""
    limits: Texts = ()
    """What the study does not show, besides what the ledger says."""


class Rate(_Part):
    """A rate as another manufacturer published it."""

    value: Annotated[float, Field(ge=0, le=1)]
    low: Annotated[float, Field(ge=0, le=1)] | None = None
    high: Annotated[float, Field(ge=0, le=1)] | None = None
    source: Text


COMPARED: Final = {
    "manufacturer": "Manufacturer",
    "submission": "Submission number",
    "product_code": "Product code",
    "regulation": "Regulation",
    "intended_use": "Intended use",
    "population": "Population",
    "views": "Views",
    "findings": "Findings",
    "algorithm": "Algorithm",
    "locked": "Algorithm locked",
    "input": "Input",
    "output": "Output",
    "workflow": "Workflow",
    "alters_images": "Alters images",
    "deployment": "Deployment",
    "processing_time": "Processing time",
    "sensitivity": "Standalone sensitivity",
    "specificity": "Standalone specificity",
    "auc": "Standalone AUC",
}
"""Rows of the comparison with another device -> what they are called."""


class OtherDevice(_Part):
    """A predicate or reference device, from its public summary."""

    name: Text
    role: Literal["predicate", "reference device"]
    manufacturer: str = ""
    submission: str = ""
    product_code: str = ""
    regulation: str = ""
    intended_use: str = ""
    population: str = ""
    views: str = ""
    findings: str = ""
    algorithm: str = ""
    locked: bool | None = None
    input: str = ""
    output: str = ""
    workflow: str = ""
    alters_images: bool | None = None
    deployment: str = ""
    processing_time: str = ""
    sensitivity: Rate | None = None
    specificity: Rate | None = None
    auc: Rate | None = None
    discussion: dict[str, str] = {}
    """Row of the comparison (a key of `COMPARED`) -> same or different, and what follows from it."""

    @model_validator(mode="after")
    def _known_rows(self) -> OtherDevice:
        for key in self.discussion:
            if key not in COMPARED:
                raise ValueError(f"discussion of {key!r}, which is no row; rows: {', '.join(COMPARED)}")
        return self


class Observed(_Part):
    """The rate of the ledger that speaks of a hazard."""

    measure: Name
    value: str = "value"
    slice: str | None = None
    complement: bool = False
    """True for a rate of success, such as a sensitivity: the hazard is its complement."""


class Hazard(_Part):
    """A line of the risk analysis, as ISO 14971 asks."""

    id: Name
    hazard: Text
    situation: Text
    harm: Text
    severity: Severity
    probability: Probability
    """Before the observed rate."""
    controls: Texts = ()
    evidence: Names = ()
    """Ids of the suite's criteria that verify the controls."""
    observed: Observed | None = None
    leads_to_harm: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of hazardous situations that end in this harm (P2 of ISO/TR 24971); 1 where unknown."""
    basis: str = ""
    """Where `leads_to_harm` and the initial class come from."""


class Requirement(_Part):
    """A software requirement to trace, as IEC 62304 asks."""

    id: Name
    text: Text
    hazards: Names = ()
    criteria: Names = ()


class Bound(_Part):
    """What must stay true of one value after a modification."""

    measure: Name
    value: str = "value"
    slice: str | None = None
    at_least: Threshold | None = None
    at_most: Threshold | None = None
    confidence: Confidence = 0.95
    """Of the one-sided bound; one that the suite's criteria name."""

    @model_validator(mode="after")
    def _one(self) -> Bound:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("needs exactly one of at_least, at_most")
        return self


class Modification(_Part):
    """A planned change and the bounds within which it needs no new submission."""

    id: Name
    change: Text
    method: Text
    """How it will be verified."""
    impact: str = ""
    bounds: Annotated[tuple[Bound, ...], Field(min_length=1, strict=False)]


class Previous(_Part):
    """The version before this one."""

    version: str = ""
    risk_file: str = ""
    """The `risk.json` of its packet; relative to the packet file."""
    none: str = ""
    """Why there is none."""

    @model_validator(mode="after")
    def _either(self) -> Previous:
        if bool(self.none) == bool(self.version and self.risk_file):
            raise ValueError("needs version and risk_file, or none with the reason")
        return self


class Signer(_Part):
    """Who is to sign, and as what."""

    name: Text
    role: Text
    meaning: Literal["author", "reviewer", "approver"]


class Runs(_Part):
    """Further run folders of the same suite, cohort and candidate; relative to the packet file."""

    repeat: str = ""
    """The same studies a second time: repeatability."""
    reproduction: str = ""
    """The same run on another machine: reproducibility."""


class Latency(_Part):
    """The device on which times count."""

    device: Text
    """What it is called in the packet."""
    processor: Text
    """As the run's environment names it; times taken on another are shown, and decide nothing."""
    p99_below_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class Disclosure(_Part):
    """What the public variant may show."""

    minimum_cell: Annotated[int, Field(ge=2, le=100)] = 5
    """Counts of persons below it are suppressed, and what would give them away."""


class Packet(_Part):
    """A whole packet file. Everything may be missing; what is, is listed and marks the packet."""

    title: str = "Regulatory packet"
    device: Device | None = None
    intended_use: IntendedUse | None = None
    sponsor: Sponsor | None = None
    study: StudyDesign | None = None
    devices: Annotated[tuple[OtherDevice, ...], Field(strict=False)] | None = None
    """Predicates and reference devices."""
    no_predicate: str = ""
    """Why there is no predicate."""
    hazards: Annotated[tuple[Hazard, ...], Field(min_length=1, strict=False)] | None = None
    requirements: Annotated[tuple[Requirement, ...], Field(min_length=1, strict=False)] | None = None
    modifications: Annotated[tuple[Modification, ...], Field(strict=False)] | None = None
    previous: Previous | None = None
    signers: Annotated[tuple[Signer, ...], Field(min_length=1, strict=False)] | None = None
    runs: Runs | None = None
    latency: Latency | None = None
    disclosure: Disclosure = Disclosure()

    @property
    def predicates(self) -> tuple[OtherDevice, ...]:
        """The devices to which equivalence could be claimed, by others than us."""
        return tuple(device for device in self.devices or () if device.role == "predicate")

    def missing(self) -> list[tuple[str, str]]:
        """(section, what its absence leaves open) of everything that the file does not hold."""
        gaps = [(name, what) for name, what in SECTIONS.items() if getattr(self, name) is None]
        if self.devices is not None and not self.predicates and not self.no_predicate:
            gaps.append(("no_predicate", "no predicate is named, nor why there is none"))
        for name, what in (("repeat", "repeatability"), ("reproduction", "reproducibility")):
            if self.runs is not None and not getattr(self.runs, name):
                gaps.append((f"runs.{name}", f"{what} is not evaluated"))
        return gaps


SECTIONS: Final = {
    "device": "what is described, by whom it is made, which version",
    "intended_use": "for whom and for what it is meant",
    "sponsor": "who answers for the packet",
    "study": "design, eligibility, reference standard",
    "devices": "the comparison with predicate or reference devices",
    "hazards": "the risk analysis",
    "requirements": "the traceability matrix",
    "modifications": "the change-control report",
    "previous": "what changed in the risk analysis",
    "signers": "who signs, and as what",
    "runs": "repeatability and reproducibility",
    "latency": "the device on which times count",
}
"""Section -> what it is needed for."""
