"""Records of a shadow deployment: what both models said of a study, and what the reading says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.annotators.base import Labeler
from harness.monitoring.records import Faults, Place, UnusableError, amount, findings_of, header
from harness.report import CRITICAL, FINDINGS, PARENTS, Finding, State
from harness.staging.config import ModelPart, ShadowConfig
from harness.staging.followed import Clock, Seen

Findings = frozenset[Finding]
_SIDE = {"version", "findings", "report", "detected", "latency_s"}
_KNOWN = {"kind", "study_id", "patient_id", "time", "production", "shadow", "reference"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model gave; of several records that differ, what is against the new model."""

    findings: Findings | None
    """None: no report came, or none that can be read: it has missed every finding."""
    alarms: Findings
    """What counts as claimed where it is not there: as `findings`, but for records that differ."""
    hallucinates: bool | None
    """Whether a claim is not confirmed by the detection head; None: not known."""
    latency_s: float | None
    """Infinite where no report came; None: not known."""

    def claims(self, finding: Finding) -> bool:
        """Whether the report says that a finding is there."""
        return self.findings is not None and finding in self.findings

    def worse(self, other: Answer) -> Answer:
        """The new model's answer, where another record says something else."""
        missed = self.findings is None or other.findings is None
        return Answer(
            None if missed else (self.findings or _NONE) & (other.findings or _NONE),
            self.alarms | other.alarms,
            _known(self.hallucinates, other.hallucinates, max),
            _known(self.latency_s, other.latency_s, max),
        )

    def better(self, other: Answer) -> Answer:
        """Production's answer, where another record says something else."""
        if self.findings is None or other.findings is None:
            return other if self.findings is None else self
        return Answer(
            self.findings | other.findings,
            self.alarms & other.alarms,
            _known(self.hallucinates, other.hallucinates, min),
            _known(self.latency_s, other.latency_s, min),
        )


_NONE: Findings = frozenset()
_NO_REPORT = Answer(None, _NONE, False, math.inf)


def _known(one: Any, other: Any, choose: Any) -> Any:
    return other if one is None else one if other is None else choose(one, other)


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What a radiologist says is there."""

    sure: Findings
    contested: Findings = frozenset()
    """What one reading of the study says is there, and another that it is not."""

    def there(self, finding: Finding, shadow: Answer) -> bool:
        """Whether a finding counts as there; a contested one where the new model did not claim it."""
        return finding in self.sure or (finding in self.contested and not shadow.claims(finding))

    def absent(self, finding: Finding, shadow: Answer) -> bool:
        """Whether it counts as not there; a contested one where the new model claimed it."""
        return finding not in self.sure | self.contested or (
            finding in self.contested and finding in shadow.alarms
        )


class Pairs:
    """All pairs of the window so far, and the readings."""

    def __init__(self, config: ShadowConfig, start: float, faults: Faults) -> None:
        self.config, self.faults = config, faults
        self.start, self.end = start, start + 3600 * config.hours
        self.clock = Clock(3600 * config.ahead_h)
        self.labeler: Labeler | None = config.labeler.build() if config.labeler else None
        self.pairs: dict[str, Pair] = {}
        self.readings: dict[str, Reading] = {}
        self.unusable: set[str] = set()
        """Studies whose record could not be used, as far as it is known which they are."""
        self.positives = 0
        """Critical findings of pairs that readings confirm."""
        self._unplaced = 0
        self._outside: set[str] = set()
        self._seen = Seen()

    @property
    def unplaced(self) -> int:
        """Records of which it is not known what they are of."""
        return self._unplaced + self.faults.counts["not JSON"]

    def orphans(self) -> list[Reading]:
        """Readings of studies without any record: of records that belong nowhere, perhaps."""
        known = self.pairs.keys() | self.unusable | self._outside
        return [reading for study, reading in self.readings.items() if study not in known]

    @property
    def over(self) -> bool:
        """Whether the window is over, and the time for its readings."""
        now = self.clock.now
        return now is not None and now >= self.end + 3600 * self.config.readings_h

    def add(self, value: Any, place: Place) -> None:
        """Takes in one line; what cannot be used is counted."""
        begun = header(value, place, self.faults, ("pair", "reading", "clock"), ("clock",))
        if begun is None:
            self._misplaced(value)
            return
        kind, study, time = begun
        time = self.clock.take(time, place, self.faults)
        if kind == "clock":
            return
        for name in value.keys() - _KNOWN:
            plain = isinstance(name, str) and name.isidentifier() and len(name) <= 40
            self.faults.add(f"unknown field {name if plain else '(unprintable)'}", place)
        if not self._seen.add(kind, study, value, place, self.faults):
            return
        if kind == "reading":
            self._reading(study, value, place)
        elif study not in self.pairs and not self.start <= time < self.end:
            self.faults.add("outside the window", place)
            self._outside.add(study)
        else:
            self._pair(study, time, value, place)

    def _misplaced(self, value: Any) -> None:
        """Counts a record that cannot be placed: by its study, where it names one."""
        study = value.get("study_id") if isinstance(value, Mapping) else None
        pair = isinstance(value, Mapping) and value.get("kind", "pair") == "pair"
        if not pair or not isinstance(study, str | int) or isinstance(study, bool) or study == "":
            self._unplaced += 1
        elif str(study) not in self.pairs:
            self.unusable.add(str(study))

    def _reading(self, study: str, value: Mapping[str, Any], place: Place) -> None:
        try:
            reference = findings_of(value.get("reference"))
        except UnusableError as error:
            self.faults.add(f"reference {error}", place)
            self._unplaced += 1
            return
        known = self.readings.get(study)
        if known is None:
            self.readings[study] = Reading(reference)
            self._confirm(study)
        else:
            contested = known.contested | (known.sure ^ reference)
            self.readings[study] = Reading(known.sure - contested, contested)

    def _pair(self, study: str, time: float, value: Mapping[str, Any], place: Place) -> None:
        patient = value.get("patient_id")
        if not isinstance(patient, str | int) or isinstance(patient, bool) or patient == "":
            self.faults.add("no usable patient_id", place)
            self._unusable(study)
            return
        production = self._answer("production", self.config.production, value, place)
        shadow = self._answer("shadow", self.config.shadow, value, place)
        if production is None or shadow is None:
            self._unusable(study)
            return
        if (known := self.pairs.get(study)) is not None:
            self.pairs[study] = replace(
                known, production=known.production.better(production), shadow=known.shadow.worse(shadow)
            )
            return
        self.unusable.discard(study)
        self.pairs[study] = Pair(study, str(patient), time, production, shadow)
        self._confirm(study)

    def _unusable(self, study: str) -> None:
        if study not in self.pairs:
            self.unusable.add(study)

    def _confirm(self, study: str) -> None:
        if study in self.pairs and study in self.readings:
            self.positives += len(self.readings[study].sure & set(CRITICAL))

    def _answer(self, name: str, part: ModelPart, value: Mapping[str, Any], place: Place) -> Answer | None:
        side = value.get(name)
        if not isinstance(side, Mapping) or ("findings" not in side and "report" not in side):
            self.faults.add(f"{name}: no findings and no report", place)
            # What is absent must not make the new model look better.
            if name == "shadow" and (not isinstance(side, Mapping) or side.get("version") == part.version):
                return _NO_REPORT
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
            return None if name == "production" else _NO_REPORT
        if findings is None:
            return _NO_REPORT
        unconfirmed: bool | None = None
        latency: float | None = None
        try:
            latency = None if side.get("latency_s") is None else amount(side["latency_s"])
            if side.get("detected") is not None:
                seen = findings_of(side["detected"])
                wider = {PARENTS[finding] for finding in seen if finding in PARENTS}
                unconfirmed = bool(findings - {Finding.NO_FINDING} - seen - wider)
        except UnusableError as error:
            self.faults.add(f"{name}: detected or latency_s {error}", place)
        return Answer(findings, findings, unconfirmed, latency)

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
