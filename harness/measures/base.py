"""What a measure is: a row of integers a study, and values that are functions of column totals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.annotators.base import Graph
from harness.report import INDEX, Finding, State, join_sections

Need = Literal["labels", "graphs"]
"""What some measures need of reports besides texts and labels."""

Section = Literal["findings", "impression", "report"]
UncertainPolicy = Literal["positive", "negative", "ignore"]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side's reports of n studies: the references', or the candidate's."""

    findings: Sequence[str]
    """Findings sections, length n; empty where there is none."""
    impression: Sequence[str]
    """Impressions, length n; empty where there is none."""
    labels: NDArray[np.int8]
    """`State` codes, shape (n, 14)."""
    graphs: Sequence[Graph | None] | None = None
    """RadGraph JSON, length n, None where there is none; given if a measure of the suite needs it."""

    def texts(self, section: Section) -> list[str]:
        """The n texts of a section; "report" is findings and impression."""
        if section == "findings":
            return list(self.findings)
        if section == "impression":
            return list(self.impression)
        return [join_sections(pair) for pair in zip(self.findings, self.impression, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What a measure sees of n studies. A failed study has empty texts and mentions nothing."""

    reference: Side
    candidate: Side
    failed: NDArray[np.bool_]
    """Shape (n,): the candidate crashed, was late, or answered nothing usable."""

    def __len__(self) -> int:
        return len(self.failed)


@dataclass(frozen=True, slots=True)
class Proportion:
    """Names the columns whose ratio a value is, so that exact bounds can be used for it."""

    successes: str
    trials: str


class Measure(ABC):
    """One way to judge reports. Write `rows` and `value`; everything statistical follows.

    A measure that has options takes them as keyword arguments of its constructor; the suite's
    YAML passes them by name.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ("labels",)
    """What its rows are made from besides the texts; () where these are enough."""

    columns: tuple[str, ...]
    """Names of the integer columns of a row."""
    values: tuple[str, ...]
    """Names of the values; a measure with one value calls it "value"."""
    proportions: Mapping[str, Proportion] = MappingProxyType({})
    """Value name -> its columns, for values that are plain proportions of counts."""

    @abstractmethod
    def signature(self) -> str:
        """Every choice that changes the number, such as `bleu4|coco|tok:ptb|v1`."""

    @abstractmethod
    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """One row a study, shape (n, columns). Row i depends on study i alone."""

    @abstractmethod
    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column totals, shape (..., columns), to values, shape (..., values).

        A pure function of the totals. 0/0 is NaN.
        """

    def weighted(self, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values under study weights, shape (..., n) to (..., values): `value(weights @ rows)`."""
        return self.value(weights @ rows)


class WeightedMeasure(Measure):
    """A measure that is no function of column totals: how many differ, what ranks where.

    Write `rows` and `weighted`. The contract is otherwise the same: rows are integers, a row
    depends on its own study alone, shards are joined by stacking their rows, and a study of
    weight 2 counts as two. Intervals come from `counts` where a value has them, else from a
    bootstrap of the weights, unless `without_interval` says why there is none.
    """

    without_interval: Mapping[str, str] = MappingProxyType({})
    """Value name -> why resampling says nothing about it."""

    @abstractmethod
    def weighted(self, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows, shape (n, columns), and study weights of 0 or more, (..., n), to (..., values).

        A pure function of both, whatever the order of the studies. 0/0 is NaN.
        """

    def counts(self, rows: NDArray[np.int64]) -> Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Value name -> each study's successes and trials, length n, for values that are proportions."""
        return {}

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """There is no such function.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"{self.name} is no function of column totals; use weighted(rows, weights)")


def ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Elementwise quotient; 0/0 and x/0 are NaN: undefined, never 0 or 1."""
    denominator = np.asarray(denominator, dtype=np.float64)
    undefined = np.full(np.broadcast_shapes(np.shape(numerator), denominator.shape), np.nan)
    np.divide(numerator, denominator, out=undefined, where=denominator != 0)
    return undefined


_HALF: Final = 1 << 20


def to_fixed(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Scores in [0, 1] as two integer columns, units of 2^-20 and of 2^-40; shape (n, 2).

    Two, because sums must stay exact below 2^53 however many studies there are.
    """
    whole = np.rint(np.asarray(scores, dtype=np.float64) * _HALF * _HALF).astype(np.int64)
    return np.stack(np.divmod(whole, _HALF), axis=-1)


def from_fixed(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Totals of the two columns of `to_fixed`, shape (..., 2), as sums of scores, shape (...)."""
    return (totals[..., 0] + totals[..., 1] / _HALF) / _HALF


UNCERTAIN_POLICIES: Final[Mapping[str, bool | None]] = MappingProxyType(
    {"positive": True, "negative": False, "ignore": None}
)


def asserted(labels: NDArray[np.int8], uncertain: UncertainPolicy) -> NDArray[np.bool_]:
    """Where a side says that the finding is there, shape as `labels`."""
    positive: NDArray[np.bool_] = labels == State.POSITIVE
    if uncertain == "positive":
        positive |= labels == State.UNCERTAIN
    return positive


def judged(labels: NDArray[np.int8], uncertain: UncertainPolicy) -> NDArray[np.bool_]:
    """Where the reference can be judged by: covered, and not set aside by the uncertain policy."""
    covered: NDArray[np.bool_] = labels != State.NOT_COVERED
    if uncertain == "ignore":
        covered &= labels != State.UNCERTAIN
    return covered


def column_of(finding: Finding | str) -> int:
    """The column of a finding in every array of labels.

    Raises:
        ValueError: not one of the 14 names.
    """
    return INDEX[Finding(finding)]
