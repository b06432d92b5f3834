"""How often there is no usable report at all."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import Measure, Pairs, Proportion, ratio


class FailureRate(Measure):
    """Studies without a usable report / studies.

    Failed means: the candidate raised, died, was late, answered something that is not a report,
    or wrote nothing in it.
    """

    name = "failure_rate"
    higher_is_better = False
    needs = ()
    columns = ("failed", "studies")
    values = ("value",)
    proportions = MappingProxyType({"value": Proportion("failed", "studies")})

    def signature(self) -> str:
        """`failure_rate|vN`."""
        return f"{self.name}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Failed (0 or 1) and 1, shape (n, 2)."""
        return np.stack([pairs.failed, np.ones(len(pairs))], axis=1).astype(np.int64)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rate, in [0, 1]."""
        return ratio(totals[..., :1], totals[..., 1:])
