"""A new model in the shadow of production: looks for harm on a declared schedule, a verdict at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.chain import Chain
from harness.comparison.looks import take_look
from harness.errors import HarnessError
from harness.monitoring.journal import hold
from harness.monitoring.records import Faults
from harness.staging.config import ShadowConfig, read_shadow_config
from harness.staging.followed import UNPLACED, Followed
from harness.staging.harm import decide, harm, tabulate
from harness.staging.pairs import Pairs
from harness.status import Status


class Shadow:
    """A declared deployment and the folder it writes; make one with `Shadow.opened`.

    ```
    log.jsonl      the hash chain: begun, read, look, verdict
    review.csv     disagreements on critical findings, for radiologists: stays here
    shadow.json    the verdict, with its numbers
    shadow.html    the page
    ```

    The log says how far the stream was read at each look. A resume reads it again in the same steps, so
    everything but the log follows from the stream.
    """

    def __init__(self, config: ShadowConfig, stream: Path, root: Path, looks: Path) -> None:
        self.config, self.root, self.looks_log = config, root, looks
        self.log = Chain(root / "log.jsonl")
        self.faults = Faults()
        self.followed = Followed(stream, self.faults)
        self.looks: list[dict[str, Any]] = []
        self.verdict: dict[str, Any] | None = None
        entries = list(self.log.entries())
        if not entries:
            started = config.start or datetime.now(UTC)
            entries = [
                self.log.append(
                    "begun", kind="shadow", config=config.digest(), terms=config.terms(),
                    start=started.isoformat(),
                    production=config.production.model_dump(), shadow=config.shadow.model_dump(),
                )
            ]  # fmt: skip
        if entries[0].get("kind") != "shadow" or entries[0]["config"] != config.digest():
            raise HarnessError(
                f"{root}: was begun with another declaration, which cannot change once data are seen; "
                "name a new folder with --out"
            )
        self.start = datetime.fromisoformat(entries[0]["start"])
        self.pairs = Pairs(config, self.start.timestamp(), self.faults)
        for entry in entries[1:]:
            if "read" in entry:
                for place, value in self.followed.again(entry):
                    self.pairs.add(value, place)
            if entry["event"] == "look":
                self.looks.append(entry)
            elif entry["event"] == "verdict":
                self.verdict = entry

    @classmethod
    @contextlib.contextmanager
    def opened(cls, config: Path, stream: Path, root: Path, looks: Path) -> Iterator[Shadow]:
        """Reads the declaration and takes up the folder where it was left.

        Args:
            config: the declaration.
            stream: file or folder of records.
            root: where to write.
            looks: hash-chained log of looks at these two models, whatever the folder.

        Raises:
            SuiteError: the declaration cannot be used. HarnessError: it, or the stream, changed.
            LedgerError: the folder is damaged, or another process holds it.
        """
        declared = read_shadow_config(config)
        with hold(root, "shadow"):
            yield cls(declared, stream, root, looks)

    def advance(self) -> None:
        """Reads what is new, takes the looks that are due, and decides where the window is over.

        Raises:
            HarnessError: the stream is missing, or was cut.
            LedgerError: the folder cannot be written.
        """
        self._settle()
        if self.verdict is not None:
            return
        for place, value in self.followed.lines():
            self.pairs.add(value, place)
            self._settle()
            if self.verdict is not None:
                return
        if self.followed.moved:
            self.log.append("read", **self.followed.mark())

    def _settle(self) -> None:
        """Takes the look that is due now, if any, and decides if there is nothing to wait for."""
        if self.verdict is not None:
            return
        planned, last = self.config.planned_positives, self.looks[-1]["share"] if self.looks else 0.0
        due = [at for at in self.config.looks if last < at and self.pairs.positives >= at * planned]
        over = self.pairs.over
        stopped = bool(self.looks) and self.looks[-1]["stops"]
        if not stopped and last < 1 and (due or over):
            stopped = self._look(1.0 if over else due[-1])
        if stopped or over:
            self._conclude()

    def _look(self, share: float) -> list[str]:
        """Looks for harm: at these data, once, whoever asks; returns what stops the deployment."""
        config, wanted = self.config, self.config.harmful
        mark = self.followed.mark()
        look = take_look(
            self.looks_log,
            question=["shadow", config.production.model_dump(), config.shadow.model_dump()],
            data=[config.digest(), share, mark["content"]],
            studies=self.pairs.positives,
            planned=config.planned_positives,
            alpha=2 * config.harm.alpha / len(wanted),
            spending=config.harm.spending,
        ) if self.pairs.positives else None  # fmt: skip
        level = look.level / 2 if look else 0.0
        found = [harm(tabulate(part, self.pairs)) for part in config.measures if part.id in wanted]
        stops = [item.id for item in found if item.p_value < level]
        taken = sum(1 for entry in self.looks if entry["number"] is not None)
        self.looks.append(
            self.log.append(
                "look", share=share, number=look.number if look else None, level=level,
                elsewhere=bool(look and look.number != taken + 1), positives=self.pairs.positives,
                studies=len(self.pairs.pairs), harm=[asdict(item) for item in found], stops=stops, **mark,
            )
        )  # fmt: skip
        return stops

    def _conclude(self) -> None:
        """Decides every measure, and the whole."""
        tables = [tabulate(part, self.pairs) for part in self.config.measures]
        decided = [decide(table) for table in tables]
        stops = self.looks[-1]["stops"]
        reasons = [] if stops else self._doubts()
        status = Status.whole(
            [*(found.status for _, found in decided), *(Status.NOT_EVALUATED for _ in reasons)]
        )
        early = bool(stops) and not self.pairs.over
        if stops:
            status = Status.FAIL
        self.verdict = self.log.append(
            "verdict", status=status.value, stopped_early=early,
            reason=self._sentence(status, early, decided),
            reasons=reasons, studies=len(self.pairs.pairs), studies_read=self._read(),
            patients=len({pair.patient for pair in self.pairs.pairs.values()}),
            positives=self.pairs.positives, unusable=len(self.pairs.unusable),
            unplaced=self.pairs.unplaced,
            measures=[{**difference.as_json(), "id": part.id, "label": part.label,
                       "margin": part.margin, "bound": found.bound,
                       "bound_confidence": part.confidence, "status": found.status.value,
                       "reason": found.reason, "trials": int(table.pairs.sum())}
                      for part, table, (difference, found)
                      in zip(self.config.measures, tables, decided, strict=True)],
            disagreements=sum(bool(pair.disagreement) for pair in self.pairs.pairs.values()),
            faults=dict(sorted(self.faults.counts.items())),
        )  # fmt: skip

    def _read(self) -> int:
        return sum(study in self.pairs.readings for study in self.pairs.pairs)

    def _doubts(self) -> list[str]:
        """What keeps the whole from PASS besides its measures."""
        pairs, found = len(self.pairs.pairs), list[str]()
        if not pairs:
            return ["No study of the window was reported by both models."]
        read = self._read()
        if read < self.config.read_at_least * pairs:
            found.append(
                f"{read:,} of {pairs:,} studies were read, fewer than {self.config.read_at_least:.0%}: those "
                "that were may not be like the others."
            )
        lost, unplaced = len(self.pairs.unusable), self.pairs.unplaced
        if lost + unplaced > UNPLACED * (pairs + lost + unplaced):
            found.append(
                f"{lost:,} studies, to {pairs:,} others, have no record that can be used, and {unplaced:,} "
                "records belong to no study or time: what the new model said of those is not known."
            )
        silent = sum(pair.production.findings is None for pair in self.pairs.pairs.values())
        least = min(part.margin for part in self.config.measures)
        if silent > least * pairs:
            found.append(
                f"Production gave no report for {silent:,} of {pairs:,} studies, a larger share than the "
                f"smallest margin ({least:g}): no yardstick."
            )
        if any(look["elsewhere"] for look in self.looks):
            found.append(
                f"{self.looks_log} counts looks at these two versions that are not of this folder: the error "
                "rate is not what was declared. Of another deployment? Then name its own log with --looks."
            )
        return found

    def _sentence(self, status: Status, early: bool, decided: list[Any]) -> str:
        new, old = f"version {self.config.shadow.version}", f"version {self.config.production.version}"
        where = f"on {len(self.pairs.pairs):,} studies"
        if status is Status.PASS:
            return f"On every declared measure {new} is not worse than {old} by its margin, {where}."
        if self.looks[-1]["stops"]:
            stops = self.looks[-1]["stops"]
            of = "; ".join(part.label for part in self.config.measures if part.id in stops)
            when = "was stopped early: it" if early else "failed: it"
            return f"{new.capitalize()} {when} is shown to be worse than {old} ({of}), {where}."
        failed = [
            part.label
            for part, (_, found) in zip(self.config.measures, decided, strict=True)
            if found.status is Status.FAIL
        ]
        if status is Status.FAIL:
            return (
                f"{new.capitalize()} is not shown to keep within every margin ({'; '.join(failed)}), {where}."
            )
        return f"Whether {new} is as good as {old} could not be evaluated, {where}."
