"""What is true of one phantom study, before it is drawn or put into words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.report import Finding, Laterality, Severity
from harness.study import Sex, View


class Zone(StrEnum):
    """Where in the lung a focal finding lies."""

    UPPER = "upper"
    MIDDLE = "mid"
    LOWER = "lower"


class Certainty(StrEnum):
    """How clearly the pixels carry a finding; the report's wording follows it."""

    CLEAR = "clear"
    """Drawn at full contrast, reported as present."""
    FAINT = "faint"
    """Drawn at low contrast, reported as possible."""


class EdgeCase(StrEnum):
    """Studies unlike the ordinary adult chest."""

    NONE = "none"
    IMPLANT = "implant"
    POST_SURGICAL = "post-surgical"
    PAEDIATRIC = "paediatric"


class Course(StrEnum):
    """How a finding compares with the prior study; None of a sign means that it is not said."""

    NEW = "new"
    UNCHANGED = "unchanged"
    INCREASED = "increased"
    DECREASED = "decreased"


@dataclass(frozen=True, slots=True)
class Sign:
    """One finding that the pictures carry."""

    finding: Finding
    severity: Severity | None
    laterality: Laterality | None
    zone: Zone | None = None
    certainty: Certainty = Certainty.CLEAR
    course: Course | None = None
    kind: str = ""
    """For Support Devices: "endotracheal tube", "central line", "pacemaker"... For Pleural Other:
    "thickening" or "scarring". Empty for the rest."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One study: the patient, how the pictures were taken, and the signs in them."""

    age: int
    sex: Sex
    race: str
    views: tuple[View, ...]
    edge_case: EdgeCase
    signs: tuple[Sign, ...]
    """At most one a finding, in the order of `FINDINGS`; never No Finding."""
    exposure: float = 1.0
    """Contrast of the picture, 1.0 is ideal, 0.6 is poor."""
    noise: float = 0.02
    """Standard deviation of the noise, as a fraction of full scale."""
    rotation: float = 0.0
    """Degrees the patient is turned in the picture's plane."""
    prior_studies: tuple[str, ...] = ()
    """Dates of earlier examinations, ISO 8601."""

    def sign(self, finding: Finding) -> Sign | None:
        """The sign of this finding, if the pictures carry it."""
        return next((sign for sign in self.signs if sign.finding == finding), None)
