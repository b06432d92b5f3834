"""What a comparison of two models on live ratings is to show: declared in YAML before the data are seen."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.digests import digest_value
from harness.errors import SuiteError
from harness.report import CRITICAL, Finding
from harness.suite_comparison import Arms
from harness.yaml_source import Source, read_yaml

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
Critical = Annotated[Finding, Field(strict=False)]

EndpointName = Literal["rating", "edit_distance", "critical_sensitivity", "turnaround"]
ENDPOINTS: Final[tuple[EndpointName, ...]] = ("rating", "edit_distance", "critical_sensitivity", "turnaround")
HIGHER_IS_BETTER: Final = {
    "rating": True,
    "edit_distance": False,
    "critical_sensitivity": True,
    "turnaround": False,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ArmNames(_Part):
    """What the two models are called in the data's column of arms."""

    current: Text
    challenger: Text

    @model_validator(mode="after")
    def _two(self) -> ArmNames:
        if self.current == self.challenger:
            raise ValueError("current and challenger must have different names")
        return self


class Columns(_Part):
    """The data's names of columns. Those left out have the names that stand here."""

    study: Text = "study"
    patient: Text = "patient"
    arm: Text = "arm"
    reader: Text = "reader"
    rating: Text = "rating"
    """1 to 5, 5 the best; blank where it is missing."""
    draft: Text = "draft"
    """The model's text; blank where it gave none: all of the final text had to be written."""
    final: Text = "final"
    """The text that was signed; blank where it is missing."""
    critical_present: Text = "critical_present"
    """Critical findings that adjudication says are there, separated by semicolons; "none"; blank
    where the study was not adjudicated."""
    critical_reported: Text = "critical_reported"
    """Critical findings that the draft reports, by adjudication; as `critical_present`."""
    turnaround: Text = "turnaround"
    """Minutes; may be absent where the two times below are there."""
    drafted_at: Text = "drafted_at"
    """ISO 8601; turnaround counts from here."""
    finalised_at: Text = "finalised_at"
    """ISO 8601, not before `drafted_at`."""
    site: Text = "site"
    """May be absent."""
    arm_guess: Text = "arm_guess"
    """Which arm the reader took the draft to be of; "unsure" for no idea, blank where nobody asked. May
    be absent."""


class MeanEndpoint(_Part):
    """A mean: of ratings (points), of edit distances (fraction of words), of turnaround (minutes)."""

    margin: Positive
    """The largest loss that does not matter, in the endpoint's own unit."""
    expected_gain: Real = 0.0
    """For planning: how much better the challenger is thought to be; above 0 is better."""
    sd: Positive | None = None
    """For planning: standard deviation of the difference of a pair, or of a row in a randomised design."""
    reader_sd: NotNegative = 0.0
    """For planning: standard deviation between readers of the mean difference that they see."""


class SensitivityEndpoint(_Part):
    """The sensitivity of drafts for critical findings, pooled; or for one of them."""

    margin: Share
    """The largest loss that does not matter: 0.05 is five percentage points."""
    expected_gain: Annotated[float, Field(gt=-1, lt=1, allow_inf_nan=False)] = 0.0
    sensitivity: Share | None = None
    """For planning: of the current model."""
    discordant: Share | None = None
    """For planning a paired design: share of critical findings that one model alone reports."""
    per_study: Positive | None = None
    """For planning: critical findings of an average study."""


class Endpoints(_Part):
    """The four endpoints; all are needed."""

    rating: MeanEndpoint
    edit_distance: MeanEndpoint
    critical_sensitivity: SensitivityEndpoint
    turnaround: MeanEndpoint


class Planning(_Part):
    """What is assumed of the trial before there are data."""

    power: Annotated[float, Field(ge=0.5, lt=1)] = 0.8
    studies_per_patient: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    correlation: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of studies of one patient."""
    readers: Annotated[int, Field(ge=1)] = 1


class Design(_Part):
    """The whole design."""

    name: Name
    version: Annotated[int, Field(ge=1)]
    title: str = ""
    design: Literal["paired", "randomised"]
    """paired: either model drafted each study (one of them in the shadow). randomised: each patient's
    studies were drafted by one model."""
    pairs: Literal["reader", "study"] = "reader"
    """Of a paired design. reader: each reader rated both drafts of a study; study: different readers did."""
    assignment: Arms | None = None
    """Of a randomised design: share of patients to the challenger, and salt of the hash."""
    arms: ArmNames
    columns: Columns = Columns()
    endpoints: Endpoints
    planned_studies: Annotated[int, Field(ge=2)]
    """In both arms together. Before so many, a look spends some of alpha only."""
    alpha: Annotated[float, Field(gt=0, le=0.1, allow_inf_nan=False)] = 0.01
    """Two-sided, for "better" and "worse" over the four endpoints (Bonferroni) and all looks."""
    confidence: Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False)] = 0.975
    """Of the one-sided bound that must lie within an endpoint's margin, over all looks."""
    spending: Literal["obrien-fleming", "pocock"] = "obrien-fleming"
    critical_findings: Annotated[dict[Critical, SensitivityEndpoint], Field(min_length=1)]
    """Each is guarded by itself: a loss beyond its own margin must be excluded. For planning, what is left
    out (but for per_study) is that of endpoints.critical_sensitivity."""
    undecided: Annotated[tuple[Critical, ...], Field(strict=False)] = ()
    """Critical findings that this trial is too small to decide: no loss need be excluded, and every
    conclusion says so. A loss that is shown still forbids promotion."""
    missing_at_most: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of an endpoint's values that may be missing in an arm."""
    blinded: bool
    """Readers were not to know the arm: then `arm_guess` is asked for and checked."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    planning: Planning = Planning()

    @model_validator(mode="after")
    def _assigned(self) -> Design:
        if (self.design == "randomised") != (self.assignment is not None):
            raise ValueError("a randomised design needs an assignment (share, salt); a paired one has none")
        return self

    @model_validator(mode="after")
    def _every_critical_finding(self) -> Design:
        if left := [finding.value for finding in CRITICAL if finding not in self.findings]:
            raise ValueError(
                f"no word of {', '.join(left)}: give each a margin in critical_findings, such as "
                f'"{left[0]}: {{margin: 0.1, per_study: 0.05}}", or name it in undecided, and every '
                "conclusion says that this trial does not decide it"
            )
        if len(set(self.findings)) < len(self.findings):
            raise ValueError("a finding stands in critical_findings and undecided, or in undecided twice")
        return self

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Critical findings, those with a margin of their own first."""
        return (*self.critical_findings, *self.undecided)

    def digest(self) -> str:
        """SHA-256 of all that is declared, defaults included."""
        return digest_value(self.model_dump(mode="json"))

    def margin(self, endpoint: EndpointName) -> float:
        """The largest loss that does not matter."""
        part: MeanEndpoint | SensitivityEndpoint = getattr(self.endpoints, endpoint)
        return part.margin


def read_design(path: Path) -> Design:
    """Reads and checks a design file.

    Raises:
        SuiteError: it cannot be read; every problem with file, line, column and remedy.
    """
    source = read_yaml(path)
    if not isinstance(source.data, dict):
        raise SuiteError([f"{path}:1:1: a design is a mapping of keys; begin with suites/clinical/*.yaml"])
    try:
        return Design.model_validate(source.data)
    except ValidationError as error:
        items = sorted(error.errors(), key=lambda item: source.place(tuple(item["loc"])))
        # A list whose entries are all wrong counts as empty; its entries say what is wrong.
        told = [_explain(source, item) for item in items if item["type"] != "too_short" or len(items) == 1]
        raise SuiteError(list(dict.fromkeys(told))) from None


def _explain(source: Source, item: Any) -> str:
    path = tuple(item["loc"])
    # The mark of a key that is wrong is no key of the file.
    path = tuple(part for part in path if part != "[key]")
    if item["type"] == "extra_forbidden":
        known = _known(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        return source.problem(path, f"unknown key; {hint}")
    if item["type"] == "missing":
        return source.problem(path, "missing; every design needs it")
    value, message = item.get("input"), str(item["msg"]).removeprefix("Value error, ")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float) else ""
    return source.problem(path, message[0].lower() + message[1:] + shown)


def _known(path: tuple[Any, ...]) -> list[str]:
    parts: dict[tuple[Any, ...], type[BaseModel]] = {
        (): Design,
        ("arms",): ArmNames,
        ("assignment",): Arms,
        ("columns",): Columns,
        ("endpoints",): Endpoints,
        ("endpoints", "critical_sensitivity"): SensitivityEndpoint,
        ("planning",): Planning,
    }
    other: dict[Any, type[BaseModel]] = {
        "endpoints": MeanEndpoint,
        "critical_findings": SensitivityEndpoint,
    }
    part = parts.get(path) or other.get(path[0])
    return list(part.model_fields) if part else []
