"""One window to one entry: every detector looks, and alerts are raised and cleared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from harness.monitoring import faults
from harness.monitoring.concept_drift import Chart, concept_drift
from harness.monitoring.config import MONTH_H, MonitorConfig, Rule
from harness.monitoring.counts import Counts, Rolling, count, service
from harness.monitoring.data_drift import DataDrift
from harness.monitoring.label_drift import detection_rates, label_drift
from harness.monitoring.records import Record
from harness.monitoring.reference import Reference
from harness.monitoring.rules import Alarm, State, doubt, doubted, look

Look = dict[str, Any]
UNKNOWN: Final = "find out why it cannot be evaluated"
"""What is done where a detector becomes NOT EVALUATED."""


class Judge:
    """All detectors, and what they remember: the last look of each, and sums over the last windows.

    What it remembers is in the entries it gave: `recall` takes them in again, in order.
    """

    def __init__(self, config: MonitorConfig, reference: Reference) -> None:
        self.config, self.reference = config, reference
        self.looks: dict[str, Look] = {}
        self.alarms: dict[str, Alarm] = {}
        self.unknown: set[str] = set()
        """Detectors of which was told that they became NOT EVALUATED."""
        self._sums: dict[int, Rolling] = {}
        self.actions = {faults.STREAM: "mend the stream"} | {rule.id: rule.action for rule in config.rules}
        self.charts = {
            part.id: Chart(part, reference.counts, reference.hours, config.share, config.per_period)
            for part in config.cusum
        }
        self.actions |= {part.id: part.action for part in config.cusum}
        self.drift: DataDrift | None = None
        if config.data_drift is not None:
            alpha = config.alpha(config.period_h)
            self.drift = DataDrift(reference.embeddings, config.data_drift, alpha, config.seed)
            self.actions["data-drift"] = config.data_drift.action
        if config.label_drift is not None:
            self.actions["label-drift"] = config.label_drift.action
        if config.detection is not None:
            self.actions["detection-rates"] = config.detection.action
        if config.concept_drift is not None:
            for finding in config.concept_drift.findings:
                self.actions[_concept(finding)] = config.concept_drift.action
        spans = [rule.over_h for rule in config.rules] + [self.every_h(rule) for rule in config.rules]
        spans += [config.period_h, MONTH_H]
        spans += [config.concept_drift.over_h] if config.concept_drift is not None else []
        for hours in spans:
            self._sums.setdefault(self._windows(hours), Rolling(self._windows(hours)))

    def every_h(self, rule: Rule) -> float:
        """How often a rule is looked at, in hours."""
        return rule.every_h or self.config.window_h

    def judge(
        self,
        window: int,
        records: Sequence[Record],
        period: Sequence[Record],
        faulty: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """The entry of a window, as plain values.

        Args:
            window: its number, since 1970.
            records: of the window.
            period: of its period so far; judged where the period ends with this window.
            faulty: faults of the stream in the window, by the keys of `faults.WORDS`.
        """
        counts = count(records, self.config.rules)
        counts.update(faulty or {})
        self._push(counts)
        looks = {faults.STREAM: faults.look(self._spans(counts)), **self._rules(window)}
        for name, chart in self.charts.items():
            looks[name] = chart.look(records, self.looks.get(name, {}), counts)
        if (window + 1) % self.config.per_period == 0:
            looks |= self._drift(period)
        alerts = [alert for name, found in looks.items() for alert in self._alerts(name, found)]
        self._heard(alerts)
        self.looks |= looks
        seconds = self.config.window_h * 3600
        return {
            "window": window,
            "start": iso(window * seconds),
            "end": iso((window + 1) * seconds),
            "counts": dict(sorted(counts.items())),
            "service": service(records, self.config.window_h),
            "looks": looks,
            "alerts": alerts,
        }

    def recall(self, entry: Mapping[str, Any]) -> None:
        """Takes in an entry that `judge` gave before."""
        self._push(entry["counts"])
        self._heard(entry["alerts"])
        for name, found in entry["looks"].items():
            if name not in self.actions:
                continue  # a detector that the configuration no longer has
            self.looks[name] = found
            if "streak" in found:
                self.alarms[name] = Alarm(found["active"], *found["streak"])

    def active(self) -> dict[str, Look]:
        """The alerts that are raised, by id."""
        return {name: found for name, found in self.looks.items() if found["active"]}

    def state(self) -> State:
        """ALERT if an alert is raised, else NOT EVALUATED if a detector could not look yet, else QUIET."""
        if self.active():
            return State.ALERT
        states = {found["state"] for found in self.looks.values()}
        whole = (
            bool(states) and self.looks.keys() == self.actions.keys() and State.NOT_EVALUATED not in states
        )
        return State.QUIET if whole else State.NOT_EVALUATED

    def _spans(self, counts: Counts) -> dict[str, Counts]:
        hours = self.config.period_h
        return {"the last window": counts, f"the last {hours:g} h": self._sum(hours)}

    def _alerts(self, name: str, found: Look) -> list[dict[str, Any]]:
        """What this look says that the one before it did not."""
        before, told = self.looks.get(name, {}), list[tuple[str, str]]()
        if found["active"] != bool(before.get("active")):
            told.append(("raised" if found["active"] else "cleared", self.actions[name]))
        # A detector that never could look has seen too little so far; the stream itself needs nothing.
        could = before.get("state", State.QUIET if name == faults.STREAM else State.NOT_EVALUATED)
        if found["state"] == State.NOT_EVALUATED:
            if could != State.NOT_EVALUATED:
                told.append(("not evaluated", UNKNOWN))
        elif name in self.unknown:
            told.append(("evaluated", ""))
        return [
            {"id": name, "event": event, "action": action, "reason": found["reason"]}
            for event, action in told
        ]

    def _heard(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        for alert in alerts:
            if alert["event"] == "not evaluated":
                self.unknown.add(alert["id"])
            elif alert["event"] == "evaluated":
                self.unknown.discard(alert["id"])

    def _rules(self, window: int) -> dict[str, Look]:
        looks: dict[str, Look] = {}
        for rule in self.config.rules:
            every = self.every_h(rule)
            if (window + 1) % self._windows(every):
                continue
            looks[rule.id] = look(
                rule, self._sum(rule.over_h), self._sum(every), self.looks.get(rule.id, {}),
                self.config.alpha(every), self.config.design_effect,
            )  # fmt: skip
        return looks

    def _drift(self, records: Sequence[Record]) -> dict[str, Look]:
        config, reference = self.config, self.reference.counts
        period, alpha = self._sum(config.period_h), config.alpha(config.period_h)
        found: dict[str, Look] = {}
        consecutive = 1
        if self.drift is not None and config.data_drift is not None:
            found["data-drift"] = doubted(self.drift.judge(records), doubt(0, 0, "", period))
            consecutive = config.data_drift.consecutive
        if config.label_drift is not None:
            found["label-drift"] = label_drift(config.label_drift, period, reference, alpha)
        if config.detection is not None:
            month = self._sum(MONTH_H)
            found["detection-rates"] = detection_rates(config.detection, period, month, alpha)
        if (part := config.concept_drift) is not None:
            week = self._sum(part.over_h)
            for finding in part.findings:
                found[_concept(finding)] = concept_drift(
                    part, finding, week, reference, alpha / len(part.findings), config.design_effect
                )
        for name, told in found.items():
            alarm = self.alarms.setdefault(name, Alarm())
            needed = consecutive if name == "data-drift" else 1
            alarm.look(State(told["state"]), needed)
            told["active"], told["streak"] = alarm.active, [alarm.streak, alarm.calm]
            if told["state"] == State.ALERT and not alarm.active:
                told["state"] = str(State.QUIET)
                told["reason"] += f"; so far in {alarm.streak} of the {needed} periods it takes"
        return found

    def _push(self, counts: Counts) -> None:
        for rolling in self._sums.values():
            rolling.push(counts)

    def _sum(self, hours: float) -> Counts:
        return self._sums[self._windows(hours)].sum

    def _windows(self, hours: float) -> int:
        return max(1, round(hours / self.config.window_h))


def _concept(finding: str) -> str:
    return f"concept-{finding.lower().replace(' ', '-')}"


def iso(seconds: float) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
