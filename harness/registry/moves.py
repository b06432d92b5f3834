"""The log of moves: which alias went where, when and on what evidence, as a hash chain on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from harness.chain import Chain
from harness.errors import RegistryConflict, RegistryError

LOG: Final = "moves.jsonl"
_WAIT_S, _LOOK_S = 20.0, 0.05


class Moves:
    """Entries `moving` (what is about to be done), then `moved` or `not moved`.

    A `moving` without the other is what a crash left behind; the next one to write settles it.
    """

    def __init__(self, folder: Path) -> None:
        self.log = Chain(folder / LOG)

    @classmethod
    @contextlib.contextmanager
    def writing(cls, folder: Path) -> Iterator[Moves]:
        """Opens the log for writing; waits for another process that is at it, for some seconds.

        Raises:
            RegistryConflict: it is at it for too long.
            RegistryError: the folder cannot be written. LedgerError: the log was changed.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stream = (folder / f"{LOG}.lock").open("w")
        except OSError as error:
            raise RegistryError(f"{folder}: cannot be written: {error.strerror}") from None
        with stream:
            limit = time.monotonic() + _WAIT_S
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        raise RegistryConflict(f"{folder}: another process is moving an alias") from None
                    time.sleep(_LOOK_S)
            Chain(folder / LOG).repair()
            yield cls(folder)

    def unsettled(self, registry: str) -> dict[str, Any] | None:
        """The move of this registry that a crash left unsettled; None where there is none."""
        begun: dict[str, Any] = {}
        for entry in self.log.entries():
            if entry["event"] == "moving":
                begun[entry["registry"]] = entry
            else:
                begun.pop(entry["registry"], None)
        return begun.get(registry)

    def begin(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Enters what is about to be done; on the disk when it returns."""
        return self.log.append("moving", **facts)

    def settle(self, begun: dict[str, Any], *, moved: bool, settled_later: bool = False) -> None:
        """Enters what came of it."""
        self.log.append(
            "moved" if moved else "not moved",
            registry=begun["registry"],
            of=begun["digest"],
            settled_later=settled_later,
        )
