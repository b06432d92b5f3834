"""The first hours after a switch: keep the new version, or roll back, by declared rules."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from harness.chain import Chain
from harness.errors import HarnessError
from harness.inference import proportion_interval
from harness.monitoring.journal import hold
from harness.monitoring.records import Faults
from harness.staging.config import WatchConfig, WatchRule, read_watch_config
from harness.staging.followed import UNPLACED, Followed
from harness.staging.outcomes import Outcomes

Decision = Literal["keep", "roll back", "hold"]
EXIT: Final[dict[str, int]] = {"keep": 0, "roll back": 1, "hold": 3}
LACKING: Final = 0.05
"""Where a larger share of studies lacks a field, the others say nothing."""
_MOST: Final = 1_000_000
_EXACT: Final = "clopper-pearson"


class Watch:
    """A declared watch and the folder it writes; make one with `Watch.opened`.

    Its log (log.jsonl, a hash chain) holds begun, look, read, lost and found (of the stream), decision,
    and what came of a rollback. It says how far the stream was read at each look; a resume reads it again
    in the same steps.

    Args:
        config: the declaration.
        stream: file or folder of records.
        root: where the log is.
        patient: whether a stream that is missing, or was cut, is waited for. It is silence: after
            `silence_min` of it the decision is to roll back.
    """

    def __init__(self, config: WatchConfig, stream: Path, root: Path, patient: bool = False) -> None:
        self.config, self.root, self.stream, self.patient = config, root, stream, patient
        self.log = Chain(root / "log.jsonl")
        self.last: dict[str, Any] | None = None
        """The last look."""
        self.decision: dict[str, Any] | None = None
        self.settled: dict[str, Any] | None = None
        """What came of a rollback."""
        self.lost: dict[str, Any] | None = None
        """The log's entry that says since when there is no stream to read."""
        entries = list(self.log.entries())
        if not entries:
            started = config.start or datetime.now(UTC)
            begun = self.log.append(
                "begun", kind="watch", config=config.digest(), start=started.isoformat(),
                green=config.green, blue=config.blue,
            )  # fmt: skip
            entries = [begun]
        if entries[0].get("kind") != "watch" or entries[0]["config"] != config.digest():
            raise HarnessError(
                f"{root}: was begun with another declaration, which cannot change once data are seen; "
                "name a new folder with --out"
            )
        self.start = datetime.fromisoformat(entries[0]["start"]).timestamp()
        self.faults = Faults()
        self.followed = Followed(stream, self.faults)
        self.outcomes = Outcomes(config, self.start, self.faults)
        for entry in entries[1:]:
            if entry["event"] == "look":
                self.last = entry
            elif entry["event"] == "decision":
                self.decision = entry
            elif entry["event"] == "settled":
                self.settled = entry
            elif entry["event"] in ("lost", "found"):
                self.lost = entry if entry["event"] == "lost" else None
        self._unread: HarnessError | None = None
        """Why the stream cannot be taken up where the log left it."""
        try:
            self._take_up(entries)
        except HarnessError as error:
            if not patient:
                raise
            self._unread = error

    def _take_up(self, entries: list[dict[str, Any]]) -> None:
        """Reads the stream again as far as the log says, in the same steps.

        Raises:
            HarnessError: it is missing, was cut, or is no longer what it was.
        """
        faults = Faults()
        followed, outcomes = Followed(self.stream, faults), Outcomes(self.config, self.start, faults)
        for entry in entries:
            if "read" in entry:
                for place, value in followed.again(entry):
                    outcomes.add(value, place)
        self.faults, self.followed, self.outcomes, self._unread = faults, followed, outcomes, None

    @classmethod
    @contextlib.contextmanager
    def opened(cls, config: Path, stream: Path, root: Path, patient: bool = False) -> Iterator[Watch]:
        """Reads the declaration and takes up the folder where it was left.

        Raises:
            SuiteError: the declaration cannot be used. HarnessError: it changed; or, unless `patient`, the
                stream is missing, was cut or changed.
            LedgerError: the folder is damaged, or another process holds it.
        """
        declared = read_watch_config(config)
        with hold(root, "watch"):
            yield cls(declared, stream, root, patient)

    def advance(self, now: float) -> None:
        """Reads what is new and takes the looks that are due.

        Looks are due by the stream's time, and by this machine's clock: a stream that fell silent does
        not hold up the watch. While there is no stream to read, nothing is looked at, and this machine's
        clock alone decides.

        Args:
            now: this machine's clock, seconds since 1970.

        Raises:
            HarnessError: unless `patient`, the stream is missing, or was cut.
            LedgerError: the folder cannot be written.
        """
        self._look_until(-math.inf)
        if self.decision is None and self._read(now):
            self._look_until(now)
            if self.decision is None and self.followed.moved:
                self.log.append("read", **self.followed.mark())

    def _read(self, now: float) -> bool:
        """Reads what is new, with the looks that are due by the stream's time; False if that cannot be."""
        if self._unread is not None:
            entries = list(self.log.entries())
            try:
                self._take_up(entries)
            except HarnessError as error:
                self._without(error, now)
                return False
        lines = self.followed.lines()
        while self.decision is None:
            try:
                place, value = next(lines)
            except StopIteration:
                break
            except HarnessError as error:
                if self.followed.moved:
                    self.log.append("read", **self.followed.mark())
                self._without(error, now)
                return False
            self.outcomes.add(value, place)
            self._look_until(self.outcomes.clock.now or -math.inf)
        if self.lost is not None:
            self.log.append("found", at=_iso(now))
            self.lost = None
        return True

    def _without(self, error: HarnessError, now: float) -> None:
        """Enters that there is no stream to read; rolls back where that has lasted too long."""
        if not self.patient:
            raise error
        self._unread = error
        if self.lost is None:
            self.lost = self.log.append("lost", at=_iso(now), why=str(error))
        since = max(self.start, datetime.fromisoformat(self.lost["at"]).timestamp())
        if now - since > 60 * self.config.silence_min:
            why = f"no stream for {round((now - since) / 60, 2):g} minutes: {self.lost['why']}"
            self._decided("roll back", _iso(now), [why])

    def _look_until(self, time: float) -> None:
        """Takes the looks that are due by a time; a decision that a look asks for is made."""
        config = self.config
        while self.decision is None:
            if self.last is not None:
                self._decide(self.last)
                if self.decision is not None:
                    return
            number = self.last["number"] + 1 if self.last else 1
            at = self.start + 60 * min(number * config.every_min, 60 * config.hours)
            if time < at + 60 * config.lateness_min:
                return
            silent = at - self.outcomes.heard(at)
            self.last = self.log.append(
                "look", number=number, at=_iso(at), level=config.level(number),
                rules=[
                    {"measure": rule.measure, **self._judge(place, at, number)}
                    for place, rule in enumerate(config.rules)
                ],
                silent_min=round(silent / 60, 2), silence=silent > 60 * config.silence_min,
                studies=len(self.outcomes.studies), unplaced=self.outcomes.unplaced, **self.followed.mark(),
            )  # fmt: skip

    def _judge(self, place: int, at: float, number: int) -> dict[str, Any]:
        """One rule at one look, by exact bounds; whatever is not known is bad in the upper one."""
        config, rule = self.config, self.config.rules[place]
        found = self.outcomes.count(place, -math.inf if rule.over_min is None else at - 60 * rule.over_min)
        misses = rule.measure == "critical_misses"
        # A record that belongs nowhere may be a bad report; what was missed is told by readings.
        unknown = found.lacking + (0 if misses else self.outcomes.unplaced)
        low = proportion_interval(found.bad, found.n, 1 - config.level(number), _EXACT, "lower").low
        high = _upper(found.bad + unknown, found.n + unknown, config.keep_confidence)
        limit, due = rule.limit, found.n + found.lacking
        state, reason = "within", ""
        if low > limit:  # NaN is not
            state = "beyond"
            reason = (
                f"{rule.measure} is shown to be above {_limit(rule)}: {found.bad:,} of {found.n:,}, lower "
                f"{1 - config.level(number):.4%} bound {low:.2%}"
            )
        elif due < rule.needs or found.lacking > LACKING * due:
            state = "NOT EVALUATED"
            reason = (
                f"{rule.measure} is NOT EVALUATED ({found.bad:,} of {found.n:,} bad, {found.lacking:,} lack "
                f"its field; it needs {rule.needs:,})"
            )
        elif misses and (told := self.outcomes.diluted):
            state = "NOT EVALUATED"
            reason = (
                f"{rule.measure} is NOT EVALUATED: none of {told:,} readings says that nothing critical is "
                "there (critical_missed: null), so that false may stand for it, and hide what was missed"
            )
        elif (
            not high < limit and rule.keeps == "likely" and found.bad + unknown <= limit * (found.n + unknown)
        ):
            state = "likely"
            reason = (
                f"{rule.measure}: {found.bad:,} of {found.n:,}, too few to show it below {_limit(rule)}, and "
                "not above it"
            )
        elif not high < limit:
            state = "not shown"
            reason = (
                f"{rule.measure} is not shown to be below {_limit(rule)}: {found.bad:,} of {found.n:,}"
                + (f", {unknown:,} not known and counted as bad" if unknown else "")
                + f", upper {100 * config.keep_confidence:.4g}% bound {high:.2%}; "
                + _decides((found.bad + unknown) / (found.n + unknown), limit, config.keep_confidence)
            )
        return {
            "state": state, "bad": found.bad, "n": found.n, "unknown": unknown, "reason": reason,
            "value": found.bad / found.n if found.n else None,
            "bound": low if found.n else None, "upper": high if found.n + unknown else None,
        }  # fmt: skip

    def _decide(self, look: dict[str, Any]) -> None:
        """Rolls back at once where something is wrong; at the end keeps what is shown to be within limits."""
        config = self.config
        wrong = [found["reason"] for found in look["rules"] if found["state"] == "beyond"]
        if look["silence"]:
            wrong.insert(0, f"no record of version {config.green} for {look['silent_min']:g} minutes")
        if wrong:
            self._decided("roll back", look["at"], wrong)
            return
        if look["number"] < config.looks:
            return
        decision: Decision = "keep"
        for rule, found in zip(config.rules, look["rules"], strict=True):
            if found["state"] == "within":
                continue
            if found["state"] == "likely":
                wrong.append(f"{found['reason']}: no reason to hold")
                continue
            does = rule.otherwise if found["state"] == "NOT EVALUATED" else "hold"
            wrong.append(f"{found['reason']}: {does}")
            decision = "roll back" if "roll back" in (does, decision) else "hold"
        if look["unplaced"] > UNPLACED * (look["studies"] + look["unplaced"]):
            wrong.append(
                f"{look['unplaced']:,} records, to {look['studies']:,} studies, belong to no study, time or "
                "version: hold"
            )
            decision = "hold" if decision == "keep" else decision
        self._decided(decision, look["at"], wrong)

    def _decided(self, decision: Decision, at: str, why: list[str]) -> None:
        self.decision = self.log.append(
            "decision", decision=decision, at=at, why=why,
            look=self.last["digest"] if self.last else "", faults=dict(sorted(self.faults.counts.items())),
        )  # fmt: skip


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _upper(bad: float, n: float, confidence: float) -> float:
    return proportion_interval(bad, n, confidence, _EXACT, "upper").high


def _decides(rate: float, limit: float, confidence: float) -> str:
    """How many studies would show a rate to be below its limit, in words."""
    if rate >= limit:
        return "as counted, it lies above"
    least, enough = 0, 1
    while not _upper(rate * enough, enough, confidence) < limit:
        least, enough = enough, 2 * enough
        if enough > _MOST:
            return "as counted, it all but lies at it"
    while enough - least > 1:
        middle = (least + enough) // 2
        if _upper(rate * middle, middle, confidence) < limit:
            enough = middle
        else:
            least = middle
    return f"at this rate {enough:,} studies would show it"


def _limit(rule: WatchRule) -> str:
    if rule.measure == "latency":
        return f"{1 - rule.quantile:.3g} beyond {rule.above:g} s"
    return f"{rule.above:.3g}"
