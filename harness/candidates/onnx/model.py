"""A package, loaded: pictures to image tokens and finding logits, ids to logits, and a beam search."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.candidates.multimodal.beams import Beams, BeamSearch, Generated
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.onnx.sessions import CPU, Session, choose_provider, open_session
from harness.candidates.onnx.tokens import FastTokenizer
from harness.deployment.manifest import Graph, Manifest, read_package
from harness.errors import CandidateError, GenerationError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
_TYPES: Final = {"float32": "tensor(float)", "int64": "tensor(int64)", "bool": "tensor(bool)"}


class OnnxModel:
    """The two graphs of a package and its processor.

    Args:
        directory: the package.
        provider: auto, tensorrt, cuda or cpu.
        vision: precision of the vision graph; where left out, FP16 on a GPU and FP32 on a
            processor, which has no FP16 arithmetic, if the package has that.

    Raises:
        CandidateError: no package, a damaged or missing file, a graph that is not what the manifest
            says, or a provider that is not there.
    """

    def __init__(self, directory: Path, provider: str = "auto", vision: str | None = None) -> None:
        self.directory = directory
        self.manifest = manifest = read_package(directory)
        self.config = manifest.config
        self.provider = choose_provider(provider, directory / manifest.vision[0].file)
        self.graph = vision_graph(manifest, self.provider, vision)
        self.vision = open_session(directory / self.graph.file, self.provider)
        self.language = open_session(directory / manifest.language.file, self.provider)
        self.processor = open_processor(directory, manifest)
        self._agree()

    def _agree(self) -> None:
        """Compares the graphs' inputs and outputs with the manifest's.

        Raises:
            CandidateError: one differs.
        """
        cache, width = self.manifest.cache, self.manifest.width
        views, size = len(self.config.views), self.config.image_size
        patches = self.config.prefix_length
        past = {
            f"past.{layer}.{kind}": (cache.heads, cache.head_size)
            for layer in range(cache.layers)
            for kind in ("key", "value")
        }
        wanted: list[tuple[Session, str, tuple[int, ...]]] = [
            (self.vision, "images", (views, 1, size, size)),
            (self.vision, "view_mask", (views,)),
            (self.vision, "tokens", (patches, width)),
            (self.vision, "label_logits", (len(self.config.findings),)),
            (self.language, "prefix", (width,)),
            *((self.language, name, shape) for name, shape in past.items()),
        ]
        for session, name, fixed in wanted:
            shape = session.inputs.get(name, session.outputs.get(name))
            if shape is None:
                raise CandidateError(f"{session.path}: has no {name}; the manifest disagrees; export again")
            sizes = tuple(item for item in shape[1:] if isinstance(item, int))
            if sizes and sizes != fixed:
                raise CandidateError(
                    f"{session.path}: {name} has shape {list(shape)}, and the manifest says {list(fixed)}; "
                    "export the checkpoint again"
                )

    def encode(self, planes: Floats, there: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """One study's pictures as the language model's first tokens, and the finding logits.

        Args:
            planes: normalised, (V, 1, H, W).
            there: which views are there, (V,).

        Returns:
            Image tokens (1, V patches, d_l), which of them count (1, V patches), logits (14,).
        """
        tokens, counted, logits = self.vision.run({"images": planes[None], "view_mask": there[None]})
        return tokens, counted, logits[0]

    def logits(self, tokens: Floats, counted: NDArray[np.bool_], ids: Ints) -> Floats:
        """Teacher-forced logits of the text (1, n): shape (1, n, vocabulary)."""
        return self._read(tokens, counted, ids)[0]

    def generate(
        self, tokens: Floats, counted: NDArray[np.bool_], ids: Ints, beams: int | None = None
    ) -> Generated:
        """The best answer of a beam search: the same steps as `multimodal.generation.beam_search`.

        Raises:
            CandidateError: no position is free. GenerationError: a logit is NaN.
        """
        config, ends = self.config, self.config.language.get("eos_token_id", self.manifest.tokens.eos)
        stops = frozenset(ends if isinstance(ends, list) else [ends])
        search = BeamSearch(beams or config.beams, config.max_new_tokens, config.length_penalty)
        used = int(counted.sum()) + ids.shape[1]
        context = self.processor.context
        limit = int(min(search.max_new_tokens, (context or math.inf) - used))
        if limit < 1:
            raise CandidateError(f"pictures and prompt need {used} of {context} positions; none is left")
        state = Beams(search, stops, limit)
        logits, cache = self._read(tokens, counted, ids)
        totals = log_probabilities(logits[:, -1])
        mask = np.concatenate([counted[0].astype(np.int64), np.ones(ids.shape[1], dtype=np.int64)])
        asked = max(2, 1 + len(stops)) * search.beams
        while True:
            vocabulary = totals.shape[-1]
            scores, places = largest(totals.reshape(-1), asked)
            ranked = [
                (score, *divmod(place, vocabulary))
                for score, place in zip(scores.tolist(), places.tolist(), strict=True)
            ]
            parents, chosen = state.advance(ranked)
            if not state.open:
                return state.best()
            cache = {name: value[parents] for name, value in cache.items()}
            mask = np.append(mask, 1)
            logits, cache = self._step(np.array(chosen, dtype=np.int64), mask, cache)
            running = np.array(state.scores, dtype=np.float32)
            totals = log_probabilities(logits[:, -1]) + running[:, None]

    def _read(
        self, tokens: Floats, counted: NDArray[np.bool_], ids: Ints
    ) -> tuple[Floats, dict[str, Floats]]:
        shape = self.manifest.cache
        empty = np.zeros((1, shape.heads, 0, shape.head_size), dtype=np.float32)
        names = [f"past.{layer}.{kind}" for layer in range(shape.layers) for kind in ("key", "value")]
        mask = np.concatenate([counted.astype(np.int64), np.ones_like(ids)], axis=1)
        positions = np.maximum(mask.cumsum(axis=1) - 1, 0)
        return self._run(tokens, ids, mask, positions, dict.fromkeys(names, empty))

    def _step(self, chosen: Ints, mask: Ints, cache: dict[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
        beams = len(chosen)
        prefix = np.zeros((beams, 0, self.manifest.width), dtype=np.float32)
        positions = np.full((beams, 1), mask.sum() - 1)
        return self._run(prefix, chosen[:, None], np.tile(mask, (beams, 1)), positions, cache)

    def _run(
        self, prefix: Floats, ids: Ints, mask: Ints, positions: Ints, cache: dict[str, Floats]
    ) -> tuple[Floats, dict[str, Floats]]:
        fed: dict[str, NDArray[Any]] = {
            "prefix": prefix, "input_ids": ids, "attention_mask": mask, "position_ids": positions, **cache
        }  # fmt: skip
        logits, *present = self.language.run(fed)
        return logits, dict(zip(cache, present, strict=True))


def vision_graph(manifest: Manifest, provider: str, precision: str | None) -> Graph:
    """Which of a package's vision graphs is run.

    Raises:
        CandidateError: a precision that the package does not have.
    """
    graphs: dict[str, Graph] = {graph.precision: graph for graph in manifest.vision}
    if precision is not None:
        if precision not in graphs:
            raise CandidateError(f"the package has no {precision} vision graph; it has {', '.join(graphs)}")
        return graphs[precision]
    return graphs.get("fp32" if provider == CPU else "fp16", manifest.vision[0])


def open_processor(directory: Path, manifest: Manifest) -> MultimodalProcessor:
    """Pictures, prompts and ids for a package.

    Raises:
        CandidateError: the tokenizer does not load or go with the language model.
    """
    tokens = manifest.tokens
    if tokens.library == "tokenizers":
        path = directory / "tokenizer.json"
        tokenizer: Any = FastTokenizer(path, tokens.size, tokens.bos, tokens.eos, tokens.pad)
    else:
        from harness.candidates.multimodal.processor import load_tokenizer

        tokenizer = load_tokenizer(directory)
    return MultimodalProcessor(manifest.config, tokenizer)


def log_probabilities(logits: Floats) -> Floats:
    """Logarithm of the softmax over the last axis, in nats.

    Raises:
        GenerationError: a logit is NaN.
    """
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    if np.isnan(found).any():
        raise GenerationError("the language model's logits hold NaN; no text can be read from them")
    return found


def largest(values: Floats, count: int) -> tuple[Floats, Ints]:
    """The largest values and their places, largest first; of equal ones the first place first."""
    count = min(count, len(values))
    places = np.argpartition(-values, count - 1)[:count]
    places = places[np.lexsort((places, -values[places]))]
    return values[places], places
