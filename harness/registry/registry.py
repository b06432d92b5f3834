"""The model registry: versions of candidates, the aliases staging and production, and who moved them."""

from __future__ import annotations

import getpass
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from harness.errors import RegistryConflict, RegistryError
from harness.registry.claims import SUFFIX, Claims
from harness.registry.moves import Moves
from harness.registry.store import code_of, find_store, open_client, speaking_to

STAGING: Final = "staging"
PRODUCTION: Final = "production"
CANDIDATE: Final = "harness.candidate"
"""The tag with the digest of the candidate."""
_NAME: Final = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a registered model."""

    name: str
    version: str
    candidate: str
    """The candidate's content digest; "" where the harness did not register it."""
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    run_id: str
    """MLflow's run that keeps its files."""

    @property
    def reference(self) -> str:
        """What `--candidate` takes."""
        return f"models:/{self.name}/{self.version}"


class Registry:
    """An MLflow model registry: a SQLite file with no server, or a tracking server.

    Args:
        uri: as MLflow writes it (`http://...`, `sqlite:///FILE`), or the folder of a local store;
            MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI where left out, else the folder `registry`.
        folder: where the log of moves lies, for a registry that is not a local store.
    """

    def __init__(self, uri: str | None = None, folder: Path | None = None) -> None:
        self.store = find_store(uri, folder)

    @cached_property
    def client(self) -> Any:
        """MLflow's client; makes a local store that is not there yet.

        Raises:
            RegistryError: mlflow is not installed, or the store cannot be made.
        """
        return open_client(self.store)

    def names(self) -> list[str]:
        """The registered models, sorted; none where there is no local store yet.

        Raises:
            RegistryError: the registry does not answer.
        """
        if not self.store.begun:
            return []
        client = self.client
        with speaking_to(self.store):
            found = _pages(lambda page: client.search_registered_models(page_token=page))
            return sorted(model.name for model in found if not model.name.endswith(SUFFIX))

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> version of a registered model, sorted.

        Raises:
            RegistryError: no such model (names those there are), or no answer.
        """
        if not _NAME.fullmatch(name) or name.endswith(SUFFIX):
            raise RegistryError(f"{name!r}: no name for a registered model; use letters, digits, - _ and .")
        if not self.store.begun:
            raise RegistryError(
                f"{self.store.database}: no registry here; make one with: harness promote, or name another "
                "with MLFLOW_TRACKING_URI"
            )
        client = self.client
        with speaking_to(self.store):
            try:
                model = client.get_registered_model(name)
            except Exception as error:
                if code_of(error) != "RESOURCE_DOES_NOT_EXIST":
                    raise
                there = ", ".join(self.names()) or "none"
                raise RegistryError(f"registry {self.store.shown}: no model {name}; there: {there}") from None
            return {alias: str(version) for alias, version in sorted(model.aliases.items())}

    def version_at(self, name: str, alias: str) -> RegisteredVersion | None:
        """The version at an alias; None where it is not set.

        Raises:
            RegistryError: no such model, or no answer.
        """
        number = self.aliases(name).get(alias)
        return None if number is None else self.version(name, number)

    def version(self, name: str, number: str) -> RegisteredVersion:
        """A version by its number.

        Raises:
            RegistryError: no such model or version (names those there are), or no answer.
        """
        aliases = self.aliases(name)
        client = self.client
        with speaking_to(self.store):
            try:
                found = client.get_model_version(name, number)
            except Exception as error:
                if code_of(error) not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                there = ", ".join(item.version for item in self.versions(name)) or "none"
                raise RegistryError(
                    f"registry {self.store.shown}: {name} has no version {number}; there: {there}"
                ) from None
            return _version(found, aliases)

    def versions(self, name: str, candidate: str | None = None) -> list[RegisteredVersion]:
        """The versions of a model, oldest first; of one candidate only, where its digest is given.

        Raises:
            RegistryError: no such model, or no answer.
        """
        aliases = self.aliases(name)
        client = self.client
        where = f"name='{name}'" + (f" and tags.`{CANDIDATE}`='{candidate}'" if candidate else "")
        with speaking_to(self.store):
            found = _pages(lambda page: client.search_model_versions(where, page_token=page))
            return sorted((_version(item, aliases) for item in found), key=lambda item: int(item.version))

    def resolve(self, reference: str) -> RegisteredVersion:
        """The version that `models:/NAME@ALIAS` or `models:/NAME/VERSION` means.

        Raises:
            RegistryError: it is neither; no such model, alias (names those that are set) or version; or
                no answer.
        """
        named = re.fullmatch(r"models:/([^/:@]+)@([^/:@]+)", reference)
        numbered = re.fullmatch(r"models:/([^/:@]+)/(\d+)", reference)
        if numbered:
            return self.version(numbered[1], numbered[2])
        if not named:
            raise RegistryError(f"{reference}: write models:/NAME@ALIAS or models:/NAME/VERSION")
        name, alias = named[1], named[2]
        if found := self.version_at(name, alias):
            return found
        there = [f"{name}@{item} (version {number})" for item, number in self.aliases(name).items()]
        raise RegistryError(
            f"registry {self.store.shown}: {name} has no alias {alias}; there: {', '.join(there) or 'none'}"
        )

    def previous(self, name: str, alias: str) -> str | None:
        """The version that an alias was at before its last move; None where it was not set, or never moved.

        Raises:
            RegistryError: no such model, or no answer.
        """
        at = self.aliases(name).get(alias)
        client = self.client
        with speaking_to(self.store):
            came = Claims(client, name, lambda: self.aliases(name)).arrivals(alias, at)
        return (came[-1].tags["from"] or None) if came else None

    def move_alias(
        self,
        name: str,
        alias: str,
        version: str | None,
        *,
        expected: str | None,
        why: str,
        facts: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Moves an alias, if it is where it is believed to be.

        Killed at any point, the alias is at the old version or at the new one, and the next move settles
        the log. Two at once: one moves it, the other is told.

        Args:
            name: the registered model.
            alias: such as `production`.
            version: where it goes; None takes it away.
            expected: where it is; None: not set.
            why: such as "promoted" or "rolled back".
            facts: digests and the like; become tags `harness.ALIAS.KEY` of the version, and part of the
                log's entry.

        Raises:
            RegistryConflict: the alias is elsewhere by now, or somebody is moving it.
            RegistryError: no such model or version, or no answer. LedgerError: the log was changed.
        """
        if version is None and expected is None:
            raise RegistryError(f"{name}@{alias}: is not to be set, and was not; there is nothing to move")
        if version is not None:
            self.version(name, version)
        client, by = self.client, _user()
        claims = Claims(client, name, lambda: self.aliases(name))
        with Moves.writing(self.store.folder) as moves, speaking_to(self.store):
            self._settle(moves)
            self._check(name, alias, expected)  # no ticket is drawn from where the alias is not
            drawn = time.monotonic()
            with claims.claim(alias, expected, version, by) as ticket:
                self._check(name, alias, expected)
                tags = {**facts, "why": why, "by": by, "at": datetime.now(UTC).isoformat(timespec="seconds")}
                if version is not None:
                    for key, text in tags.items():
                        client.set_model_version_tag(name, version, f"harness.{alias}.{key}", text)
                begun = moves.begin(
                    {
                        "registry": self.store.shown, "model": name, "alias": alias, "from": expected,
                        "to": version, "ticket": ticket.number, **tags,
                    }
                )  # fmt: skip
                claims.confirm(ticket, drawn)
                if version is None:
                    client.delete_registered_model_alias(name, alias)
                else:
                    client.set_registered_model_alias(name, alias, version)
                moved = self.aliases(name).get(alias) == version
                moves.settle(begun, moved=moved)
                if not moved:
                    raise RegistryConflict(f"{name}@{alias}: somebody moved it away at the same moment")

    def _check(self, name: str, alias: str, expected: str | None) -> None:
        at = self.aliases(name).get(alias)
        if at != expected:
            raise RegistryConflict(
                f"{name}@{alias} is at {_at(at)}, no longer at {_at(expected)}: somebody else moved it. "
                "Nothing was moved now; decide anew"
            )

    def _settle(self, moves: Moves) -> None:
        """Enters what came of a move that was cut off."""
        begun = moves.unsettled(self.store.shown)
        if begun is not None:
            name = begun["model"]
            claims = Claims(self.client, name, lambda: self.aliases(name))
            moved = name in self.names() and claims.moved(begun["ticket"])
            moves.settle(begun, moved=moved, settled_later=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _at(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"


def _version(found: Any, aliases: Mapping[str, str]) -> RegisteredVersion:
    number, tags = str(found.version), dict(found.tags)
    return RegisteredVersion(
        name=found.name,
        version=number,
        candidate=tags.get(CANDIDATE, ""),
        aliases=tuple(alias for alias, at in aliases.items() if at == number),
        tags=MappingProxyType(tags),
        run_id=found.run_id or "",
    )


def _pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    page = None
    while True:
        found = search(page)
        yield from found
        page = found.token
        if not page:
            return
