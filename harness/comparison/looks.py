"""How often two candidates were compared: each look at more data spends some of alpha."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from scipy.stats import norm

from harness.chain import Chain
from harness.digests import digest_value
from harness.errors import LedgerError
from harness.inference import spending_boundaries


@dataclass(frozen=True, slots=True)
class Look:
    """One look, and what it may spend."""

    number: int
    """From 1."""
    fraction: float
    """Share of the planned studies that it saw."""
    studies: int
    planned: int
    fractions: tuple[float, ...]
    """Of all looks up to this one."""
    level: float
    """Two-sided p of one hypothesis must lie below this; 0 where nothing is left to spend."""
    log: str
    head: str
    """Digest of the log's last entry."""


def take_look(
    log: Path,
    question: Any,
    data: Any,
    studies: int,
    planned: int,
    alpha: float,
    spending: Literal["obrien-fleming", "pocock"],
) -> Look:
    """Counts a look in the log, unless these very data were looked at before, and says what it may spend.

    Args:
        log: a hash-chained log (`harness.chain`); begun if it is not there.
        question: what is asked of whom; looks at the same question share alpha.
        data: what was looked at; the same data again are the same look.
        studies: how many studies these data are.
        planned: how many there are to be in the end.
        alpha: two-sided, of one hypothesis over all looks.
        spending: as in `spending_boundaries`.

    Raises:
        LedgerError: the log was changed.
    """
    question, data = digest_value(question), digest_value(data)
    fraction = min(1.0, studies / planned)
    log.parent.mkdir(parents=True, exist_ok=True)
    chain = Chain(log)
    chain.repair()
    looks = [entry for entry in chain.entries() if entry["event"] == "look" and entry["question"] == question]
    seen = next((place for place, entry in enumerate(looks) if entry["data"] == data), None)
    if seen is None:
        try:
            entry = chain.append("look", question=question, data=data, studies=studies, fraction=fraction)
        except OSError as error:
            raise LedgerError(f"{log}: cannot be written: {error.strerror}; name another --looks") from None
        looks.append(entry)
    else:
        looks = looks[: seen + 1]
    fractions = tuple(float(entry["fraction"]) for entry in looks)
    rising = all(one < two for one, two in pairwise(fractions))
    level = 0.0
    if len(looks) == 1 and fraction == 1:
        level = alpha
    elif rising:
        level = float(2 * norm.sf(spending_boundaries(fractions, alpha, spending)[-1]))
    return Look(len(looks), fraction, studies, planned, fractions, level, str(log), chain.head)
