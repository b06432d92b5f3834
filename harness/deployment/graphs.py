"""The two graphs of a package, traced from torch, and how far each is from it.

Both come from torch's TorchScript exporter, which needs nothing but torch and makes the graphs in
a second; every one is then compared with torch on shapes that the tracing never saw.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.deployment.quantise import save_graph
from harness.errors import CandidateError

VISION_INPUTS: Final = ("images", "view_mask")
VISION_OUTPUTS: Final = ("tokens", "counted", "label_logits")
TOLERANCE: Final = 1e-4
"""A float32 graph's outputs may differ from torch's by so much, absolute or relative."""


class VisionGraph(nn.Module):
    """Pictures (b, V, 1, H, W) and view mask (b, V) -> image tokens, which count, finding logits."""

    def __init__(self, model: RadiologyMultimodalModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, images: torch.Tensor, view_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `encode`, `project` and `detect` one after the other, without their checks."""
        model = self.model
        states = model.vision(pixel_values=model.planes(images.flatten(0, 1))).last_hidden_state
        features = states.unflatten(0, images.shape[:2])
        there = view_mask[:, :, None, None]
        tokens = model.projector(torch.where(there, features[:, :, 1:], 0.0))
        counted = there[..., 0].expand(-1, -1, features.shape[2] - 1)
        views = view_mask[:, :, None]
        cls = torch.where(views, features[:, :, 0], 0.0).sum(dim=1) / views.sum(dim=1)
        return torch.where(there, tokens, 0.0).flatten(1, 2), counted.flatten(1, 2), model.head(cls)


class LanguageGraph(nn.Module):
    """Image tokens and ids behind what is in the cache -> logits of the ids, and the longer cache.

    One graph for reading (prefix of image tokens, empty cache) and writing (no prefix, one id).
    """

    def __init__(self, language: Any) -> None:
        super().__init__()
        import inspect

        self.language = language
        self.takes_positions = "position_ids" in inspect.signature(language.forward).parameters

    def forward(
        self,
        prefix: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        *past: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Shapes: (b, p, d_l), (b, s), (b, past + p + s), (b, p + s); past: (b, heads, past, head size)."""
        from transformers import DynamicCache

        embeddings = torch.cat([prefix, self.language.get_input_embeddings()(input_ids)], dim=1)
        layers: Any = tuple(zip(past[::2], past[1::2], strict=True))
        cache = DynamicCache.from_legacy_cache(layers)
        total, new = attention_mask.shape[1], embeddings.shape[1]
        # The mask is given whole, so that no model's own way of making one is traced.
        last = torch.arange(new)[:, None] + (total - new)
        seen = (torch.arange(total)[None] <= last) & (attention_mask[:, None] > 0)
        mask = torch.where(seen[:, None], 0.0, torch.finfo(torch.float32).min)
        options = {"position_ids": position_ids} if self.takes_positions else {}
        output = self.language(
            inputs_embeds=embeddings, attention_mask=mask, past_key_values=cache, use_cache=True, **options
        )
        present = [tensor for layer in output.past_key_values.to_legacy_cache() for tensor in layer[:2]]
        return (output.logits[:, prefix.shape[1] :], *present)


def cache_names(layers: int, when: str) -> list[str]:
    """`past.0.key`, `past.0.value`, `past.1.key`...; `when`: past or present."""
    return [f"{when}.{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]


def cache_shape(model: RadiologyMultimodalModel) -> tuple[int, int, int]:
    """Layers, heads and head size of the language model's cache, as it makes them.

    Raises:
        CandidateError: the layers' caches are not all alike.
    """
    with torch.no_grad():
        output = model.causal_lm(input_ids=torch.zeros(1, 1, dtype=torch.long), use_cache=True)
    shapes = [tuple(t.shape) for layer in output.past_key_values.to_legacy_cache() for t in layer[:2]]
    if len(set(shapes)) != 1:
        raise CandidateError("the language model's layers have caches of different shapes; no export for it")
    return len(shapes) // 2, int(shapes[0][1]), int(shapes[0][3])


def export_vision(model: RadiologyMultimodalModel, path: Path, opset: int) -> float:
    """Writes the vision graph, float32; returns its greatest difference from torch.

    Raises:
        CandidateError: the graph does not give what torch gives.
    """
    graph = VisionGraph(model).eval()
    axes = {name: {0: "batch"} for name in (*VISION_INPUTS, *VISION_OUTPUTS)}
    _export(graph, next(_pictures(model, 2)), path, VISION_INPUTS, VISION_OUTPUTS, axes, opset)
    return _deviation(graph, path, VISION_INPUTS, _pictures(model, 1, 3))


def export_language(model: RadiologyMultimodalModel, path: Path, opset: int) -> float:
    """Writes the language graph, float32; returns its greatest difference from torch.

    Raises:
        CandidateError: the graph does not give what torch gives.
    """
    graph = LanguageGraph(model.causal_lm).eval()
    layers, _, _ = shape = cache_shape(model)
    inputs = ["prefix", "input_ids", "attention_mask", "position_ids", *cache_names(layers, "past")]
    outputs = ["logits", *cache_names(layers, "present")]
    axes: dict[str, dict[int, str]] = {
        "prefix": {0: "batch", 1: "prefix"},
        "input_ids": {0: "batch", 1: "text"},
        "attention_mask": {0: "batch", 1: "total"},
        "position_ids": {0: "batch", 1: "new"},
        "logits": {0: "batch", 1: "text"},
        **{name: {0: "batch", 2: "past"} for name in inputs[4:]},
        **{name: {0: "batch", 2: "total"} for name in outputs[1:]},
    }
    _export(graph, _words(model, shape, 2, 3, 5, 7), path, inputs, outputs, axes, opset)
    # Reading with an empty cache, writing one token in several beams, and both at once.
    sizes = [(1, 4, 6, 0), (4, 0, 1, 9), (1, 0, 1, 1), (2, 2, 3, 4)]
    return _deviation(graph, path, inputs, (_words(model, shape, *each) for each in sizes))


def _pictures(model: RadiologyMultimodalModel, *batches: int) -> Iterator[tuple[torch.Tensor, ...]]:
    views, size = len(model.config.views), model.config.image_size
    for batch in batches:
        generator = torch.Generator().manual_seed(batch)
        mask = torch.ones(batch, views, dtype=torch.bool)
        mask[0, 1:] = False
        yield torch.randn(batch, views, 1, size, size, generator=generator), mask


def _words(
    model: RadiologyMultimodalModel,
    shape: tuple[int, int, int],
    batch: int,
    prefix: int,
    text: int,
    past: int,
) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(batch + 10 * past)
    layers, heads, size = shape
    vocabulary = int(model.causal_lm.config.vocab_size)
    mask = torch.ones(batch, past + prefix + text, dtype=torch.long)
    mask[0, : prefix // 2] = 0
    return (
        torch.randn(batch, prefix, model.language_size, generator=generator),
        torch.randint(vocabulary, (batch, text), generator=generator),
        mask,
        torch.arange(past, past + prefix + text).repeat(batch, 1),
        *(torch.randn(batch, heads, past, size, generator=generator) for _ in range(2 * layers)),
    )


def _export(
    graph: nn.Module,
    example: tuple[torch.Tensor, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: dict[str, dict[int, str]],
    opset: int,
) -> None:
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder,
    ):
        parts = Path(folder)
        warnings.simplefilter("ignore")  # of tracing: what it could get wrong is compared below
        try:
            torch.onnx.export(
                graph, example, str(parts / path.name), input_names=list(inputs), output_names=list(outputs),
                dynamic_axes=axes, opset_version=opset, dynamo=False,
            )  # fmt: skip
        except (RuntimeError, ValueError, TypeError, torch.onnx.OnnxExporterError) as error:
            first = str(error).strip().partition("\n")[0]
            raise CandidateError(f"{path.name}: this model has no ONNX form: {first}") from None
        if len(list(parts.iterdir())) == 1:
            os.replace(parts / path.name, path)
        else:  # past 2 GB torch writes a file a tensor
            save_graph(onnx.load(parts / path.name), path, apart=True)


def _deviation(
    graph: nn.Module, path: Path, inputs: Sequence[str], examples: Iterator[tuple[torch.Tensor, ...]]
) -> float:
    from harness.candidates.onnx.sessions import CPU, open_session

    session = open_session(path, CPU)
    worst = 0.0
    for example in examples:
        with torch.no_grad():
            wanted = [tensor.numpy() for tensor in graph(*example)]
        given = session.run({name: tensor.numpy() for name, tensor in zip(inputs, example, strict=True)})
        for value, target in zip(given, wanted, strict=True):
            same = value.shape == target.shape
            if not (same and np.allclose(value, target, rtol=TOLERANCE, atol=TOLERANCE)):
                raise CandidateError(
                    f"{path.name}: the graph differs from torch by {_apart(value, target):.2g}; this model "
                    "cannot be exported by tracing"
                )
            worst = max(worst, _apart(value, target))
    return worst


def _apart(value: NDArray[Any], target: NDArray[Any]) -> float:
    if value.shape != target.shape:
        return float("inf")
    return float(np.abs(value.astype(np.float64) - target.astype(np.float64)).max(initial=0.0))
