"""Who reads the texts of a run: the suite's labeler and graph annotator, behind one cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.annotators.base import EMPTY_GRAPH, Graph, GraphAnnotator, Labeler
from harness.annotators.cache import CachedGraphs, CachedLabeler
from harness.errors import NotEvaluable
from harness.estimates import Estimate
from harness.measures.base import Measure
from harness.suite import Suite

MISSING: Final = "missing"


@dataclass(frozen=True, slots=True)
class Annotators:
    """The labeler and, if a measure needs it, the graph annotator of a suite."""

    labeler: Labeler
    graphs: GraphAnnotator | None = None
    graphs_missing: str = ""
    """Why there is no graph annotator though a measure needs one, and the remedy; else empty."""

    @property
    def graphs_wanted(self) -> bool:
        """Whether a measure needs graphs, there or not."""
        return self.graphs is not None or bool(self.graphs_missing)

    def identity(self) -> dict[str, str]:
        """What a run folder keeps of them: a run read by another annotator is another run."""
        graphs = self.graphs.signature() if self.graphs else MISSING if self.graphs_missing else ""
        return {
            "labeler": self.labeler.signature(),
            "graphs": graphs,
            "graphs_missing": self.graphs_missing,
        }


def open_annotators(suite: Suite, cohort: str, cache: Path | None = None) -> Annotators:
    """The annotators that a suite names.

    Args:
        suite: as `read_suite` gave it.
        cohort: the kind of cohort that is judged, such as "phantom".
        cache: folder of annotations to read from and add to; None for none.

    Raises:
        NotEvaluable: the labeler's weights are missing. Those of the graph annotator are no error
            here: the measures that need them stay undefined and say so.
    """
    labeler: Labeler = suite.labeler.build()
    if cache is not None:
        labeler = CachedLabeler(labeler, cache)
    if suite.graphs is None or not any("graphs" in m.needs for m in suite.build_measures().values()):
        return Annotators(labeler)
    graphs: GraphAnnotator = suite.graphs.build()
    try:
        graphs.signature()
    except NotEvaluable as error:
        return Annotators(labeler, graphs_missing=str(error))
    if graphs.only_cohort not in (None, cohort):
        missing = (
            f"{suite.graphs.annotator} knows only the language of {graphs.only_cohort} cohorts; name the "
            "published model in the suite: graphs: radgraph"
        )
        return Annotators(labeler, graphs_missing=missing)
    return Annotators(labeler, CachedGraphs(graphs, cache) if cache is not None else graphs)


def read_graphs(
    annotator: GraphAnnotator | None,
    references: Sequence[str],
    candidates: Sequence[str],
    failed: NDArray[np.bool_],
) -> tuple[list[Graph | None], list[Graph | None]]:
    """The graphs of both sides, each of length n; a failed study's report has an empty graph."""
    if annotator is None:
        return [None] * len(references), [None] * len(candidates)
    found = annotator.annotate([*references, *candidates])
    ours = found[len(references) :]
    return found[: len(references)], [
        EMPTY_GRAPH if bad else graph for graph, bad in zip(ours, failed, strict=True)
    ]


def with_annotators(
    estimates: Sequence[Estimate],
    measures: Mapping[str, Measure],
    identity: Mapping[str, Any],
    rows: Mapping[str, NDArray[np.int64]],
) -> list[Estimate]:
    """The estimates that rest on graphs, with who made these, and why they are undefined."""
    told = []
    for item in estimates:
        measure = measures[item.measure]
        if "graphs" in measure.needs:
            reason = item.reason
            if np.isnan(item.estimate):
                column = measure.columns.index("unannotated") if "unannotated" in measure.columns else None
                without = 0 if column is None else int(rows[item.measure][:, column].sum())
                reason = identity.get("graphs_missing") or (
                    f"{without:,} studies have a report without a graph; every report needs one"
                    if without
                    else reason
                )
            signature = f"{item.signature}|graphs:{identity.get('graphs', MISSING)}"
            item = replace(item, signature=signature, reason=reason)
        told.append(item)
    return told
