"""What a candidate must show before it is promoted: read from YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.digests import digest_file, digest_value
from harness.errors import SuiteError
from harness.latency.suite import LatencySuite, read_latency_suite
from harness.measures.base import WeightedMeasure
from harness.promotion.waivers import Day, Text, Waiver
from harness.report import CRITICAL
from harness.schema_errors import explain_all
from harness.staging.config import ShadowConfig, read_shadow_config
from harness.suite import Name, Suite, read_suite
from harness.suite_checks import unknown_value
from harness.suite_comparison import Guardrail
from harness.yaml_source import KeyPath, Source, read_yaml

Confidence = Annotated[float, Field(ge=0.95, lt=1, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
GUARDED: Final = (
    *(("critical_sensitivity", str(finding)) for finding in CRITICAL),
    ("hallucination_rate", "per-claim"),
    ("failure_rate", "value"),
)
"""What no policy may leave without a guardrail: measure and value."""
MOST_LOST: Final = {"critical_sensitivity": 0.05, "hallucination_rate": 0.05, "failure_rate": 0.05}
"""The widest margin that a guardrail on a measure may have; 0.1 on others."""
FRACTIONS = ("above", "below", "confidence", "margin")
_FILES: Final = (
    ("regulatory", "suite", read_suite),
    ("latency", "suite", read_latency_suite),
    ("fairness", "suite", read_suite),
    ("parity", "suite", read_suite),
    ("production", "shadow", read_shadow_config),
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Statement(_Part):
    """What a person states in place of evidence. It is printed as STATED, never as passed."""

    by: Text
    """Who states it, by name."""
    date: Day
    reason: Text


def _lock(value: str) -> str:
    if value != "required" and not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError("must be required, or the digest of a lock, in quotes")
    return value


class RegulatoryPart(_Part):
    """The run that is judged must be of this suite, and have passed it whole."""

    suite: Text
    """Its file, as seen from the policy's folder."""
    lock: Annotated[str, AfterValidator(_lock)] = "required"
    """The run must stand under a protocol lock, or under this one (its digest)."""
    without_lock: Statement | None = None
    """That there is none, and why."""
    cohort: Literal["patients", "phantoms"] = "patients"
    """Whose studies were judged. A decision on generated phantoms is a rehearsal: it promotes nothing."""

    @model_validator(mode="after")
    def _one(self) -> RegulatoryPart:
        if self.without_lock is not None and "lock" in self.model_fields_set:
            raise ValueError("without_lock says that there is no lock; leave out lock")
        return self


class SensitivityPart(_Part):
    """Of each critical finding. A policy may ask for more than 98 %, not for less."""

    above: Annotated[float, Field(ge=0.98, lt=1, allow_inf_nan=False)] = 0.98
    """The one-sided lower bound must lie above this."""
    confidence: Confidence = 0.95


class HallucinationPart(_Part):
    """Of the candidate's claims. A policy may ask for less than 3 %, not for more."""

    below: Annotated[float, Field(gt=0, le=0.03, allow_inf_nan=False)] = 0.03
    """The one-sided upper bound must lie below this."""
    value: Literal["per-claim", "per-study"] = "per-claim"
    confidence: Confidence = 0.95


class LatencyPart(_Part):
    """Time from study to report on the device that will be used."""

    suite: Text
    """A latency suite: it names the device and the limits."""
    run: Text | None = None
    """The folder that `harness latency` wrote."""


class FairnessPart(_Part):
    """A suite of its own, or criteria over groups in the regulatory one."""

    suite: Text | None = None
    criteria: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Ids of criteria of the regulatory suite."""
    run: Text | None = None
    cohort: Digest | None = None
    """Of its studies, as in run.json, where they need not hold those of the run that is judged."""

    @model_validator(mode="after")
    def _one(self) -> FairnessPart:
        if bool(self.suite) == bool(self.criteria):
            raise ValueError("needs either suite, or criteria of the regulatory suite")
        if self.criteria and (self.run or self.cohort):
            raise ValueError("run and cohort go with suite; the criteria are of the run that is judged")
        return self


class ParityPart(_Part):
    """The exported package must have lost nothing; or a statement that nothing is exported."""

    suite: Text | None = None
    run: Text | None = None
    """The folder that `harness parity` wrote."""
    cohort: Digest | None = None
    """Of its studies, where they are neither among those of the run that is judged nor hold them."""
    as_judged: Statement | None = None
    """That what is deployed is the very candidate that was judged."""

    @model_validator(mode="after")
    def _one(self) -> ParityPart:
        if (self.suite is None) == (self.as_judged is None):
            raise ValueError("needs either suite, or as_judged: a statement that nothing is exported")
        if self.as_judged and (self.run or self.cohort):
            raise ValueError("run and cohort go with suite, not with as_judged")
        return self


class NonInferiorityPart(_Part):
    """The candidate must not be worse than the model in production; or a statement that there is none."""

    guardrails: Annotated[tuple[Guardrail, ...], Field(strict=False)] = ()
    """Values of the regulatory suite, each with the largest loss that does not matter. Those of
    `GUARDED` must be among them."""
    run: Text | None = None
    """Of the model in production: the same suite on the same studies."""
    candidate: Digest | None = None
    """Content digest of the model in production; a run of another one decides nothing."""
    first_release: Statement | None = None
    """That no model is in production yet."""

    @model_validator(mode="after")
    def _one(self) -> NonInferiorityPart:
        if self.first_release is None and not self.guardrails:
            raise ValueError("needs guardrails, or first_release: a statement that no model is in production")
        if self.first_release is not None and (self.run or self.candidate):
            raise ValueError("first_release says that no model is in production; leave out run and candidate")
        return self


class ProductionPart(_Part):
    """What `harness promote --to production` asks besides; the gate knows of no registry."""

    from_staging: bool = True
    """Whether the very candidate must be at the alias `staging` at that moment."""
    shadow: Text | None = None
    """A shadow deployment's declaration: the candidate must have passed one on the same terms."""
    without_shadow: Statement | None = None
    """That the candidate stood beside no other, and why."""

    @model_validator(mode="after")
    def _one(self) -> ProductionPart:
        if (self.shadow is None) == (self.without_shadow is None):
            raise ValueError("needs either shadow, or without_shadow: a statement that there was none")
        return self


class Policy(_Part):
    """A whole policy. Read it with `read_policy`, which names places in errors.

    Paths are as seen from the policy's folder; a `run` is what the command line's option replaces.
    """

    name: Name
    version: int
    title: str = ""
    regulatory: RegulatoryPart
    critical_sensitivity: SensitivityPart
    hallucination: HallucinationPart
    latency: LatencyPart
    fairness: FairnessPart
    parity: ParityPart
    non_inferiority: NonInferiorityPart
    packet: Text | None = None
    """A packet of the run, to be verified with it."""
    trust: Text | None = None
    """A file of certificates (PEM or DER): a packet is required, and every document of it must be
    signed under one of them."""
    production: ProductionPart
    waivers: Annotated[tuple[Waiver, ...], Field(strict=False)] = ()


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy with what it names."""

    path: Path
    asked: Policy
    suites: Mapping[str, Suite]
    """"regulatory", and "fairness" and "parity" where they have suites of their own."""
    latency: LatencySuite
    shadow: ShadowConfig | None
    """What a shadow deployment must have declared, but for its two models."""
    lines: Mapping[str, int]
    """Where each section stands in the file, from 1."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what is asked, the suites included; comments and layout do not count."""
        suites = {section: suite.digest() for section, suite in self.suites.items()}
        shadow = None if self.shadow is None else self.shadow.terms()
        trust = self.at(self.asked.trust)
        return digest_value(
            [self.asked.model_dump(mode="json"), suites, self.latency.digest(), shadow,
             None if trust is None else digest_file(trust)]
        )  # fmt: skip

    def at(self, path: str | None) -> Path | None:
        """A path of the policy as seen from here."""
        return None if path is None else self.path.parent / path


def is_policy(path: Path) -> bool:
    """Whether a file looks like one and not like a suite; what is wrong with it is not looked at.

    Raises:
        SuiteError: it is no YAML file.
    """
    data = read_yaml(path).data
    return isinstance(data, dict) and "regulatory" in data and "measures" not in data


def read_policy(path: Path) -> PolicyFile:
    """Reads and checks a policy, with the suites that it names.

    Raises:
        SuiteError: with every problem found, each as `file:line:column: key: what and remedy`.
    """
    source = read_yaml(path)
    if not isinstance(source.data, dict):
        raise SuiteError([source.problem((), "a policy is a mapping; begin with suites/promotion.yaml")])
    try:
        policy = Policy.model_validate(source.data)
    except ValidationError as error:
        raise SuiteError(explain_all(source, error, Policy, FRACTIONS)) from None
    suites: dict[str, Any] = {}
    problems: list[str] = []
    for section, key, read in _FILES:
        name = getattr(getattr(policy, section), key)
        if name is None:
            continue
        if not (path.parent / name).is_file():
            problems.append(source.problem((section, key), f"{path.parent / name}: no such file"))
            continue
        try:
            suites[section] = read(path.parent / name)
        except SuiteError as error:
            problems += error.problems
    latency, shadow = suites.pop("latency", None), suites.pop("production", None)
    if policy.trust and not (path.parent / policy.trust).is_file():
        problems.append(source.problem(("trust",), f"{path.parent / policy.trust}: no such file"))
    problems += _misfits(policy, suites, source)
    if problems:
        raise SuiteError(problems)
    lines = {str(key): source.place((key,))[0] for key in source.data}
    lines |= {
        f"waivers[{place}]": source.place(("waivers", place))[0] for place in range(len(policy.waivers))
    }
    return PolicyFile(path, policy, suites, latency, shadow, lines)


def _misfits(policy: Policy, suites: Mapping[str, Suite], source: Source) -> Iterator[str]:
    """What a policy asks of suites that they do not have."""
    if suite := suites.get("regulatory"):
        measures: dict[str, Any] = suite.build_measures()
        seen = set()
        for place, item in enumerate(policy.non_inferiority.guardrails):
            path: KeyPath = ("non_inferiority", "guardrails", place)
            yield from unknown_value(item, path, suite, measures, source)
            if isinstance(measures.get(item.measure), WeightedMeasure):
                what = "is no function of counts: a loss of it cannot be bounded"
                yield source.problem((*path, "measure"), f"{item.measure} {what}")
            if (item.measure, item.value) in seen:
                yield source.problem(path, f"{item.measure}.{item.value} stands twice; keep one")
            seen.add((item.measure, item.value))
            if item.margin > (most := MOST_LOST.get(item.measure, 0.1)):
                yield source.problem((*path, "margin"), f"must be {most:g} or less; it is {item.margin:g}")
            if item.confidence < 0.95:
                yield source.problem(
                    (*path, "confidence"), f"must be 0.95 or more; it is {item.confidence:g}"
                )
        if seen and (lacking := [".".join(pair) for pair in GUARDED if pair not in seen]):
            problem = f"every policy guards against harm; there is none on {', '.join(lacking)}"
            yield source.problem(("non_inferiority", "guardrails"), problem)
        over = {criterion.id for criterion in suite.criteria if criterion.over}
        for place, name in enumerate(policy.fairness.criteria):
            if name not in over:
                there = f"there: {', '.join(sorted(over)) or 'none'}"
                problem = f"{name} is no criterion over groups of {suite.name} ({there})"
                yield source.problem(("fairness", "criteria", place), problem)
    if (suite := suites.get("fairness")) and not any(criterion.over for criterion in suite.criteria):
        yield source.problem(("fairness", "suite"), f"{suite.name} has no criterion over groups")
    if (suite := suites.get("parity")) and (suite.comparison is None or suite.comparison.parity is None):
        problem = f"{suite.name} has no comparison.parity; see suites/parity.yaml"
        yield source.problem(("parity", "suite"), problem)
