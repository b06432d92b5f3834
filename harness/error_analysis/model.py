"""The nouns of an error analysis. All are plain values; `as_json` writes them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from harness.plain import plain
from harness.report import Finding, Laterality, Severity

FORMAT = 1


class ErrorClass(StrEnum):
    """What is wrong with what a report says of one finding, gravest first.

    A finding of a study has at most one class: the first that applies.
    """

    MISSED = "missed finding"
    """In the reference, not asserted by the report: denied, left out, or there is no usable report."""
    HALLUCINATED = "hallucinated finding"
    """Asserted by the report, not supported by the reference or by a narrower finding in it."""
    WRONG_LATERALITY = "wrong laterality"
    """Both texts assert it and state a side, not the same."""
    WRONG_SEVERITY = "wrong severity"
    """Both texts assert it and state a severity, not the same."""
    INCOMPLETE = "incomplete description"
    """Both texts assert it; the report leaves out an attribute that the reference states and that a
    report needs (`harness.error_analysis.required`)."""


SpanKind = Literal["sentence", "mention", "cue", "laterality", "severity"]


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of a report: findings and impression joined by a line break."""

    start: int
    end: int
    kind: SpanKind
    """The sentence that speaks of the finding, the words that name it, the words that deny or doubt
    it, or those of an attribute."""


@dataclass(frozen=True, slots=True)
class Error:
    """One error: one finding of one study."""

    study_id: str
    patient_id: str
    finding: Finding
    error_class: ErrorClass
    critical: bool
    status: str
    """Of the study's report: "ok", or why there is none that can be used."""
    reference_state: str
    candidate_state: str
    """`State` names in lower case, as the run's labels have them."""
    reference_spans: tuple[Span, ...] = ()
    candidate_spans: tuple[Span, ...] = ()
    """Where the texts speak of the finding, by the rule-based labeler; empty where they do not."""
    reference_laterality: Laterality | None = None
    candidate_laterality: Laterality | None = None
    reference_severity: Severity | None = None
    candidate_severity: Severity | None = None
    missing: tuple[str, ...] = ()
    """Of "laterality" and "severity": required, stated by the reference, not by the report."""
    also: tuple[ErrorClass, ...] = ()
    """Classes that apply too, but come later in the order."""
    said_instead: tuple[Finding, ...] = ()
    """Of a missed finding: what the report asserts that the reference does not support."""

    def faults(self) -> tuple[ErrorClass, ...]:
        """Its class and those that apply too."""
        return (self.error_class, *self.also)


@dataclass(frozen=True, slots=True)
class Rate:
    """A proportion with its counts and interval; undefined, with the reason, where it is 0/0."""

    numerator: int
    denominator: int
    estimate: float
    low: float
    high: float
    method: str
    reason: str = ""
    """Why it is not evaluated; empty where it is."""


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """How often one class of error was made, over some findings."""

    error_class: ErrorClass
    errors: int | None
    """Errors of this class, each counted in one class only; None where it cannot be evaluated."""
    rate: Rate
    """Of the opportunities, each fault counted, whatever else is wrong with the finding."""
    of: str
    """What an opportunity is."""


@dataclass(frozen=True, slots=True)
class FindingErrors:
    """The errors with one finding."""

    finding: Finding
    critical: bool
    covered: bool
    """Whether any reference label speaks of it."""
    judged: int
    """Studies whose reference can be judged by."""
    prevalence: Rate
    """Reference positives of judged studies."""
    missed: Rate
    """Of the reference positives."""
    hallucinated: Rate
    """Of the claims that the reference can judge."""
    hallucinated_of_negatives: Rate
    """Of the studies whose reference does not support the finding."""
    wrong_laterality: Rate
    """Of findings asserted by both texts whose side both state."""
    wrong_severity: Rate
    incomplete: Rate
    """Of findings asserted by both texts for which the reference states a required attribute."""


@dataclass(frozen=True, slots=True)
class AttributeCounts:
    """What became of one attribute that the reference states, where both texts assert the finding.

    stated = agree + wrong + left_out_required + left_out_optional; the first two are the columns of
    the measure `attributes`.
    """

    attribute: Literal["laterality", "severity"]
    stated: int
    agree: int
    wrong: int
    left_out_required: int
    left_out_optional: int


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """What was reported in the studies whose reference has one critical finding.

    positives = detected + said_instead + called_normal + nothing_instead + no_report.
    """

    finding: Finding
    positives: int
    detected: int
    said_instead: int
    """Missed, and another finding is asserted that the reference does not support."""
    called_normal: int
    """Missed, nothing said instead, and the report reads as normal (No Finding)."""
    nothing_instead: int
    """Missed, nothing said instead, and the report does not read as normal."""
    no_report: int
    """Missed, because there is no usable report."""
    reported: Mapping[Finding, int]
    """Finding -> studies: detected, for the finding itself; else missed positives in whose report that
    other finding is asserted without support. One study may have several."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A test that a rate of errors changes along a score."""

    outcome: str
    score: str
    trials: int
    patients: int
    z: float
    """Positive where errors become more frequent as the score rises."""
    p_value: float
    adjusted: float
    """By Holm, over all trends of the analysis; a test that is undefined counts among them."""
    method: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class QualityBin:
    """Studies whose pictures lie in one quarter of a measure, with their errors."""

    low: float
    high: float
    studies: int
    rates: tuple[Rate, ...]
    """One an outcome, in the order of `QualityAnalysis.outcomes`."""


@dataclass(frozen=True, slots=True)
class QualityMeasure:
    """One measure of picture quality, its spread, and error rates by quarter of it."""

    name: str
    unit: str
    definition: str
    source: str
    median: float
    bins: tuple[QualityBin, ...]


@dataclass(frozen=True, slots=True)
class QualityAnalysis:
    """Errors against the quality of the first picture of each study."""

    measured: int
    left_out: Mapping[str, int]
    """Reason -> studies."""
    outcomes: tuple[str, ...]
    measures: tuple[QualityMeasure, ...]
    reason: str = ""
    """Why there is none; empty where there is."""


@dataclass(frozen=True, slots=True)
class ErrorAnalysis:
    """Every error of a run, classed and counted. Critical findings come first in every list."""

    candidate: str
    cohort: str
    suite: str
    ledger: str
    """Ledger digest of the run."""
    labeler: str
    labels_source: str
    missed_policy: str
    hallucinated_policy: str
    """How uncertain labels count: the options of the run's own measures."""
    attribute_section: str
    """The section whose sides and severities are compared."""
    attribute_reader: str
    """Signature of the labeler that reads sides, severities and spans."""
    confidence: float
    """Of every interval."""
    studies: int
    patients: int
    failed: int
    """Studies without a usable report: each has missed every finding of its reference."""
    studies_with_error: int
    unverifiable: int
    """Claims of findings that the reference does not cover: neither right nor errors."""
    critical: tuple[ClassSummary, ...]
    """One a class, over the critical findings."""
    overall: tuple[ClassSummary, ...]
    """One a class, over all 13 findings."""
    findings: tuple[FindingErrors, ...]
    attributes: tuple[AttributeCounts, ...]
    confusion: tuple[ConfusionRow, ...]
    trends: tuple[Trend, ...]
    quality: QualityAnalysis
    errors: tuple[Error, ...]
    """Critical findings first, then by class, finding and study."""

    def as_json(self) -> dict[str, Any]:
        """Plain values without any word of a report; NaN becomes None."""
        record: dict[str, Any] = plain(self)
        return {"format": FORMAT, **record}
