"""Counting looks: how often the same question was put to data, in a hash-chained log of its own."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chain import Chain
from harness.digests import digest_value
from harness.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Counted:
    """Looks at one question, up to one of them."""

    looks: tuple[dict[str, Any], ...]
    """Log entries, oldest first; the last is the look that was asked about."""
    head: str
    """Digest of the log's last entry."""

    @property
    def number(self) -> int:
        """Of the look, from 1."""
        return len(self.looks)


def count_look(log: Path, question: Any, data: Any, **facts: Any) -> Counted:
    """Counts a look, unless these very data were looked at before; one process at a time.

    Args:
        log: a hash-chained log (`harness.chain`); begun if it is not there.
        question: what is asked of whom; looks at the same question are counted together.
        data: what was looked at; the same data again are the same look.
        facts: what else its line says.

    Raises:
        LedgerError: the log was changed, or cannot be written.
    """
    question, data = digest_value(question), digest_value(data)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        writer = log.with_name(log.name + ".lock").open("w")
    except OSError as error:
        raise LedgerError(f"{log}: cannot be written: {error.strerror}; looks cannot be counted") from None
    with writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        chain = Chain(log)
        chain.repair()
        looks = [
            entry for entry in chain.entries() if entry["event"] == "look" and entry["question"] == question
        ]
        seen = next((place for place, entry in enumerate(looks) if entry["data"] == data), None)
        if seen is None:
            looks.append(chain.append("look", question=question, data=data, **facts))
        else:
            looks = looks[: seen + 1]
        return Counted(tuple(looks), chain.head)
