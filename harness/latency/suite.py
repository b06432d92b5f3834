"""What a latency suite asks: a device, a schedule, and limits; read from YAML."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.digests import digest_value
from harness.errors import SuiteError
from harness.gpu_hours import GPU_USD_PER_HOUR
from harness.schema_errors import explain_all
from harness.suite import CohortPart, Confidence, ExecutionPart, Name
from harness.yaml_source import Source, read_yaml

KIND: Final = "latency"
CLOSED: Final = "closed"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Value = Literal["p50", "p90", "p95", "p99", "maximum", "throughput"]
QUANTILES: Final[dict[str, float]] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TargetPart(_Part):
    """The device that the suite is about; what is left out is not asked."""

    device: Annotated[str, Field(min_length=1)]
    """As NVML names a GPU; a processor as the run's environment names it. Not a part of the name."""
    memory_gb: Positive | None = None
    """Of the GPU, nominal, in 10^9 bytes; what NVML tells may differ by 10 %."""
    driver: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")] | None = None
    """The oldest driver that counts."""
    power_limit_w: Positive | None = None
    """The power limit enforced; to 1 W."""


class StepPart(_Part):
    """Poisson arrivals at one rate."""

    rate_per_hour: Positive | None = None
    load: Annotated[float, Field(gt=0, le=5, allow_inf_nan=False)] | None = None
    """The rate as a multiple of the capacity that the closed loop measured."""
    studies: Count

    @model_validator(mode="after")
    def _one(self) -> StepPart:
        if (self.rate_per_hour is None) == (self.load is None):
            raise ValueError("needs exactly one of rate_per_hour, load")
        return self


class OpenPart(_Part):
    """Open loop: studies arrive whether or not the one before is done."""

    steps: Annotated[tuple[StepPart, ...], Field(strict=False, min_length=1)]
    """Run in the order of their rates, until one saturates the device."""


class ClosedPart(_Part):
    """Closed loop: one study at a time, the next as soon as there is a report."""

    studies: Count


class CostPart(_Part):
    """What the device costs."""

    gpu_usd_per_hour: Positive = GPU_USD_PER_HOUR


class EstimatePart(_Part):
    """The estimate for the target from the model's size; it decides nothing."""

    efficiency: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Share of the data sheet's speed that is assumed where the measured device's is not known."""


class LatencyCriterion(_Part):
    """One limit, decided on a one-sided confidence bound."""

    id: Name
    value: Value
    at: Literal["closed"] | Positive = CLOSED
    """In the closed loop, or at the step of this rate_per_hour."""
    below_s: Positive | None = None
    """Seconds below which the upper bound must lie."""
    at_least_per_hour: Positive | None = None
    """Of throughput: studies an hour that the lower bound must reach."""
    share: Annotated[float, Field(gt=0, le=0.01)] = 0.01
    """Of `maximum`: no study may reach the limit, and there must be so many that fewer than this share of
    all studies do, at the confidence asked for: 299 for 1 % at 95 %. A larger share is no maximum."""
    requirement: str = ""
    rationale: str = ""

    @model_validator(mode="after")
    def _one_limit(self) -> LatencyCriterion:
        throughput = self.value == "throughput"
        if (self.at_least_per_hour is None) == throughput or (self.below_s is None) != throughput:
            raise ValueError("throughput needs at_least_per_hour, every other value below_s; one of them")
        if throughput and self.at != CLOSED:
            raise ValueError("throughput is measured in the closed loop; leave `at` out")
        return self

    @property
    def threshold(self) -> float:
        """Seconds, or studies an hour."""
        limit = self.at_least_per_hour if self.below_s is None else self.below_s
        assert limit is not None  # noqa: S101 - checked above
        return limit

    @property
    def told(self) -> str:
        """Such as `p99 at 200/h (s)`."""
        if self.value == "throughput":
            return "studies/h"
        return f"{self.value} {'one at a time' if self.at == CLOSED else f'at {self.at:g}/h'} (s)"


class LatencySuite(_Part):
    """A whole latency suite. Build it with `read_latency_suite`, which names places in errors."""

    name: Name
    version: int
    kind: Literal["latency"]
    title: str = ""
    description: str = ""
    target: TargetPart
    cohort: CohortPart = CohortPart()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of arrivals and of the choice of studies."""
    confidence: Confidence = 0.95
    """Of every one-sided bound."""
    execution: ExecutionPart = ExecutionPart()
    """A study whose report takes longer than `timeout_s` has none; its time counts as longer than any
    limit."""
    warm_up: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Studies asked first; their times are logged and not counted."""
    closed: ClosedPart
    open: OpenPart | None = None
    criteria: Annotated[tuple[LatencyCriterion, ...], Field(min_length=1, strict=False)]
    cost: CostPart = CostPart()
    estimate: EstimatePart = EstimatePart()

    def digest(self) -> str:
        """SHA-256 (hex) of what is asked; comments and layout of the file do not count."""
        return digest_value(self.model_dump(mode="json"))

    @property
    def steps(self) -> tuple[StepPart, ...]:
        """The open loop's."""
        return self.open.steps if self.open else ()


def is_latency_suite(path: Path) -> bool:
    """Whether a file says that it is one; what is wrong with it is not looked at.

    Raises:
        SuiteError: it is no YAML file.
    """
    data = read_yaml(path).data
    return isinstance(data, dict) and data.get("kind") == KIND


def read_latency_suite(path: Path) -> LatencySuite:
    """Reads and checks a latency suite.

    Raises:
        SuiteError: with every problem found, each as `file:line:column: key: what and remedy`.
    """
    source = read_yaml(path)
    if not isinstance(source.data, dict) or source.data.get("kind") != KIND:
        raise SuiteError([source.problem((), "is no latency suite (kind: latency); see harness run")])
    try:
        suite = LatencySuite.model_validate(source.data)
    except ValidationError as error:
        raise SuiteError(explain_all(source, error, LatencySuite)) from None
    if problems := list(_inconsistent(suite, source)):
        raise SuiteError(problems)
    return suite


def _inconsistent(suite: LatencySuite, source: Source) -> Iterator[str]:
    seen: set[str] = set()
    rates = [step.rate_per_hour for step in suite.steps if step.rate_per_hour is not None]
    for index, rate in enumerate(rates):
        if rate in rates[:index]:
            yield source.problem(("open", "steps"), f"{rate:g} studies an hour stands twice")
    for index, criterion in enumerate(suite.criteria):
        path: tuple[Any, ...] = ("criteria", index)
        if criterion.id in seen:
            yield source.problem((*path, "id"), f"{criterion.id} stands twice; ids must differ")
        seen.add(criterion.id)
        if criterion.at != CLOSED and criterion.at not in rates:
            there = ", ".join(f"{rate:g}" for rate in rates) or "none"
            yield source.problem((*path, "at"), f"no step has this rate_per_hour (there: {there})")
