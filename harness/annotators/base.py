"""What an annotator is: report texts in, labels or graphs out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

Graph = Mapping[str, Any]
"""RadGraph's JSON of one report: `text`, and `entities`, each with `tokens`, `label`, `start_ix`,
`end_ix` and `relations`, a list of [type, name of another entity]."""

EMPTY_GRAPH: Final[Graph] = {"text": "", "entities": {}}
"""The graph of a text that says nothing."""


class Labeler(ABC):
    """Reads report texts for the 14 CheXpert findings.

    An annotator's constructor takes the suite's options by name, checks them, and touches no file:
    a suite is checked where its weights are not.
    """

    name: ClassVar[str]
    reads_texts: ClassVar[bool] = True
    """Whether it can label a text. One that cannot reads structured reports alone."""
    heavy: ClassVar[bool] = False
    """Whether it holds a model, of which one a machine or GPU is enough."""

    @abstractmethod
    def signature(self) -> str:
        """Name, version and digest of whatever decides: lexicon, weights, thresholds.

        Raises:
            harness.errors.NotEvaluable: weights are missing; the message says how to get them.
        """

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


class GraphAnnotator(ABC):
    """Reads report texts for RadGraph's entities and relations."""

    name: ClassVar[str]
    only_cohort: ClassVar[str | None] = None
    """The one kind of cohort whose language it knows; None for any."""
    heavy: ClassVar[bool] = False
    """Whether it holds a model, of which one a machine or GPU is enough."""

    @abstractmethod
    def signature(self) -> str:
        """Model type and digest of the weights or files, which this finds but does not load.

        Raises:
            harness.errors.NotEvaluable: they are missing; the message says how to get them.
        """

    @abstractmethod
    def annotate(self, texts: Sequence[str]) -> list[Graph | None]:
        """The graph of each text; None where it cannot tell. One without words is `EMPTY_GRAPH`.

        A text's graph depends on that text alone.
        """
