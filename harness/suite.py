"""What is asked: measures, slices, settings and acceptance criteria, read from YAML."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import SuiteError
from harness.measures.base import Measure
from harness.plugins import load
from harness.schema_errors import explain_all
from harness.suite_checks import unanswerable
from harness.suite_comparison import ComparisonPart
from harness.yaml_source import read_yaml

# 0 and 1 are no thresholds: every value passes the one, or none does.
Threshold = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Confidence = Annotated[float, Field(gt=0.5, lt=1, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]
Comparison = Literal["above", "at_least", "below", "at_most"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CohortPart(_Part):
    """Which studies of the cohort are judged."""

    split: str | None = None
    """Only this split; the cohort's own names ("test"). None: all there is."""
    studies: Annotated[int, Field(ge=1)] | None = None
    """How many; chosen by a hash of study id and seed, so that adding others changes little. The
    suite cannot be decided on fewer: then every criterion is NOT EVALUATED."""
    options: dict[str, str | int | float | bool] = {}
    """Further options of the cohort, by name, such as `views: pa+lateral`."""


class InferencePart(_Part):
    """How intervals are made. Resampling is by patient, always."""

    confidence: Confidence = 0.95
    """Of two-sided intervals, and of a criterion's one-sided bound where it names none."""
    replicates: Annotated[int, Field(ge=200, le=1_000_000)] = 2000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class ExecutionPart(_Part):
    """How the candidate is called."""

    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    """A study whose report takes longer has failed; the worker is killed."""
    start_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 600.0
    """Loading the candidate may take so long."""


class AnnotatorPart(_Part):
    """Who reads report texts, by its installed name, with its options; the name alone will do."""

    annotator: str
    options: dict[str, str | int | float | bool] = {}

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"annotator": value} if isinstance(value, str) else value

    def build(self) -> Any:
        """The labeler or graph annotator with its options.

        Raises:
            PluginError: not installed. TypeError, ValueError: options it does not take.
        """
        return load("annotators", self.annotator)(**self.options)


class MeasurePart(_Part):
    """One measure, by its installed name, with its options."""

    measure: str
    id: Name | None = None
    """What criteria call it; the measure's name where it is left out."""
    options: dict[str, str | int | float | bool] = {}

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"measure": value} if isinstance(value, str) else value

    @property
    def key(self) -> str:
        """What criteria and results call it."""
        return self.id or self.measure

    def build(self) -> Measure:
        """The measure with its options.

        Raises:
            PluginError: not installed. TypeError, ValueError: options it does not take.
        """
        measure: Measure = load("measures", self.measure)(**self.options)
        return measure


class Criterion(_Part):
    """One condition that must hold, decided on a one-sided confidence bound.

    `above`/`at_least`: the lower bound must be above (at least) the threshold; `below`/`at_most`:
    the upper bound. Thresholds are fractions: 98 % is 0.98.
    """

    id: Name
    measure: str
    value: str = "value"
    above: Threshold | None = None
    at_least: Threshold | None = None
    below: Threshold | None = None
    at_most: Threshold | None = None
    confidence: Confidence | None = None
    slice: str | None = None
    """`sex=F`: decided on that group. None: on all studies, or on what `over` names."""
    over: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Slices over whose groups `statistic` is taken; error rates hold for all groups together (Holm)."""
    statistic: Literal["worst", "gap"] | None = None
    """"worst": every group must meet the threshold. "gap": the largest difference between two groups
    of a slice must lie below it."""
    minimum_trials: Annotated[int, Field(ge=1)] | None = None
    """With `over`: a group with fewer (positives, for a sensitivity; studies, where the value is no
    proportion) is NOT EVALUATED, and so is then the criterion unless another group fails it."""
    requirement: str = ""
    """The clause of the protocol, standard or guidance that asks for it."""
    rationale: str = ""

    @model_validator(mode="after")
    def _one_threshold(self) -> Criterion:
        given = [name for name in get_args(Comparison) if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                "needs exactly one of above, at_least, below, at_most"
                + (f"; it has {', '.join(given)}" if given else "")
            )
        if self.slice is not None and "=" not in self.slice:
            raise ValueError("slice must read name=group, such as sex=F")
        if bool(self.over) != (self.statistic is not None) or bool(self.over) != bool(self.minimum_trials):
            raise ValueError("over, statistic and minimum_trials go together; one is missing")
        if self.over and self.slice is not None:
            raise ValueError("either slice or over; not both")
        if self.statistic == "gap" and self.side == "lower":
            raise ValueError("a gap must lie below or at_most a threshold")
        return self

    @property
    def comparison(self) -> Comparison:
        """Which of the four it is."""
        return next(name for name in get_args(Comparison) if getattr(self, name) is not None)

    @property
    def threshold(self) -> float:
        """The fraction to compare with."""
        threshold: float = getattr(self, self.comparison)
        return threshold

    @property
    def side(self) -> Literal["lower", "upper"]:
        """Which bound decides."""
        return "lower" if self.comparison in ("above", "at_least") else "upper"


class FairnessPart(_Part):
    """Disparities between the groups of each slice: equalized odds and demographic parity."""

    measure: str
    """The key of a `findings_detection`; its pooled counts are used."""
    minimum_trials: Annotated[int, Field(ge=1)] = 30
    """A group with fewer positives or negatives is named, and left out of the comparison."""


class Suite(_Part):
    """A whole suite. Build it with `read_suite`, which names places in errors."""

    name: Name
    version: int
    title: str = ""
    description: str = ""
    cohort: CohortPart = CohortPart()
    labeler: AnnotatorPart = AnnotatorPart(annotator="rules")
    """The annotator that reads the candidate's texts (and the references', if asked to)."""
    graphs: AnnotatorPart | None = None
    """The annotator that reads RadGraph's entities and relations, for measures that need them."""
    reference_labels: Literal["cohort", "labeler"] = "cohort"
    inference: InferencePart = InferencePart()
    execution: ExecutionPart = ExecutionPart()
    measures: Annotated[tuple[MeasurePart, ...], Field(min_length=1, strict=False)]
    slices: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Groups of cases to report every measure by, such as sex, age, race, view, edge_case; `sex*age`
    for every combination."""
    fairness: FairnessPart | None = None
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1, strict=False)]
    comparison: ComparisonPart | None = None
    """When a challenger may replace the candidate in use: for `harness compare`."""

    def digest(self) -> str:
        """SHA-256 (hex) of what the suite asks; comments and layout of the file do not count."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def build_measures(self) -> dict[str, Measure]:
        """Key -> measure, in the suite's order."""
        return {part.key: part.build() for part in self.measures}


def read_suite(path: Path) -> Suite:
    """Reads and checks a suite file.

    Raises:
        SuiteError: with every problem found, each as `file:line:column: key: what and remedy`.
    """
    source = read_yaml(path)
    if not isinstance(source.data, dict):
        raise SuiteError([source.problem((), "a suite is a mapping with name, measures, criteria")])
    if source.data.get("kind") == "latency":
        raise SuiteError([source.problem(("kind",), "a latency suite is measured with: harness latency")])
    try:
        suite = Suite.model_validate(source.data)
    except ValidationError as error:
        raise SuiteError(explain_all(source, error, Suite, get_args(Comparison))) from None
    problems = list(unanswerable(suite, source))
    if problems:
        raise SuiteError(problems)
    return suite


def suite_schema() -> dict[str, Any]:
    """The JSON Schema of suite files, for editors."""
    schema = Suite.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    # `- bleu4` is short for `- measure: bleu4`, `labeler: rules` for `labeler: {annotator: rules}`.
    for place, key in (
        (schema["properties"]["measures"], "items"),
        (schema["properties"], "labeler"),
        (schema["properties"], "graphs"),
    ):
        place[key] = {"anyOf": [{"type": "string"}, place[key]]}
    return schema
