"""Moving the alias back, once, whatever dies between the decision and the move."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from harness.errors import HarnessError, RegistryConflict
from harness.registry import Registry
from harness.staging.watch import Watch

TAG: Final = "watch"
"""Under `harness.ALIAS.` of the version that the alias went back to: the decision's digest."""
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias of a registered model."""

    registry: Registry
    model: str
    name: str

    @property
    def shown(self) -> str:
        """`model@alias`."""
        return f"{self.model}@{self.name}"

    def check(self, watch: Watch) -> None:
        """Whether the alias is where a watch takes it to be, before anything is decided.

        Raises:
            RegistryError: no such model, alias (names those that are set) or version, or no answer.
            HarnessError: it is at another version.
        """
        at = self.registry.resolve(f"models:/{self.model}@{self.name}").version
        self.registry.version(self.model, watch.config.blue)
        if at != watch.config.green:
            raise HarnessError(
                f"{self.shown} is at version {at}, and the watch is of version {watch.config.green}: there "
                "is nothing to watch; declare the version that is there as green"
            )


def roll_back(watch: Watch, alias: Alias, wait: float = 1.0) -> str:
    """Does what was decided, if it was not done; says what came of it, and enters it in the log.

    The alias moves only from green to blue, and only where nobody moved it after the decision.

    Args:
        watch: one whose decision is to roll back.
        alias: what to move.
        wait: seconds between tries, while somebody else is moving it.

    Raises:
        RegistryError: no answer, or the versions are not there. Nothing was moved: try again.
    """
    decision = watch.decision
    assert decision is not None  # noqa: S101 - the caller's business
    if watch.settled is not None:
        return str(watch.settled["told"])
    green, blue = watch.config.green, watch.config.blue
    for last in range(_TRIES):
        moved, told = False, ""
        at = alias.registry.version_at(alias.model, alias.name)
        if at is None or at.version not in (green, blue):
            where = "set no more" if at is None else f"at version {at.version}"
            told = f"{alias.shown} is {where}: somebody else moved it after the switch; it was left there"
        elif at.version == blue:
            ours = at.tags.get(f"harness.{alias.name}.{TAG}") == decision["digest"]
            moved, whose = ours, "by this watch, before it was interrupted" if ours else "by somebody else"
            told = f"{alias.shown} is back at version {blue}, moved {whose}"
        elif _later(at.tags.get(f"harness.{alias.name}.at"), decision["time"]):
            told = f"{alias.shown} was put at version {green} again after the decision; it was left there"
        else:
            try:
                alias.registry.move_alias(
                    alias.model, alias.name, blue, expected=green, why="rolled back",
                    facts={TAG: decision["digest"]},
                )  # fmt: skip
                moved, told = True, f"{alias.shown} moved from version {green} back to version {blue}"
            except RegistryConflict:
                if last == _TRIES - 1:
                    raise
                time.sleep(wait)
                continue
        watch.settled = watch.log.append("settled", moved=moved, told=told, alias=alias.shown)
        return told
    raise AssertionError("unreachable")


def _later(moved: str | None, decided: str) -> bool:
    """Whether a move, whose time is in whole seconds, came after the decision."""
    if not moved:
        return False
    return datetime.fromisoformat(moved) > datetime.fromisoformat(decided)
