"""What is declared before a new model stands beside production, or is switched on: read from YAML."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.digests import digest_value
from harness.errors import SuiteError
from harness.report import CRITICAL, Finding
from harness.schema_errors import explain_all
from harness.suite import AnnotatorPart, Name
from harness.yaml_source import read_yaml

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Version = Annotated[str, Field(min_length=1, max_length=80)]
Critical = Annotated[Finding, Field(strict=False)]
POOLED: Final = "pooled"
BY_FINDING: Final = ("critical_sensitivity", "false_alarm_rate")
LARGEST_MARGIN: Final = 0.1
"""Who may lose more than every tenth critical finding is not compared."""
LEAST_CONFIDENCE: Final = 0.95
LEAST_READ: Final = 0.8
_WORDS: Final = {
    "critical_sensitivity": "Sensitivity",
    "false_alarm_rate": "False alarms",
    "failure_rate": "Studies without a report",
    "hallucination_rate": "Reports with unconfirmed findings",
    "slow_rate": "Late reports",
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Timed(_Part):
    name: Name
    version: Annotated[int, Field(ge=1)]
    start: Annotated[datetime, Field(strict=False)] | None = None
    """When the window begins, ISO 8601 with a zone; left out, when the command is first given."""

    @model_validator(mode="after")
    def _zone(self) -> _Timed:
        if self.start is not None and self.start.tzinfo is None:
            raise ValueError("start needs a zone, as in 2026-01-05T08:00:00Z")
        return self

    def digest(self) -> str:
        """SHA-256 (hex) of what is declared; comments and layout of the file do not count."""
        return digest_value(self.model_dump(mode="json"))


class ModelPart(_Part):
    """One of the two models."""

    version: Version
    """As records name it."""
    candidate: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """Content digest of the candidate, as run.json has it; a promotion that asks for a shadow needs it."""


class MeasurePart(_Part):
    """A share of trials, compared pair by pair, and the largest loss of it that does not matter."""

    measure: Literal[
        "critical_sensitivity", "false_alarm_rate", "failure_rate", "hallucination_rate", "slow_rate"
    ]
    """critical_sensitivity: critical findings that the reading says are there, and the report claims;
    false_alarm_rate: those that it says are not there, and the report claims; of all studies, those
    without a report (failure_rate), with a finding that the detection head does not confirm
    (hallucination_rate), or later than `limit_s` (slow_rate)."""
    value: str = POOLED
    """Of the first two: pooled over the critical findings, or one of them."""
    limit_s: Positive | None = None
    margin: Annotated[float, Field(gt=0, le=LARGEST_MARGIN, allow_inf_nan=False)]
    confidence: Annotated[float, Field(ge=LEAST_CONFIDENCE, lt=1, allow_inf_nan=False)] = 0.975
    """Of the one-sided bound that must lie within the margin."""

    @model_validator(mode="after")
    def _fits(self) -> MeasurePart:
        if self.value != POOLED and (self.measure not in BY_FINDING or self.value not in CRITICAL):
            raise ValueError(f"value must be pooled, or for {' and '.join(BY_FINDING)} a critical finding")
        if (self.measure == "slow_rate") != (self.limit_s is not None):
            raise ValueError("slow_rate, and it alone, needs limit_s")
        return self

    @property
    def label(self) -> str:
        """In words: `Sensitivity: Pneumothorax`."""
        words = _WORDS[self.measure]
        if self.measure not in BY_FINDING:
            return words
        return f"{words}: {'all critical findings' if self.value == POOLED else self.value}"

    @property
    def id(self) -> str:
        """Such as `critical_sensitivity.Pneumothorax`, or `failure_rate`."""
        return f"{self.measure}.{self.value}" if self.measure in BY_FINDING else self.measure


class HarmPart(_Part):
    """When the shadow is stopped before its window is over."""

    alpha: Annotated[float, Field(gt=0, le=0.2, allow_inf_nan=False)] = 0.05
    """One-sided: how often an equal model is called worse, over all looks and measures together."""
    spending: Literal["obrien-fleming", "pocock"] = "pocock"
    of: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Measures that can stop it, by id; all where left out. They share alpha equally."""


class ShadowConfig(_Timed):
    """A shadow deployment. Build it with `read_shadow_config`, which names places in errors."""

    hours: Positive = 48.0
    readings_h: NotNegative = 24.0
    """Readings of the window's studies are waited for so long after its end."""
    production: ModelPart
    shadow: ModelPart
    labeler: AnnotatorPart | None = None
    """Who reads report texts, where records hold texts in place of findings."""
    measures: Annotated[tuple[MeasurePart, ...], Field(strict=False, min_length=1)]
    planned_positives: Annotated[int, Field(ge=1)]
    """Critical findings that readings are expected to confirm in the window: the full information."""
    looks: Annotated[tuple[Share, ...], Field(strict=False)] = (0.25, 0.5, 0.75)
    """Shares of `planned_positives` at which harm is looked for; once more at the end."""
    harm: HarmPart = HarmPart()
    read_at_least: Annotated[float, Field(ge=LEAST_READ, lt=1, allow_inf_nan=False)] = 0.9
    """Share of the window's studies that must have been read: a chosen few say nothing of sensitivity."""
    ahead_h: Positive = 12.0
    """A record so far from the stream's time has a wrong clock."""

    @model_validator(mode="after")
    def _consistent(self) -> ShadowConfig:
        ids = [part.id for part in self.measures]
        if len(set(ids)) < len(ids):
            raise ValueError("measures: each may stand once")
        # Pooled, a common finding would hide what was lost of a rare one.
        if lacking := [one.value for one in CRITICAL if f"critical_sensitivity.{one.value}" not in ids]:
            raise ValueError(
                "measures: needs critical_sensitivity of each critical finding; without a margin is "
                + ", ".join(lacking)
            )
        if unknown := set(self.harm.of) - set(ids):
            raise ValueError(f"harm.of: {', '.join(sorted(unknown))} is none of {', '.join(ids)}")
        if any(one >= two for one, two in zip(self.looks, self.looks[1:], strict=False)):
            raise ValueError("looks must rise")
        if self.production.version == self.shadow.version:
            raise ValueError("production and shadow must be two versions")
        return self

    def terms(self) -> str:
        """SHA-256 (hex) of what is asked of any new model: all but name, start and the two models."""
        apart = {"name", "version", "start", "production", "shadow"}
        return digest_value(self.model_dump(mode="json", exclude=apart))

    @property
    def harmful(self) -> tuple[str, ...]:
        """Ids of the measures that can stop it."""
        return self.harm.of or tuple(part.id for part in self.measures)


class WatchRule(_Part):
    """A share of bad studies of the new version, and its limit: above it roll back, below it keep."""

    measure: Literal["failure_rate", "rejection_rate", "latency", "hallucination_rate", "critical_misses"]
    """failure_rate: failed, late, or of a status that nobody knows; hallucination_rate: reports with a
    finding that the detection head does not confirm; critical_misses: of read studies in which a critical
    finding is there, those of which the report missed one."""
    above: Positive
    """A fraction; of latency, seconds."""
    quantile: Share = 0.99
    """Of latency: P99 above 30 s is "more than 1 % of reports take longer than 30 s, or did not come"."""
    over_min: Positive | None = None
    """The last so many minutes count; all since the switch where left out."""
    needs: Annotated[int, Field(ge=1)] = 50
    """With fewer studies in its window at the end it is NOT EVALUATED. So many are not yet enough to keep
    it: without a single bad one that takes log(1 - keep_confidence) / log(1 - limit) studies."""
    keeps: Literal["shown", "likely"] = "shown"
    """What keeping it takes at the end. shown: the upper bound lies below the limit. likely: the share that
    was seen does not lie above it, whatever is not known counted as bad; for that of which the window brings
    too few to show anything."""
    otherwise: Literal["hold", "roll back"] = "roll back"
    """What is done where it is NOT EVALUATED. hold: the alias stays, a person decides. That is done too
    where there are enough studies, and they show neither."""

    @model_validator(mode="after")
    def _fraction(self) -> WatchRule:
        if self.measure != "latency" and self.above >= 1:
            raise ValueError(f"above is a fraction; for {self.above:g} % write {self.above / 100:g}")
        return self

    @property
    def limit(self) -> float:
        """The limit as a share of bad studies."""
        return 1 - self.quantile if self.measure == "latency" else self.above


class WatchConfig(_Timed):
    """The first hours after a switch. Build it with `read_watch_config`."""

    hours: Positive = 2.0
    green: Version
    """The version that was switched on."""
    blue: Version
    """The version that the alias goes back to."""
    every_min: Positive = 5.0
    lateness_min: NotNegative = 1.0
    """A look waits so long for late records."""
    ahead_min: Positive = 60.0
    silence_min: Positive = 10.0
    """No record of the new version, or no stream, for longer than this is unhealthy."""
    false_rollbacks: Annotated[float, Field(gt=0, le=0.2, allow_inf_nan=False)] = 0.01
    """How often at most a version that sits at every limit is rolled back, over all rules and looks."""
    keep_confidence: Annotated[float, Field(ge=LEAST_CONFIDENCE, lt=1, allow_inf_nan=False)] = 0.95
    """Of the one-sided upper bound that must lie below the limit of each rule, for the version to be kept:
    one that sits at a limit is kept in at most 5 % of windows."""
    rules: Annotated[tuple[WatchRule, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> WatchConfig:
        if len({rule.measure for rule in self.rules}) < len(self.rules):
            raise ValueError("rules: each measure may stand once")
        if self.green == self.blue:
            raise ValueError("green and blue must be two versions")
        if self.every_min > 60 * self.hours:
            raise ValueError("every_min must lie within the window")
        return self

    @property
    def looks(self) -> int:
        """How many there are; the last is at the end."""
        return math.ceil(60 * self.hours / self.every_min - 1e-9)

    def level(self, number: int) -> float:
        """Error rate of one rule at one look, from 1: by the union bound all keep to `false_rollbacks`.

        Half of it is for the last look, which has the most studies and after which nobody looks.
        """
        share = self.false_rollbacks / len(self.rules)
        if self.looks == 1:
            return share
        return share / 2 if number == self.looks else share / 2 / (self.looks - 1)


Config = TypeVar("Config", ShadowConfig, WatchConfig)


def read_shadow_config(path: Path) -> ShadowConfig:
    """Reads and checks what a shadow deployment declares.

    Raises:
        SuiteError: every problem found, each as `file:line:column: key: what and remedy`.
    """
    return _read(path, ShadowConfig, "shadow.yaml")


def read_watch_config(path: Path) -> WatchConfig:
    """Reads and checks what a watch declares.

    Raises:
        SuiteError: every problem found, each as `file:line:column: key: what and remedy`.
    """
    return _read(path, WatchConfig, "watch.yaml")


def _read(path: Path, model: type[Config], example: str) -> Config:
    source = read_yaml(path)
    if not isinstance(source.data, dict):
        raise SuiteError([source.problem((), f"must be a mapping; begin with suites/staging/{example}")])
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        raise SuiteError(explain_all(source, error, model, ("margin", "read_at_least"))) from None
