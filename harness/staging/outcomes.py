"""Records of what became of studies after a switch: the new version's trials, rule by rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from harness.monitoring.records import Faults, Place, UnusableError, amount, findings_of, flag, header
from harness.report import CRITICAL, PARENTS, Finding
from harness.staging.config import WatchConfig, WatchRule
from harness.staging.followed import Clock, Seen

_KNOWN: Final = {
    "kind", "study_id", "time", "version", "status", "latency_s", "findings", "detected", "hallucination",
    "reference", "critical_missed", "rejected", "queue_depth", "gpu_use", "embedding", "patient_id",
}  # fmt: skip
_STATUSES: Final = ("ok", "failed", "late", "rejected")

Findings = frozenset[Finding]
Verdict = Literal["bad", "good", "uncounted", "lacking"]
"""What one rule says of one study. uncounted: it is none that the rule counts; lacking: not known."""
_WORST_FIRST: Final[tuple[Verdict, ...]] = ("bad", "good", "uncounted", "lacking")


@dataclass(frozen=True, slots=True)
class Count:
    """The studies of a rule's window."""

    bad: int
    n: int
    """Those of which it is known."""
    lacking: int
    """Those that lack the field: each may be bad."""


@dataclass(frozen=True, slots=True)
class _Reading:
    time: float
    flagged: Verdict
    """By `critical_missed`."""
    reference: Findings | None
    findings: Findings | None
    """What the report had said, by the reading."""


@dataclass(slots=True)
class _Study:
    reported: list[tuple[float, tuple[Verdict, ...]]] = field(default_factory=list)
    """Each record's time, and what each rule says of it."""
    failed: bool = False
    """Whether a record says that no report came."""
    said: Findings | None = None
    """What every report said; None: not known."""
    readings: list[_Reading] = field(default_factory=list)

    def trial(self, rule: int, misses: bool) -> tuple[float, Verdict]:
        """When, and how, the study counts for a rule: by the worst record of it."""
        found = (
            [(one.time, self._missed(one)) for one in self.readings]
            if misses
            else [(time, verdicts[rule]) for time, verdicts in self.reported]
        )
        return min(found, key=lambda one: _WORST_FIRST.index(one[1]), default=(0.0, "uncounted"))

    def _missed(self, reading: _Reading) -> Verdict:
        """Whether the report missed a critical finding that the reading says is there."""
        told = [reading.flagged] if reading.flagged != "lacking" else []
        if reading.reference is not None:
            there = reading.reference & set(CRITICAL)
            said = frozenset() if self.failed else self.said if self.said is not None else reading.findings
            if not there:
                told.append("uncounted")
            elif said is not None:
                told.append("bad" if there - said else "good")
            elif not told or reading.flagged == "uncounted":
                return "lacking"
        if self.failed and "good" in told:
            return "bad"  # where no report came, nothing was found
        if "bad" in told:
            return "bad"
        return told[0] if len(set(told)) == 1 else "lacking"


class Outcomes:
    """What is known of the new version so far."""

    def __init__(self, config: WatchConfig, start: float, faults: Faults) -> None:
        self.config, self.start, self.faults = config, start, faults
        self.clock = Clock(60 * config.ahead_min)
        self.studies: dict[str, _Study] = {}
        """Those of the new version."""
        self._unplaced = 0
        self._heard: list[float] = []
        self._waiting: dict[str, list[_Reading]] = {}
        """Readings of studies that were not reported yet, or by another version."""
        self._seen = Seen()

    @property
    def unplaced(self) -> int:
        """Records that belong to no study, time or version: each may be a bad one of the new version."""
        return self._unplaced + self.faults.counts["not JSON"]

    def heard(self, at: float) -> float:
        """When the new version was last heard of by then: a record that is ahead says nothing of before."""
        return max((time for time in self._heard if time <= at), default=self.start)

    def count(self, rule: int, since: float) -> Count:
        """Studies after a time, by a rule."""
        misses = self.config.rules[rule].measure == "critical_misses"
        trials = [study.trial(rule, misses) for study in self.studies.values()]
        verdicts = [verdict for time, verdict in trials if time > since]
        bad, lacking = verdicts.count("bad"), verdicts.count("lacking")
        return Count(bad, bad + verdicts.count("good"), lacking)

    @property
    def diluted(self) -> int:
        """Readings by `critical_missed`, where none says null: false then stands for nothing there, too."""
        flags = [one.flagged for study in self.studies.values() for one in study.readings
                 if one.reference is None and one.flagged != "lacking"]  # fmt: skip
        return 0 if "uncounted" in flags else len(flags)

    def add(self, value: Any, place: Place) -> None:
        """Takes in one line; what cannot be used is counted."""
        begun = header(value, place, self.faults, ("report", "reading", "clock"), ("clock",))
        if begun is None:
            self._unplaced += 1
            return
        kind, study, time = begun
        time = self.clock.take(time, place, self.faults)
        if kind == "clock":
            return
        for name in value.keys() - _KNOWN:
            plain = isinstance(name, str) and name.isidentifier() and len(name) <= 40
            self.faults.add(f"unknown field {name if plain else '(unprintable)'}", place)
        if kind == "reading":
            if self._seen.add(kind, study, value, place, self.faults):
                self._reading(study, time, value, place)
        elif not isinstance(value.get("version"), str):
            self.faults.add("no version", place)
            self._unplaced += 1
        elif value["version"] != self.config.green:
            return
        elif time < self.start:
            now = self.clock.now
            if now is not None and now >= self.start + 60 * self.config.lateness_min:
                self.faults.add("stamped before the switch", place)
                self._unplaced += 1
        elif self._seen.add(kind, study, value, place, self.faults):
            self._report(study, time, value, place)

    def _report(self, name: str, time: float, value: Mapping[str, Any], place: Place) -> None:
        known = {field: self._field(field, value, place) for field in (
            "latency_s", "findings", "detected", "hallucination", "rejected")}  # fmt: skip
        status = value.get("status")
        if status is not None and status not in _STATUSES:
            self.faults.add("unknown status", place)
            status = "unknown"
        no_report = status is None and "latency_s" in value and value["latency_s"] is None
        if name not in self.studies:
            self.studies[name] = _Study(readings=self._waiting.pop(name, []))
            self._heard.append(time)  # what is said later of a study does not show that new ones come
        study = self.studies[name]
        study.failed = study.failed or status == "failed" or no_report
        if known["findings"] is not None:
            before = study.said
            study.said = known["findings"] if before is None else before & known["findings"]
        study.reported.append(
            (time, tuple(_judged(rule, status, no_report, known) for rule in self.config.rules))
        )

    def _reading(self, name: str, time: float, value: Mapping[str, Any], place: Place) -> None:
        missed = self._field("critical_missed", value, place)
        flagged: Verdict = "lacking"
        if missed is not None:
            flagged = "bad" if missed else "good"
        elif "critical_missed" in value and value["critical_missed"] is None:
            flagged = "uncounted"
        reference = self._field("reference", value, place)
        if reference is not None and flagged != "lacking":
            there = bool(reference & set(CRITICAL))
            if there == (flagged == "uncounted"):
                self.faults.add("critical_missed contradicts reference", place)
        reading = _Reading(time, flagged, reference, self._field("findings", value, place))
        if name in self.studies:
            self.studies[name].readings.append(reading)
        else:
            self._waiting.setdefault(name, []).append(reading)

    def _field(self, name: str, value: Mapping[str, Any], place: Place) -> Any:
        if value.get(name) is None:
            return None
        convert = {"latency_s": amount, "hallucination": flag, "rejected": flag, "critical_missed": flag}
        try:
            return convert.get(name, findings_of)(value[name])
        except UnusableError as error:
            self.faults.add(f"{name} {error}", place)
            return None


def _judged(rule: WatchRule, status: str | None, no_report: bool, known: Mapping[str, Any]) -> Verdict:
    bad = _bad(rule, status, no_report, known)
    return "lacking" if bad is None else "bad" if bad else "good"


def _bad(rule: WatchRule, status: str | None, no_report: bool, known: Mapping[str, Any]) -> bool | None:
    """Whether a study of the new version is bad by a rule; None: not known."""
    silent = status == "failed" or no_report
    latency: float | None = math.inf if silent else known["latency_s"]
    match rule.measure:
        case "failure_rate":
            if status is None and latency is None:
                return None
            return silent or status in ("late", "unknown")
        case "latency":
            return None if latency is None else latency > rule.above
        case "rejection_rate":
            rejected: bool | None = known["rejected"]
            return status == "rejected" or bool(rejected) if status in _STATUSES else rejected
    flagged: bool | None = known["hallucination"]
    if flagged is not None or silent:
        return bool(flagged)
    if known["findings"] is None or known["detected"] is None:
        return None
    seen = known["detected"]
    confirmed = seen | {PARENTS[finding] for finding in seen if finding in PARENTS}
    return bool(known["findings"] - {Finding.NO_FINDING} - confirmed)
