"""What is watched, how closely, and what is done: read from YAML."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.digests import digest_value
from harness.errors import SuiteError
from harness.monitoring.cost import CostPart
from harness.report import CRITICAL, FINDINGS, Finding
from harness.yaml_source import KeyPath, Source, read_yaml

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]
FindingName = Annotated[Finding, Field(strict=False)]
MONTH_H: Final = 720.0
"""30 days: what false alarms are counted over, and the span of the radiologists' baseline."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class StreamPart(_Part):
    """Where the records are and how late they may come."""

    path: str
    """A file or folder of .jsonl and .parquet, as seen from the configuration file's folder."""
    lateness_min: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """A window is judged when the stream's time has passed its end by so much."""
    ahead_h: Positive = 24.0
    """A record so far ahead of the stream's time has a wrong clock."""
    stale_after_h: Positive | None = 3.0
    """Where the stream's time is longer ago than this, by this machine's clock, the monitor says NOT
    EVALUATED: silence is no all-clear. `null` is written out for streams of the past."""
    ignore: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Further fields that are no fault."""


class Rule(_Part):
    """A rate that must stay on one side of a limit; its alarm is decided on a one-sided bound."""

    id: Name
    measure: Literal[
        "latency", "failure_rate", "hallucination_rate", "rejection_rate", "critical_sensitivity"
    ]
    value: str = "pooled"
    """Of critical_sensitivity: pooled over the critical findings, or one finding."""
    quantile: Share = 0.99
    """Of latency: which one. "P99 above 30 s" is "more than 1 % of reports take longer than 30 s"."""
    above: Positive | None = None
    """Alarm where it is shown to be above; latency in seconds, rates as fractions."""
    below: Share | None = None
    """Alarm where it is shown to be below."""
    over_h: Positive
    """The last so many hours count."""
    every_h: Positive | None = None
    """How often it is looked at; each window where it is left out."""
    action: str
    """What to do, such as: page; scale up; pause automated reports, require co-sign."""

    @model_validator(mode="after")
    def _one_limit(self) -> Rule:
        wanted = "below" if self.measure == "critical_sensitivity" else "above"
        if getattr(self, wanted) is None or (self.above is None) == (self.below is None):
            raise ValueError(f"{self.measure} needs exactly one limit, `{wanted}`")
        if self.measure not in ("latency", "critical_sensitivity") and self.above and self.above >= 1:
            raise ValueError(
                f"above must be a fraction below 1; for {self.above:g} % write {self.above / 100:g}"
            )
        if self.measure == "critical_sensitivity" and self.value not in ("pooled", *CRITICAL):
            raise ValueError(f"value must be pooled or one of {', '.join(CRITICAL)}")
        return self

    @property
    def limit(self) -> float:
        """The limit, on the measure's own scale."""
        limit = self.below if self.above is None else self.above
        assert limit is not None  # noqa: S101 - checked above
        return limit

    @property
    def bad_share(self) -> float:
        """The limit as a share of bad events: slow reports, claims unconfirmed, findings missed."""
        if self.measure == "latency":
            return 1 - self.quantile
        return 1 - self.limit if self.measure == "critical_sensitivity" else self.limit


class DataDriftPart(_Part):
    """Embeddings of a period against those of the reference: MMD."""

    sample: Annotated[int, Field(ge=20)] = 200
    """Embeddings of a period that are compared; with fewer it is NOT EVALUATED."""
    all_pairs_up_to: Annotated[int, Field(ge=20)] = 1000
    """Larger samples are compared in blocks."""
    null_windows: Annotated[int, Field(ge=200)] = 2000
    permutations: Annotated[int, Field(ge=200)] = 1000
    clusters: Annotated[int, Field(ge=2, le=50)] = 8
    consecutive: Annotated[int, Field(ge=1)] = 2
    """Periods in a row that must show it."""
    action: str = "review the studies that moved; recalibrate or retrain"


class ConceptDriftPart(_Part):
    """F1 and sensitivity of the critical findings over a rolling week against those of the reference."""

    over_h: Positive = 168.0
    drop: Share = 0.05
    """Of F1 or of sensitivity."""
    findings: Annotated[tuple[FindingName, ...], Field(strict=False, min_length=1)] = CRITICAL
    action: str = "retrain"


class LabelDriftPart(_Part):
    """What reports claim in a period, against the reference: chi-square, and PSI for its size."""

    psi: Positive = 0.1
    findings: Annotated[tuple[FindingName, ...], Field(strict=False, min_length=1)] = FINDINGS
    action: str = "find out what changed: patients, scanner, or model"


class DetectionPart(_Part):
    """How often reports claim a finding, against how often radiologists did over 30 days."""

    margin: Share = 0.05
    findings: Annotated[tuple[FindingName, ...], Field(strict=False, min_length=1)] = FINDINGS
    action: str = "compare reports with readings"


class CusumPart(_Part):
    """A chart for a sudden rise, one study at a time."""

    finding: FindingName
    of: Literal["claimed", "missed"]
    """Reports that claim the finding; or positive readings whose report missed it."""
    raised: Share | None = None
    """The rate to detect; else `times` or `points`."""
    times: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None
    """The rate to detect, as a multiple of the usual odds."""
    points: Share | None = None
    """The rate to detect, as the usual one and so much more."""
    action: str

    @model_validator(mode="after")
    def _one(self) -> CusumPart:
        if sum(given is not None for given in (self.raised, self.times, self.points)) != 1:
            raise ValueError("needs exactly one of raised, times, points")
        return self

    @property
    def id(self) -> str:
        """Such as `cusum-claimed-pneumothorax`."""
        return f"cusum-{self.of}-{self.finding.lower().replace(' ', '-')}"


class Webhook(_Part):
    """Where alerts are posted as JSON, when raised and when cleared."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    timeout_s: Positive = 5.0


class MonitorConfig(_Part):
    """A whole configuration. Build it with `read_config`, which names places in errors."""

    name: Name
    version: int
    stream: StreamPart
    reference: str
    """Records of the time the model was validated in, in the stream's own form: embeddings, findings,
    readings. As seen from the configuration file's folder."""
    out: str
    """Folder of log, metrics and status page, as seen from the configuration file's folder."""
    window_h: Positive = 1.0
    period_h: Positive = 24.0
    """Drift is judged once in so long; a whole number of windows."""
    false_alarms_per_month: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 0.5
    """At most so many in 30 days on average, of all rules and charts together, while every value sits
    at its limit and nothing drifts. Shared out equally."""
    design_effect: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    """How many studies are worth one independent one, where patients come several times."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    rules: Annotated[tuple[Rule, ...], Field(strict=False, min_length=1)]
    data_drift: DataDriftPart | None = None
    concept_drift: ConceptDriftPart | None = None
    label_drift: LabelDriftPart | None = None
    detection: DetectionPart | None = None
    cusum: Annotated[tuple[CusumPart, ...], Field(strict=False)] = ()
    webhooks: Annotated[tuple[Webhook, ...], Field(strict=False)] = ()
    cost: CostPart = CostPart()

    def digest(self) -> str:
        """SHA-256 (hex) of what is asked; comments and layout of the file do not count."""
        return digest_value(self.model_dump(mode="json"))

    @property
    def per_period(self) -> int:
        """Windows in a period."""
        return round(self.period_h / self.window_h)

    @property
    def share(self) -> float:
        """False alarms in 30 days that each detector may give."""
        parts = (self.data_drift, self.concept_drift, self.label_drift, self.detection)
        detectors = len(self.rules) + len(self.cusum) + sum(part is not None for part in parts)
        return self.false_alarms_per_month / detectors

    def alpha(self, every_h: float) -> float:
        """The error rate of one look of a detector that looks so often.

        By the union bound its looks in 30 days give no more false alarms than its share, however they
        depend on one another.
        """
        return min(self.share * every_h / MONTH_H, 0.05)


def read_config(path: Path) -> MonitorConfig:
    """Reads and checks a monitor's configuration.

    Raises:
        SuiteError: with every problem found, each as `file:line:column: key: what and remedy`.
    """
    source = read_yaml(path)
    if not isinstance(source.data, dict):
        raise SuiteError([source.problem((), "a monitor is a mapping with name, stream, reference, rules")])
    try:
        config = MonitorConfig.model_validate(source.data)
    except ValidationError as error:
        told = {_explain(source, item): source.place(tuple(item["loc"])) for item in error.errors()}
        raise SuiteError(sorted(told, key=lambda problem: (told[problem], problem))) from None
    if problems := list(_inconsistent(config, source)):
        raise SuiteError(problems)
    return config


def _inconsistent(config: MonitorConfig, source: Source) -> Iterator[str]:
    if abs(config.period_h / config.window_h - config.per_period) > 1e-9 or config.per_period < 1:
        yield source.problem(("period_h",), f"must be a whole number of windows of {config.window_h:g} h")
    seen = {"stream"}  # the stream's own id among the detectors
    for part in ("rules", "cusum"):
        for index, item in enumerate(getattr(config, part)):
            if item.id in seen:
                yield source.problem((part, index), f"{item.id} stands twice; ids must differ")
            seen.add(item.id)
    for index, rule in enumerate(config.rules):
        for key in ("over_h", "every_h"):
            hours = getattr(rule, key)
            if hours is not None and abs(hours / config.window_h - round(hours / config.window_h)) > 1e-9:
                what = f"must be a whole number of windows of {config.window_h:g} h"
                yield source.problem(("rules", index, key), what)


def _explain(source: Source, item: Any) -> str:
    path: KeyPath = tuple(item["loc"])
    kind, value = item["type"], item.get("input")
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"
        return source.problem(path, f"unknown key{hint}")
    if kind == "missing":
        return source.problem(path, "missing; every monitor needs it" if len(path) == 1 else "missing")
    message = str(item["msg"]).removeprefix("Value error, ")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float) else ""
    return source.problem(path, message[0].lower() + message[1:] + shown)


def _known_keys(path: KeyPath) -> list[str]:
    """The keys that a mapping at this path may have."""
    model: Any = MonitorConfig
    for name in path:
        if isinstance(name, str):
            model = _model_in(model.model_fields[name].annotation)
    return list(model.model_fields) if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `Part`, `Part | None` or `tuple[Part, ...]`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
