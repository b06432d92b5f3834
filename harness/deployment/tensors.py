"""Inputs and outputs of a package's graphs, in words and shapes, for its manifest."""

from __future__ import annotations

from harness.candidates.multimodal.config import MultimodalConfig
from harness.deployment.manifest import Tensor

Tensors = tuple[Tensor, ...]


def inputs(config: MultimodalConfig, width: int, heads: int, head_size: int) -> Tensors:
    """What the graphs are given; `width`: size of an image token."""
    views, size = len(config.views), config.image_size
    pictures = (
        f"vision: {', '.join(config.views)}; (grey - {config.image_mean:g}) / {config.image_std:g}, grey in "
        "[0, 1], aspect kept, padded with black; 0 where absent"
    )
    return (
        _tensor("images", "float32", ("batch", views, 1, size, size), pictures),
        _tensor("view_mask", "bool", ("batch", views), "vision: which views are there"),
        _tensor(
            "prefix",
            "float32",
            ("batch", "prefix", width),
            "language: the image tokens before the first id; none when a token is written",
        ),
        _tensor("input_ids", "int64", ("batch", "text"), "language: ids of the text"),
        _tensor(
            "attention_mask",
            "int64",
            ("batch", "past + prefix + text"),
            "language: 1 for what counts, the cache included",
        ),
        _tensor(
            "position_ids",
            "int64",
            ("batch", "prefix + text"),
            "language: counted over what the mask keeps; not there where the model counts itself",
        ),
        _tensor(
            "past.LAYER.key, past.LAYER.value",
            "float32",
            ("batch", heads, "past", head_size),
            "language: the cache, of length 0 at first",
        ),
    )


def outputs(config: MultimodalConfig, width: int, heads: int, head_size: int) -> Tensors:
    """What the graphs give."""
    patches = config.prefix_length
    vocabulary = config.language.get("vocab_size", "vocabulary")
    return (
        _tensor("tokens", "float32", ("batch", patches, width), "vision: image tokens"),
        _tensor("counted", "bool", ("batch", patches), "vision: those of views that are there"),
        _tensor(
            "label_logits",
            "float32",
            ("batch", len(config.findings)),
            "vision: logits of the findings, in the order of config.findings",
        ),
        _tensor("logits", "float32", ("batch", "text", vocabulary), "language: of the token after each id"),
        _tensor(
            "present.LAYER.key, present.LAYER.value",
            "float32",
            ("batch", heads, "past + prefix + text", head_size),
            "language: the longer cache",
        ),
    )


def _tensor(name: str, dtype: str, shape: tuple[int | str, ...], meaning: str) -> Tensor:
    return Tensor(name=name, dtype=dtype, shape=shape, meaning=meaning)
