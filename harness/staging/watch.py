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
from harness.staging.followed import Followed
from harness.staging.outcomes import Outcomes, Trials

Decision = Literal["keep", "roll back", "hold"]
EXIT: Final[dict[str, int]] = {"keep": 0, "roll back": 1, "hold": 3}
LACKING: Final = 0.05
"""Where a larger share of records lacks a field, the others say nothing."""


class Watch:
    """A declared watch and the folder it writes; make one with `Watch.opened`.

    Its log (log.jsonl, a hash chain) holds begun, look, read, decision, and what came of a rollback. It
    says how far the stream was read at each look; a resume reads it again in the same steps.
    """

    def __init__(self, config: WatchConfig, stream: Path, root: Path) -> None:
        self.config, self.root = config, root
        self.log = Chain(root / "log.jsonl")
        self.faults = Faults()
        self.followed = Followed(stream, self.faults)
        self.last: dict[str, Any] | None = None
        """The last look."""
        self.decision: dict[str, Any] | None = None
        self.settled: dict[str, Any] | None = None
        """What came of a rollback."""
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
        self.outcomes = Outcomes(config, self.start, self.faults)
        for entry in entries[1:]:
            if "read" in entry:
                for place, value in self.followed.again(entry):
                    self.outcomes.add(value, place)
            if entry["event"] == "look":
                self.last = entry
            elif entry["event"] == "decision":
                self.decision = entry
            elif entry["event"] == "settled":
                self.settled = entry

    @classmethod
    @contextlib.contextmanager
    def opened(cls, config: Path, stream: Path, root: Path) -> Iterator[Watch]:
        """Reads the declaration and takes up the folder where it was left.

        Raises:
            SuiteError: the declaration cannot be used. HarnessError: it changed.
            LedgerError: the folder is damaged, the stream changed, or another process holds the folder.
        """
        declared = read_watch_config(config)
        with hold(root, "watch"):
            yield cls(declared, stream, root)

    def advance(self, now: float) -> None:
        """Reads what is new and takes the looks that are due.

        Looks are due by the stream's time, and by this machine's clock: a stream that fell silent does
        not hold up the watch.

        Args:
            now: this machine's clock, seconds since 1970.

        Raises:
            HarnessError: the stream is missing, or was cut.
            LedgerError: the folder cannot be written.
        """
        self._look_until(-math.inf)
        if self.decision is None:
            for place, value in self.followed.lines():
                self.outcomes.add(value, place)
                self._look_until(self.outcomes.clock.now or -math.inf)
                if self.decision is not None:
                    return
            self._look_until(now)
        if self.decision is None and self.followed.moved:
            self.log.append("read", **self.followed.mark())

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
            silent = at - self.outcomes.last
            rules = [
                {"measure": rule.measure, **self._judge(rule, trials, at)}
                for rule, trials in zip(config.rules, self.outcomes.trials, strict=True)
            ]
            self.last = self.log.append(
                "look", number=number, at=datetime.fromtimestamp(at, UTC).isoformat(), rules=rules,
                silent_min=max(0.0, round(silent / 60, 2)), silence=silent > 60 * config.silence_min,
                studies=len(self.outcomes.studies), nameless=self.outcomes.nameless, **self.followed.mark(),
            )  # fmt: skip

    def _judge(self, rule: WatchRule, trials: Trials, at: float) -> dict[str, Any]:
        """One rule at one look: beyond its limit where the exact lower bound is."""
        since = -math.inf if rule.over_min is None else at - 60 * rule.over_min
        bad, n = trials.since(since)
        total = len(trials.bad)
        bound = proportion_interval(bad, n, 1 - self.config.level, "clopper-pearson", "lower").low
        state, due = "within", total + trials.lacking
        if bound > rule.limit:  # NaN is not
            state = "beyond"
        elif total < rule.needs or trials.lacking > LACKING * due:
            state = "NOT EVALUATED"
        return {
            "state": state, "bad": bad, "n": n, "lacking": trials.lacking,
            "value": bad / n if n else None, "bound": bound if n else None,
        }  # fmt: skip

    def _decide(self, look: dict[str, Any]) -> None:
        """Rolls back at once where something is wrong; at the end keeps, or does what was declared."""
        config = self.config
        wrong = [
            f"{rule.measure} is shown to be above {_limit(rule)}: {found['bad']:,} of {found['n']:,}, lower "
            f"{1 - config.level:.4%} bound {found['bound']:.2%}"
            for rule, found in zip(config.rules, look["rules"], strict=True)
            if found["state"] == "beyond"
        ]
        if look["silence"]:
            wrong.insert(0, f"no record of version {config.green} for {look['silent_min']:g} minutes")
        decision: Decision = "roll back"
        if not wrong and look["number"] < config.looks:
            return
        if not wrong:
            open_ = [
                (rule, found)
                for rule, found in zip(config.rules, look["rules"], strict=True)
                if found["state"] == "NOT EVALUATED"
            ]
            wrong = [
                f"{rule.measure} is NOT EVALUATED ({found['n']:,} studies, {found['lacking']:,} lack its "
                f"field; it needs {rule.needs:,}): {rule.otherwise}"
                for rule, found in open_
            ]
            if look["nameless"] > LACKING * (look["studies"] + look["nameless"]):
                wrong.append(f"{look['nameless']:,} records name no version: hold")
            if not wrong:
                decision = "keep"
            elif all(rule.otherwise == "hold" for rule, _ in open_):
                decision = "hold"
        self.decision = self.log.append(
            "decision", decision=decision, at=look["at"], why=wrong, look=look["digest"],
            faults=dict(sorted(self.faults.counts.items())),
        )  # fmt: skip


def _limit(rule: WatchRule) -> str:
    if rule.measure == "latency":
        return f"{1 - rule.quantile:.3g} beyond {rule.above:g} s"
    return f"{rule.above:.3g}"
