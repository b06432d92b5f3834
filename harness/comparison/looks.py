"""How often two candidates were compared: each look at more data spends some of alpha."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from scipy.stats import norm

from harness.inference import spending_boundaries
from harness.looks import count_look


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
        LedgerError: the log was changed, or cannot be written.
    """
    fraction = min(1.0, studies / planned)
    counted = count_look(log, question, data, studies=studies, fraction=fraction)
    fractions = tuple(float(entry["fraction"]) for entry in counted.looks)
    rising = all(one < two for one, two in pairwise(fractions))
    level = 0.0
    if counted.number == 1 and fraction == 1:
        level = alpha
    elif rising:
        level = float(2 * norm.sf(spending_boundaries(fractions, alpha, spending)[-1]))
    return Look(counted.number, fraction, studies, planned, fractions, level, str(log), counted.head)
