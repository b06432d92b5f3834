"""RadGraph's published models as annotators, and the small one that reads phantom reports."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from harness.annotators.base import EMPTY_GRAPH, Graph, GraphAnnotator
from harness.annotators.radgraph_weights import MODELS, Checkpoint, Model, find_checkpoint
from harness.data_files import data_path

if TYPE_CHECKING:
    from harness.annotators.radgraph_model import Network

_log: Final = logging.getLogger(__name__)


class RadGraph(GraphAnnotator):
    """The `radgraph` package's models; same graphs, but read many reports at a time.

    Jain et al., NeurIPS Datasets and Benchmarks 2021; Delbrouck et al., Findings of ACL 2024 (XL).
    A report longer than the encoder is read in windows side by side, as the package does; a warning
    says how many were.

    Args:
        model: "radgraph", "radgraph-xl" or "modern-radgraph-xl".
        path: folder of the checkpoint, base encoder in `encoder/`; empty for where the package
            keeps what it fetched from the hub.
    """

    name = "radgraph"
    heavy = True

    def __init__(self, model: Model = "radgraph-xl", path: str = "") -> None:
        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}")
        self.model = model
        self.path = Path(path) if path else None
        self.called: str = model
        self._checkpoint: Checkpoint | None = None
        self._signature = ""
        self._network: Network | None = None

    def signature(self) -> str:
        """`MODEL@sha256:DIGEST|window:WORDPIECES`."""
        if not self._signature:
            found = self._find()
            self._signature = f"{self.called}@sha256:{found.digest()[:16]}|window:{found.window}"
        return self._signature

    def annotate(self, texts: Sequence[str]) -> list[Graph | None]:
        """The graph of each text, as the package makes it; equal texts are read once."""
        if self._network is None:
            from harness.annotators.radgraph_model import Network

            self._network = Network(self._find(), self.model)
        network = self._network
        words = {text: network.words(_encodable(text)) for text in dict.fromkeys(texts)}
        long = sum(network.wordpieces(some) > network.window for some in words.values())
        if long:
            _log.warning(
                "%d of %d reports are longer than %d wordpieces and were read in windows",
                long, len(words), network.window,
            )  # fmt: skip
        graphs: dict[str, Graph] = {text: EMPTY_GRAPH for text, some in words.items() if not some}
        todo = [text for text in words if text not in graphs]
        graphs |= zip(todo, network.parse([words[text] for text in todo]), strict=True)
        return [graphs[text] for text in texts]

    def _find(self) -> Checkpoint:
        if self._checkpoint is None:
            self._checkpoint = find_checkpoint(self.model, self.path)
        return self._checkpoint


class PhantomRadGraph(RadGraph):
    """A small model in RadGraph's format, trained on the phantom's exact graphs.

    It shows the way from text to score without the published weights, and knows no other language
    than the phantom's: on other cohorts what rests on it is not evaluated.
    """

    name = "radgraph-phantom"
    heavy = True
    only_cohort: ClassVar[str | None] = "phantom"

    def __init__(self) -> None:
        super().__init__("radgraph-xl", str(data_path("checkpoints") / "phantom-radgraph"))
        self.called = "phantom-radgraph (not the published model)"


def _encodable(text: str) -> str:
    """The text with lone surrogates, which no tokenizer takes, as replacement characters."""
    return text.encode("utf-8", "replace").decode()
