"""The vocabulary of reports: the 14 CheXpert findings, their states, and the structured report."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)


class Finding(StrEnum):
    """The 14 CheXpert observations, in CheXpert's order (Irvin et al., AAAI 2019, Table 1)."""

    NO_FINDING = "No Finding"
    ENLARGED_CARDIOMEDIASTINUM = "Enlarged Cardiomediastinum"
    CARDIOMEGALY = "Cardiomegaly"
    LUNG_OPACITY = "Lung Opacity"
    LUNG_LESION = "Lung Lesion"
    EDEMA = "Edema"
    CONSOLIDATION = "Consolidation"
    PNEUMONIA = "Pneumonia"
    ATELECTASIS = "Atelectasis"
    PNEUMOTHORAX = "Pneumothorax"
    PLEURAL_EFFUSION = "Pleural Effusion"
    PLEURAL_OTHER = "Pleural Other"
    FRACTURE = "Fracture"
    SUPPORT_DEVICES = "Support Devices"


FINDINGS: Final = tuple(Finding)
"""All 14, in CheXpert's order. Every array of labels has its columns in this order."""

INDEX: Final = {finding: index for index, finding in enumerate(FINDINGS)}
"""Finding -> its column."""

CRITICAL: Final = (
    Finding.PNEUMOTHORAX,
    Finding.FRACTURE,
    Finding.LUNG_LESION,
    Finding.PLEURAL_EFFUSION,
)
"""Findings a report must not miss: pneumothorax, fracture, mass (Lung Lesion), pleural effusion."""

COMPETITION: Final = (
    Finding.ATELECTASIS,
    Finding.CARDIOMEGALY,
    Finding.CONSOLIDATION,
    Finding.EDEMA,
    Finding.PLEURAL_EFFUSION,
)
"""The five findings of the CheXpert competition, the usual subset of published F1 scores."""

PARENTS: Final = {
    Finding.CARDIOMEGALY: Finding.ENLARGED_CARDIOMEDIASTINUM,
    Finding.LUNG_LESION: Finding.LUNG_OPACITY,
    Finding.EDEMA: Finding.LUNG_OPACITY,
    Finding.CONSOLIDATION: Finding.LUNG_OPACITY,
    Finding.PNEUMONIA: Finding.LUNG_OPACITY,
    Finding.ATELECTASIS: Finding.LUNG_OPACITY,
}
"""CheXpert's label hierarchy: a finding and the wider observation that it is a case of."""


class State(IntEnum):
    """What a text or a reference says of one finding. 0 to 3 are CheXbert's class codes."""

    NOT_COVERED = -1
    """The reference does not speak of this finding at all: nothing can be judged by it."""
    NOT_MENTIONED = 0
    POSITIVE = 1
    NEGATIVE = 2
    UNCERTAIN = 3


class Severity(StrEnum):
    """How large or grave a finding is; trace, tiny, minimal and small count as mild."""

    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class Laterality(StrEnum):
    """The patient's side, not the picture's."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ReportedFinding(BaseModel):
    """One finding of a structured report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finding: Finding
    confidence: Fraction
    """Probability that the finding is present, 0 to 1."""
    severity: Severity | None = None
    laterality: Laterality | None = None
    bounding_box: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    """[x0, y0, x1, y1] as fractions of the first image's width and height, from the top left."""
    is_critical: bool = False

    @model_validator(mode="after")
    def _box_has_area(self) -> ReportedFinding:
        if self.bounding_box is not None:
            x0, y0, x1, y1 = self.bounding_box
            if x0 >= x1 or y0 >= y1:
                raise ValueError("bounding_box must have x0 < x1 and y0 < y1")
        return self


class Report(BaseModel):
    """A structured report: what a candidate answers for one study. Field names are the API's.

    Raises:
        pydantic.ValidationError: a field is missing, unknown, of the wrong type, or out of range
            (a confidence of NaN among them).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    report_id: str
    findings: tuple[ReportedFinding, ...] = ()
    findings_text: str = ""
    """The Findings section."""
    impression: str = ""
    recommendations: str = ""
    processing_time_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """The candidate's own account of its time. The harness measures latency itself."""
    model_version: str = ""
    requires_radiologist_review: bool = False
    review_reason: str = ""
    """Why a radiologist must look first; names findings and numbers, and quotes no text. It is written
    only where there is one, so that records without it stay as they always were."""

    @model_serializer(mode="wrap")
    def _without_empty_reason(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if not self.review_reason:
            values.pop("review_reason", None)
        return values

    @property
    def text(self) -> str:
        """Findings and impression, the part of a report that is compared with the reference."""
        return join_sections((self.findings_text, self.impression))


def join_sections(sections: Iterable[str]) -> str:
    """The sections that say something, one below the other."""
    return "\n".join(section for section in sections if section.strip())
