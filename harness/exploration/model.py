"""The nouns of a cohort analysis: plain values without a word of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.plain import plain
from harness.report import Finding

FORMAT = 1


@dataclass(frozen=True, slots=True)
class FindingCounts:
    """What the reference labels say of one finding, in studies."""

    finding: Finding
    critical: bool
    positive: int
    uncertain: int
    negative: int
    blank: int
    """Not mentioned."""
    not_covered: int
    share: float
    """Positives of the studies that the labels cover; NaN where they cover none."""
    low: float
    high: float
    """Its 95 % interval, by patient."""
    positive_by_split: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of whole numbers: histogram and quantiles."""

    name: str
    edges: tuple[int, ...]
    """Edges of the bins, one more than `counts`; bin k holds edges[k] <= value < edges[k + 1]."""
    counts: tuple[int, ...]
    known: int
    least: float
    quarter: float
    median: float
    three_quarters: float
    most: float
    """NaN where nothing is known."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Studies of each group of one kind, the largest first."""

    name: str
    studies: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Missing:
    """How many of some items lack something."""

    what: str
    missing: int
    of: int


@dataclass(frozen=True, slots=True)
class Caution:
    """Something about the cohort that limits what can be decided on it."""

    rule: str
    """Name of the rule, with its threshold; see `harness.exploration.cautions`."""
    about: str
    says: str


@dataclass(frozen=True, slots=True)
class Exploration:
    """What a cohort holds."""

    cohort: str
    labels_source: str
    studies: int
    patients: int
    pictures: int
    eligible: int
    exclusions: Mapping[str, int]
    splits: Mapping[str, tuple[int, int]]
    """Split -> studies and patients; empty where the cohort has no splits."""
    findings: tuple[FindingCounts, ...]
    """In CheXpert's order."""
    together: tuple[tuple[int, ...], ...]
    """Studies in which both findings are positive, shape (14, 14); the diagonal: positives."""
    lengths: tuple[Spread, ...]
    """Words of the findings section, the impression and the whole report, where there is one."""
    lengths_by_split: Mapping[str, float]
    """Split -> median words of a report."""
    age: Spread
    groups: tuple[Shares, ...]
    views: Shares
    """Pictures by view."""
    studies_a_patient: Mapping[str, int]
    """Studies -> patients who have so many."""
    missing: tuple[Missing, ...]
    repeated: int
    """Studies whose report is word for word that of another study."""
    cautions: tuple[Caution, ...]
    sample: tuple[int, ...]
    """Indices of nine studies, drawn by a keyed hash of their ids: the same ones every time."""
    sample_ids: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN becomes None."""
        record: dict[str, Any] = plain(self)
        del record["sample"]
        return {"format": FORMAT, **record}
