"""Records of what became of studies after a switch: the new version's trials, rule by rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from harness.monitoring.records import Faults, Place, UnusableError, amount, findings_of, flag, header
from harness.report import CRITICAL, PARENTS, Finding
from harness.staging.config import WatchConfig, WatchRule
from harness.staging.followed import Clock

_KNOWN: Final = {
    "kind", "study_id", "time", "version", "status", "latency_s", "findings", "detected", "hallucination",
    "reference", "critical_missed", "rejected", "queue_depth", "gpu_use", "embedding", "patient_id",
}  # fmt: skip
_STATUSES: Final = ("ok", "failed", "late", "rejected")


@dataclass(slots=True)
class Trials:
    """The studies that one rule counts."""

    when: list[float] = field(default_factory=list)
    bad: list[bool] = field(default_factory=list)
    lacking: int = 0
    """Studies that lack the field."""

    def add(self, when: float, bad: bool | None) -> None:
        """Adds a study; None where it lacks the field."""
        if bad is None:
            self.lacking += 1
        else:
            self.when.append(when)
            self.bad.append(bad)

    def since(self, when: float) -> tuple[int, int]:
        """Bad ones, of how many, after a time."""
        kept = [bad for at, bad in zip(self.when, self.bad, strict=True) if at > when]
        return sum(kept), len(kept)


class Outcomes:
    """What is known of the new version so far."""

    def __init__(self, config: WatchConfig, start: float, faults: Faults) -> None:
        self.config, self.start, self.faults = config, start, faults
        self.clock = Clock(60 * config.ahead_min)
        self.trials = [Trials() for _ in config.rules]
        self.last = start
        """When the new version was last heard of."""
        self.studies: dict[str, frozenset[Finding] | None] = {}
        """Those of the new version, and what the report said."""
        self.nameless = 0
        """Records that name no version."""
        self._readings: dict[str, tuple[float, Mapping[str, Any], Place]] = {}
        self._read: set[str] = set()

    def add(self, value: Any, place: Place) -> None:
        """Takes in one line; what cannot be used is counted."""
        begun = header(value, place, self.faults, ("report", "reading", "clock"), ("clock",))
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
            if study in self._readings or study in self._read:
                self.faults.add("duplicate", place)
            elif study in self.studies:
                self._reading(study, time, value, place)
            else:
                self._readings[study] = (time, value, place)
            return
        if not isinstance(value.get("version"), str):
            self.faults.add("no version", place)
            self.nameless += 1
        elif value["version"] == self.config.green and time >= self.start:
            if study in self.studies:
                self.faults.add("duplicate", place)
                return
            self._report(study, time, value, place)

    def _report(self, study: str, time: float, value: Mapping[str, Any], place: Place) -> None:
        self.last = max(self.last, time)
        known = {name: self._field(name, value, place) for name in (
            "latency_s", "findings", "detected", "hallucination", "rejected")}  # fmt: skip
        status = value.get("status")
        if status is not None and status not in _STATUSES:
            self.faults.add("unknown status", place)
            status = None
        no_report = status is None and "latency_s" in value and value["latency_s"] is None
        self.studies[study] = None if status == "failed" or no_report else known["findings"]
        for rule, trials in zip(self.config.rules, self.trials, strict=True):
            if rule.measure != "critical_misses":
                trials.add(time, _bad(rule, status, no_report, known))
        if study in self._readings:
            self._reading(study, *self._readings.pop(study))

    def _reading(self, study: str, time: float, value: Mapping[str, Any], place: Place) -> None:
        self._read.add(study)
        rule = next((n for n, one in enumerate(self.config.rules) if one.measure == "critical_misses"), None)
        if rule is None:
            return
        missed = self._field("critical_missed", value, place)
        if missed is None:
            reference = self._field("reference", value, place)
            if reference is None:
                self.trials[rule].add(time, None)
                return
            there = reference & set(CRITICAL)
            if not there:
                return
            said = self._field("findings", value, place)
            missed = bool(there - (said or self.studies[study] or frozenset()))
        self.trials[rule].add(time, missed)

    def _field(self, name: str, value: Mapping[str, Any], place: Place) -> Any:
        if value.get(name) is None:
            return None
        convert = {"latency_s": amount, "hallucination": flag, "rejected": flag, "critical_missed": flag}
        try:
            return convert.get(name, findings_of)(value[name])
        except UnusableError as error:
            self.faults.add(f"{name} {error}", place)
            return None


def _bad(rule: WatchRule, status: str | None, no_report: bool, known: Mapping[str, Any]) -> bool | None:
    """Whether a study of the new version is bad by a rule; None: not known."""
    failed = status in ("failed", "late") or no_report
    latency: float | None = math.inf if no_report or status == "failed" else known["latency_s"]
    match rule.measure:
        case "failure_rate":
            return failed if status is not None or latency is not None else None
        case "latency":
            return None if latency is None else latency > rule.above
        case "rejection_rate":
            rejected: bool | None = known["rejected"]
            return status == "rejected" if status is not None else rejected
    flagged: bool | None = known["hallucination"]
    if flagged is not None or failed:
        return bool(flagged)
    if known["findings"] is None or known["detected"] is None:
        return None
    seen = known["detected"]
    confirmed = seen | {PARENTS[finding] for finding in seen if finding in PARENTS}
    return bool(known["findings"] - {Finding.NO_FINDING} - confirmed)
