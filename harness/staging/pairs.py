"""Records of a shadow deployment: what both models said of a study, and what the reading says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.annotators.base import Labeler
from harness.monitoring.records import Faults, Place, UnusableError, amount, findings_of, header
from harness.report import CRITICAL, FINDINGS, PARENTS, Finding, State
from harness.staging.config import ModelPart, ShadowConfig
from harness.staging.followed import Clock

Findings = frozenset[Finding]
_SIDE = {"version", "findings", "report", "detected", "latency_s"}
_KNOWN = {"kind", "study_id", "patient_id", "time", "production", "shadow", "reference"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model gave."""

    findings: Findings | None
    """None: no report came, or none that can be read: it has missed every finding."""
    detected: Findings | None
    """None: not known."""
    latency_s: float | None
    """Infinite where no report came; None: not known."""

    def claims(self, finding: Finding) -> bool:
        """Whether the report says that a finding is there."""
        return self.findings is not None and finding in self.findings

    @property
    def hallucinates(self) -> bool | None:
        """Whether a claim is not confirmed by the detection head; None: not known."""
        if self.findings is None:
            return False
        if self.detected is None:
            return None
        confirmed = self.detected | {PARENTS[finding] for finding in self.detected if finding in PARENTS}
        return bool(self.findings - {Finding.NO_FINDING} - confirmed)


@dataclass(frozen=True, slots=True)
class Pair:
    """One study, reported by both."""

    study: str
    patient: str
    time: float
    production: Answer
    shadow: Answer

    @property
    def disagreement(self) -> list[Finding]:
        """Critical findings that one of the two reports alone claims."""
        return [one for one in CRITICAL if self.production.claims(one) != self.shadow.claims(one)]


class Pairs:
    """All pairs of the window so far, and the readings."""

    def __init__(self, config: ShadowConfig, start: float, faults: Faults) -> None:
        self.config, self.faults = config, faults
        self.start, self.end = start, start + 3600 * config.hours
        self.clock = Clock(3600 * config.ahead_h)
        self.labeler: Labeler | None = config.labeler.build() if config.labeler else None
        self.pairs: dict[str, Pair] = {}
        self.readings: dict[str, Findings] = {}
        self.unusable: set[str] = set()
        """Studies of the window whose record could not be used."""
        self.positives = 0
        """Critical findings of pairs that readings confirm."""
        self.counts: Counter[str] = Counter()

    @property
    def over(self) -> bool:
        """Whether the window is over, and the time for its readings."""
        now = self.clock.now
        return now is not None and now >= self.end + 3600 * self.config.readings_h

    def add(self, value: Any, place: Place) -> None:
        """Takes in one line; what cannot be used is counted."""
        begun = header(value, place, self.faults, ("pair", "reading", "clock"), ("clock",))
        if begun is None:
            return
        kind, study, time = begun
        time = self.clock.take(time, place, self.faults)
        if kind == "clock":
            return
        for name in value.keys() - _KNOWN:
            plain = isinstance(name, str) and name.isidentifier() and len(name) <= 40
            self.faults.add(f"unknown field {name if plain else '(unprintable)'}", place)
        if kind == "reading":
            self._reading(study, value, place)
        elif not self.start <= time < self.end:
            self.faults.add("outside the window", place)
        elif study in self.pairs:
            self.faults.add("duplicate", place)
        else:
            self._pair(study, time, value, place)

    def _reading(self, study: str, value: Mapping[str, Any], place: Place) -> None:
        if study in self.readings:
            self.faults.add("duplicate", place)
            return
        try:
            self.readings[study] = findings_of(value.get("reference"))
        except UnusableError as error:
            self.faults.add(f"reference {error}", place)
            return
        self._confirm(study)

    def _pair(self, study: str, time: float, value: Mapping[str, Any], place: Place) -> None:
        patient = value.get("patient_id")
        if not isinstance(patient, str | int) or isinstance(patient, bool) or patient == "":
            self.faults.add("no usable patient_id", place)
            self.unusable.add(study)
            return
        production = self._answer("production", self.config.production, value, place)
        shadow = self._answer("shadow", self.config.shadow, value, place)
        if production is None or shadow is None:
            self.unusable.add(study)
            return
        self.unusable.discard(study)
        self.pairs[study] = Pair(study, str(patient), time, production, shadow)
        self._confirm(study)

    def _confirm(self, study: str) -> None:
        if study in self.pairs and study in self.readings:
            self.positives += len(self.readings[study] & set(CRITICAL))

    def _answer(self, name: str, part: ModelPart, value: Mapping[str, Any], place: Place) -> Answer | None:
        side = value.get(name)
        if not isinstance(side, Mapping) or ("findings" not in side and "report" not in side):
            self.faults.add(f"{name}: no findings and no report", place)
            return None
        if side.get("version") != part.version:
            self.faults.add(f"{name}: another version", place)
            return None
        for key in side.keys() - _SIDE:
            plain = isinstance(key, str) and key.isidentifier() and len(key) <= 40
            self.faults.add(f"unknown field {name}.{key if plain else '(unprintable)'}", place)
        try:
            findings = self._findings(side)
        except UnusableError as error:
            self.faults.add(f"{name}: findings {error}", place)
            if name == "production":  # a fault of the stream must not make the new model look better
                return None
            findings = None
        if findings is None:
            return Answer(None, None, math.inf)
        detected: Findings | None = None
        latency: float | None = None
        try:
            detected = None if side.get("detected") is None else findings_of(side["detected"])
            latency = None if side.get("latency_s") is None else amount(side["latency_s"])
        except UnusableError as error:
            self.faults.add(f"{name}: detected or latency_s {error}", place)
        return Answer(findings, detected, latency)

    def _findings(self, side: Mapping[str, Any]) -> Findings | None:
        if side.get("findings") is not None:
            return findings_of(side["findings"])
        text = side.get("report")
        if text is None:
            return None
        if not isinstance(text, str):
            raise UnusableError("are in no text")
        if self.labeler is None:
            raise UnusableError("are in a text, and the configuration names no labeler")
        codes = self.labeler.label([text])[0]
        return frozenset(
            finding
            for finding, code in zip(FINDINGS, codes, strict=True)
            if code in (State.POSITIVE, State.UNCERTAIN)
        )
