"""The vocabulary of studies: what a candidate sees, and, apart from it, what is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from harness.report import FINDINGS, ReportedFinding, State, join_sections

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class View(StrEnum):
    """How a picture was taken."""

    PA = "PA"
    AP = "AP"
    LATERAL = "LATERAL"
    OTHER = "OTHER"

    @property
    def frontal(self) -> bool:
        """PA or AP."""
        return self in (View.PA, View.AP)


class Sex(StrEnum):
    """Sex as recorded."""

    FEMALE = "F"
    MALE = "M"


@dataclass(frozen=True, slots=True)
class Image:
    """One picture of a study. Pixels are read when asked for, never held."""

    path: Path
    view: View

    def pixels(self, size: int = 512) -> NDArray[np.float32]:
        """The picture as grey values in [0, 1], shape (size, size).

        The shorter side is padded with black, so that the chest keeps its proportions.

        Raises:
            harness.errors.CohortError: the file is missing, truncated or not a picture.
        """
        from harness.pixels import read_pixels

        return read_pixels(self.path, size)


@dataclass(frozen=True, slots=True)
class Context:
    """What the requesting clinician tells the reader before the pictures are read."""

    age: int | None = None
    """Years."""
    sex: Sex | None = None
    indication: str = ""
    prior_studies: tuple[str, ...] = ()
    """Dates of earlier examinations, ISO 8601, oldest first."""


@dataclass(frozen=True, slots=True)
class Study:
    """One examination as a candidate sees it. It holds no reference, by type."""

    study_id: str
    images: tuple[Image, ...]
    context: Context = Context()


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What is known of a study: the radiologist's report and labels."""

    findings: str = ""
    impression: str = ""
    labels: NDArray[np.int8] | None = None
    """`State` codes, shape (14,), in the order of `FINDINGS`; None where the cohort has none."""
    details: tuple[ReportedFinding, ...] = ()
    """Severity, laterality and box of positive findings, where known."""

    @property
    def text(self) -> str:
        """Findings and impression."""
        return join_sections((self.findings, self.impression))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A study together with its reference and what it is grouped by. Candidates never get one."""

    study: Study
    patient_id: str
    reference: Reference
    groups: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Slice name -> group, such as {"sex": "F", "age": "65-79", "edge_case": "implant"}."""


AGE_GROUPS: Final = ((0, 18), (18, 40), (40, 65), (65, 80), (80, 200))
"""Half-open ranges of years: paediatric, young, middle, older, oldest."""

UNKNOWN_GROUP: Final = "unknown"


def age_group(age: int | None) -> str:
    """The name of the age group, such as "40-64"; "unknown" where the age is."""
    if age is None:
        return UNKNOWN_GROUP
    for low, high in AGE_GROUPS:
        if low <= age < high:
            return f"{low}+" if high == AGE_GROUPS[-1][1] else f"{low}-{high - 1}"
    return UNKNOWN_GROUP


def states(labels: Mapping[str, State], other: State = State.NOT_MENTIONED) -> NDArray[np.int8]:
    """Labels by name as an array of `State` codes, shape (14,)."""
    import numpy as np

    return np.array([labels.get(finding, other) for finding in FINDINGS], dtype=np.int8)


def case_record(case: Case) -> dict[str, Any]:
    """Everything of a case that a run depends on but its pixels, as plain JSON values."""
    reference, study = case.reference, case.study
    return {
        "study_id": study.study_id,
        "patient_id": case.patient_id,
        "views": [image.view.value for image in study.images],
        "context": {
            "age": study.context.age,
            "sex": study.context.sex,
            "indication": study.context.indication,
            "prior_studies": list(study.context.prior_studies),
        },
        "findings": reference.findings,
        "impression": reference.impression,
        "labels": None if reference.labels is None else [int(code) for code in reference.labels],
        "details": [detail.model_dump(mode="json") for detail in reference.details],
        "groups": dict(case.groups),
    }
