"""What an annotator is: report texts in, labels or graphs out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


class Labeler(ABC):
    """Reads report texts for the 14 CheXpert findings."""

    name: ClassVar[str]
    reads_texts: ClassVar[bool] = True
    """Whether it can label a text. One that cannot reads structured reports alone."""

    @abstractmethod
    def signature(self) -> str:
        """Name, version and digest of whatever decides: lexicon, weights, thresholds."""

    @abstractmethod
    def label(self, texts: Sequence[str]) -> NDArray[np.int8]:
        """`State` codes, shape (n, 14), in the order of `FINDINGS`. An empty text mentions nothing.

        A text's labels depend on that text alone.
        """

    def label_reports(self, texts: Sequence[str], records: Sequence[str]) -> NDArray[np.int8]:
        """`State` codes of a candidate's reports, shape (n, 14).

        Args:
            texts: findings and impression of each report, length n.
            records: each structured report as `Report` in JSON, length n; empty where there is none.
        """
        return self.label(texts)
