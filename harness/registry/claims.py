"""Who may move an alias: MLflow has no compare-and-swap, so movers draw tickets."""

from __future__ import annotations

import contextlib
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from harness.errors import RegistryConflict, RegistryError
from harness.registry.store import code_of

SUFFIX: Final = ".moves"
LEASE_S: Final = 120.0
"""An open ticket older than this, by the registry's own clock, no longer counts."""
HOLD_S: Final = 60.0
"""A holder that took longer than this no longer moves the alias: well before others pass it over."""
OPEN, DONE = "open", "done"
_HELD: Final[set[str]] = set()
"""Tokens of the tickets that this process is moving an alias by, right now."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A mover's place in the line: a version of the registered model `NAME.moves`.

    Numbers are given out by the database, each once and in order (a primary key), on SQLite as on a
    server. The lowest open ticket may move the alias; it holds what is to be moved, so that one whose
    process died is settled by whoever comes next. This is Lamport's bakery (CACM 17(8), 1974) with
    numbers that are atomic.
    """

    number: int
    drawn_ms: int
    """By the registry's clock."""
    tags: dict[str, str]

    @property
    def told(self) -> str:
        """Who and when, for whom it keeps waiting."""
        at = datetime.fromtimestamp(self.drawn_ms / 1000, UTC)
        return f"{self.tags.get('by', 'somebody')} at {at:%H:%M:%S} UTC"


class Claims:
    """The tickets of one registered model.

    Args:
        client: an `mlflow.MlflowClient`.
        name: the model whose aliases are moved.
        aliases: alias -> version, read now.
    """

    def __init__(self, client: Any, name: str, aliases: Callable[[], dict[str, str]]) -> None:
        self.client = client
        self.name = name
        self.aliases = aliases

    @contextlib.contextmanager
    def claim(self, alias: str, old: str | None, new: str | None, by: str) -> Iterator[Ticket]:
        """Holds the right to move an alias.

        Args:
            alias: which.
            old: the version it is at; None: not set.
            new: the version it will be at; None: not set.
            by: who, for others to see.

        Raises:
            RegistryConflict: somebody else is moving an alias of this model now.
        """
        token = uuid.uuid4().hex
        _HELD.add(token)
        try:
            yield from self._claim(token, alias, old, new, by)
        finally:
            _HELD.discard(token)

    def _claim(self, token: str, alias: str, old: str | None, new: str | None, by: str) -> Iterator[Ticket]:
        self._make_line()
        mine = _ticket(
            self.client.create_model_version(
                self.name + SUFFIX,
                f"models:/{self.name}/{new or old}",
                tags={
                    "state": OPEN, "alias": alias, "from": old or "", "to": new or "", "by": by,
                    "owner": this_process(), "token": token,
                },
                await_creation_for=0,
            )
        )  # fmt: skip
        outcome = "refused"
        try:
            for other in self._tickets(open_only=True):
                if other.number < mine.number:
                    self._pass_over(other, mine)
            outcome = ""
            yield mine
            outcome = DONE
        except RegistryConflict:
            outcome = "refused"
            raise
        finally:
            # Where the registry is gone too, the ticket stays open, and is settled by the next mover.
            with contextlib.suppress(Exception):
                self._close(mine, outcome or self._state_of(mine))

    def confirm(self, ticket: Ticket, drawn: float) -> None:
        """Whether a ticket still holds; to be called right before the alias is moved.

        Args:
            ticket: as `claim` gave it.
            drawn: `time.monotonic()` before it was drawn.

        Raises:
            RegistryConflict: somebody passed it over, or is about to.
        """
        passed_over = all(other.number != ticket.number for other in self._tickets(open_only=True))
        if passed_over or time.monotonic() - drawn > HOLD_S:
            raise RegistryConflict(
                f"{self.name}@{ticket.tags['alias']}: this move took too long and was given up; give the "
                "same command again"
            )

    def moved(self, number: int) -> bool:
        """Whether the move of a ticket took place, after its process is gone."""
        ticket = next((ticket for ticket in self._tickets() if ticket.number == number), None)
        if ticket is None:
            return False
        state = ticket.tags["state"] if ticket.tags["state"] != OPEN else self._state_of(ticket)
        self._close(ticket, state)
        return state == DONE

    def arrivals(self, alias: str, at: str | None) -> list[Ticket]:
        """The tickets that moved an alias, from elsewhere, to where it is; oldest first.

        An open one counts too: the alias is there, so that only its end was not told.
        """
        return [
            ticket
            for ticket in self._tickets()
            if ticket.tags["alias"] == alias
            and ticket.tags["to"] == (at or "") != ticket.tags["from"]
            and ticket.tags["state"] in (DONE, OPEN)
        ]

    def _make_line(self) -> None:
        try:
            self.client.create_registered_model(
                self.name + SUFFIX, description=f"Moves of the aliases of {self.name}; no models."
            )
        except Exception as error:
            if code_of(error) != "RESOURCE_ALREADY_EXISTS":
                raise

    def _tickets(self, *, open_only: bool = False) -> list[Ticket]:
        where = f"name='{self.name}{SUFFIX}'" + (f" and tags.state='{OPEN}'" if open_only else "")
        found: list[Ticket] = []
        page = None
        while True:
            versions = self.client.search_model_versions(where, page_token=page)
            found += [_ticket(version) for version in versions]
            page = versions.token
            if not page:
                return sorted(found, key=lambda ticket: ticket.number)

    def _pass_over(self, other: Ticket, mine: Ticket) -> None:
        """Closes a lower ticket that nobody holds any more.

        Raises:
            RegistryConflict: somebody does.
        """
        twin = other.tags.get("token") == mine.tags["token"]  # drawn twice: an answer was lost on its way
        late = mine.drawn_ms - other.drawn_ms > LEASE_S * 1000
        owner = other.tags.get("owner", "")
        dropped = owner == this_process() and other.tags.get("token") not in _HELD
        if not (twin or late or dropped or is_dead(owner)):
            raise RegistryConflict(
                f"{self.name}@{other.tags.get('alias')} is being moved right now, by {other.told}; "
                "look at what comes of it, and give the command again if it is still wanted"
            )
        self._close(other, "failed" if twin else self._state_of(other))

    def _state_of(self, ticket: Ticket) -> str:
        """What came of a ticket whose holder did not say so."""
        at = self.aliases().get(ticket.tags.get("alias", ""), "")
        return DONE if at == ticket.tags.get("to") else "failed"

    def _close(self, ticket: Ticket, state: str) -> None:
        self.client.set_model_version_tag(self.name + SUFFIX, str(ticket.number), "state", state)


def _ticket(version: Any) -> Ticket:
    try:
        return Ticket(int(version.version), int(version.creation_timestamp), dict(version.tags))
    except (TypeError, ValueError):
        raise RegistryError(f"{version.name}: holds a version that is no ticket") from None


def this_process() -> str:
    """Machine, boot and process, so that others on this machine can tell whether it still lives."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def is_dead(owner: str) -> bool:
    """Whether a process is certainly gone; False where that cannot be told from here."""
    machine, _, process = owner.partition(" ")
    pid, _, started = process.partition(" ")
    if machine != _machine() or not pid.isdigit() or not started:
        return False
    return _started(int(pid)) != started


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")  # a container has process numbers of its own
    except OSError:
        return platform.node()
    return f"{platform.node()}/{boot}/{space}"


def _started(pid: int) -> str:
    """Start of a process in clock ticks since boot (proc(5), stat, field 22); "" where it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if words[0] == "Z" else words[19]
    except (OSError, IndexError):
        return ""
