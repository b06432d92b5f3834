"""Where the model looked: maps over a picture, a finding's and a sentence's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.multimodal.sections import sentence_spans, without_heading
from harness.errors import CandidateError
from harness.pixels import content_box
from harness.report import INDEX, Finding

Method = Literal["gradient", "attention"]
"""attention: how much attention a patch gets. For a finding, its rollout from the CLS token through
all layers (Abnar & Zuidema, ACL 2020), the same for every finding; for a sentence, the mean over
layers and heads of what the positions that wrote it pay.

gradient: that, times how much of the logit (of a finding) or log probability (of a sentence) hangs
on the patch's token z to first order: |z| |gradient at z|, which bounds gradient x input (Shrikumar
et al., ICML 2017). As Grad-CAM does (Selvaraju et al., ICCV 2017), it looks inside the network, at
the encoder's middle layer: the last one's tokens no longer belong to their patch alone."""
Map = NDArray[np.float32]

_COLOUR: Final = (230, 159, 0)
"""Orange of Okabe & Ito's palette, which every kind of colour vision tells from grey."""
_STRONGEST: Final = 0.65
_INSIDE: Final = 0.5
"""A box surrounds what is at least this part of a map's greatest value."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Maps over one picture of a study: (h, w), float32, in [0, 1], in the picture's proportions.

    The longer side has as many values as the model's input has pixels. A map of nothing is 0.
    """

    picture: Path
    findings: dict[Finding, Map]
    sentences: list[tuple[str, Map]]
    method: Method


@dataclass(frozen=True, slots=True)
class Place:
    """Which picture is explained, and where it lies in the model's square input."""

    picture: Path
    slot: int
    """Its place among the views."""
    first: bool
    """Whether it is the study's first picture, to which a report's boxes refer."""
    content: tuple[int, int, int, int]


def place_of(processor: MultimodalProcessor, study: Any) -> Place:
    """The study's first picture if the model looks at it, else the first one that it looks at."""
    chosen = processor.chosen(study)
    slots = [slot for slot, image in enumerate(chosen) if image is not None]
    slot = next((slot for slot in slots if chosen[slot] == study.images[0]), slots[0])
    image = chosen[slot]
    if image is None:
        raise CandidateError("no picture to explain")
    with Pillow.open(image.path) as picture:
        content = content_box(*picture.size, processor.config.image_size)
    return Place(image.path, slot, image == study.images[0], content)


def finding_maps(
    model: RadiologyMultimodalModel,
    images: torch.Tensor,
    view_mask: torch.Tensor,
    findings: Sequence[Finding],
    slot: int,
    method: Method = "gradient",
) -> dict[Finding, NDArray[np.float32]]:
    """Relevance of the patches of one view to the head's logits: finding -> (grid, grid), 0 or more.

    Args:
        model: in evaluation mode.
        images: of one study, (V, 1, H, W).
        view_mask: (V,).
        findings: which.
        slot: the view.
        method: see `Method`.
    """
    there = [place for place, shown in enumerate(view_mask.tolist()) if shown]
    row, grid = there.index(slot), model.config.grid
    with torch.enable_grad(), _attentions_of(model.vision):
        # The encoder's weights are frozen: the graph begins at the pixels.
        pixels = model.planes(images[there].to(model.device)).detach().requires_grad_()
        output = model.vision(pixel_values=pixels, output_attentions=True, output_hidden_states=True)
        logits = model.head(output.last_hidden_state[:, 0].to(model.head.weight.dtype).mean(dim=0))
        attended = rollout([layer[row] for layer in output.attentions])[0, 1:]
        tokens = output.hidden_states[len(output.attentions) // 2]
        found = {}
        for finding in findings:
            relevance = attended
            if method == "gradient":
                (gradient,) = torch.autograd.grad(logits[INDEX[finding]], tokens, retain_graph=True)
                relevance = attended * hanging(tokens[row, 1:], gradient[row, 1:])
            found[finding] = relevance.reshape(grid, grid).float().cpu().numpy()
        return found


def sentence_maps(
    model: RadiologyMultimodalModel,
    features: torch.Tensor,
    view_mask: torch.Tensor,
    prompt: torch.Tensor,
    tokens: Sequence[int],
    groups: Sequence[Sequence[int]],
    slot: int,
    method: Method = "gradient",
) -> list[NDArray[np.float32]]:
    """What each sentence drew from the patches of one view, by the language model: (grid, grid) each.

    The rows that count are those of the positions from which a sentence's tokens were written.

    Args:
        model: in evaluation mode.
        features: of one study, as `encode` gives them, (1, V, 1 + patches, d_v).
        view_mask: (1, V).
        prompt: token ids, (1, n), without padding.
        tokens: of the answer.
        groups: for each sentence, the places of its tokens in the answer.
        slot: the view.
        method: see `Method`.
    """
    if not groups:
        return []
    answer = torch.tensor([list(tokens)], device=model.device)
    ids = torch.cat([prompt.to(model.device), answer], dim=1)
    grid = model.config.grid
    with torch.enable_grad(), _attentions_of(model.causal_lm):
        image_tokens, counted = model.project(features, view_mask)
        embeddings, mask, positions = model.embed(image_tokens, counted, ids, None)
        embeddings = embeddings.detach().requires_grad_()
        options: dict[str, Any] = {"position_ids": positions} if model.takes("position_ids") else {}
        output = model.language(
            inputs_embeds=embeddings, attention_mask=mask, use_cache=False, output_attentions=True, **options
        )
        start = embeddings.shape[1] - len(tokens) - 1  # from here the first token was written
        steps = torch.arange(len(tokens), device=model.device)
        told = output.logits[0, start:-1].float().log_softmax(dim=-1)[steps, answer[0]]
        table = torch.stack([layer[0].detach().float().mean(dim=0) for layer in output.attentions]).mean(
            dim=0
        )
        own = slice(slot * grid**2, (slot + 1) * grid**2)
        maps = []
        for group in groups:
            relevance = table[[start + place for place in group], own].mean(dim=0)
            if method == "gradient":
                said = told[list(group)].sum()
                (gradient,) = torch.autograd.grad(said, embeddings, retain_graph=True)
                relevance = relevance * hanging(embeddings[0, own], gradient[0, own])
            maps.append(relevance.reshape(grid, grid).cpu().numpy())
        return maps


def rollout(attentions: Sequence[torch.Tensor]) -> torch.Tensor:
    """Attention of each token to each through all layers, (n, n), half of each layer's passing it by.

    Args:
        attentions: of each layer, (heads, n, n).
    """
    size = attentions[0].shape[-1]
    whole = torch.eye(size, device=attentions[0].device)
    for heads in attentions:
        whole = (heads.detach().float().mean(dim=0) @ whole + whole) / 2
    return whole


def hanging(tokens: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """|z| |gradient at z| of each token: (n, d), (n, d) to (n,)."""
    product: torch.Tensor = tokens.detach().norm(dim=-1) * gradient.norm(dim=-1)
    return product.float()


def in_picture(patches: NDArray[np.float32], place: Place, size: int) -> Map:
    """A map over patches as one over the picture, scaled to [0, 1]; see `Explanation`."""
    low, high = float(patches.min()), float(patches.max())
    scaled = (patches - low) / (high - low) if high > low else np.zeros_like(patches)
    square = Pillow.fromarray(scaled.astype(np.float32)).resize((size, size), Pillow.Resampling.BILINEAR)
    return np.clip(np.asarray(square.crop(place.content), dtype=np.float32), 0, 1)


def box_of(map_: Map) -> tuple[float, float, float, float] | None:
    """The box around the strongest spot: x0, y0, x1, y1 as fractions; None for a map of nothing."""
    if map_.max() <= 0:
        return None
    regions, _ = ndimage.label(map_ >= _INSIDE * map_.max())
    strongest = regions == regions.flat[int(map_.argmax())]
    down, across = ndimage.find_objects(strongest.astype(int))[0]
    height, width = map_.shape
    return across.start / width, down.start / height, across.stop / width, down.stop / height


def sentence_tokens(
    processor: MultimodalProcessor, tokens: Sequence[int], text: str
) -> list[tuple[str, list[int]]]:
    """The sentences of a generated text, without headings, each with the places of its tokens."""
    ends = [len(processor.decode(tokens[: count + 1])) for count in range(len(tokens))]
    found = []
    for start, end in sentence_spans(text):
        before = [0, *ends[:-1]]
        own = [i for i, (a, b) in enumerate(zip(before, ends, strict=True)) if a < end and b > start]
        words = without_heading(text[start:end])
        if own and words:
            found.append((words, own))
    return found


def overlay(picture: Path | Pillow.Image, map_: Map) -> Pillow.Image:
    """The picture in grey with a map over it in orange, stronger where the map is: RGB.

    Args:
        picture: the one that the map belongs to, of any size.
        map_: (h, w) in [0, 1].
    """
    if isinstance(picture, Path):
        with Pillow.open(picture) as opened:
            return overlay(opened.copy(), map_)
    deep = picture.mode.startswith(("I", "F"))
    values = np.asarray(picture.convert("F" if deep else "L"), dtype=np.float32)
    grey = values / (65535.0 if deep and values.max(initial=0) > 255 else 255.0)
    strength = Pillow.fromarray(map_).resize(picture.size, Pillow.Resampling.BILINEAR)
    share = _STRONGEST * np.clip(np.asarray(strength, dtype=np.float32), 0, 1)[..., None]
    mixed = np.clip(grey, 0, 1)[..., None] * 255 * (1 - share) + np.array(_COLOUR) * share
    return Pillow.fromarray(mixed.round().astype(np.uint8))


@contextmanager
def _attentions_of(model: Any) -> Iterator[None]:
    """Has a transformers model compute its attention in the open, since fused kernels keep it inside."""
    before = model.config._attn_implementation
    model.config._attn_implementation = "eager"
    try:
        yield
    finally:
        model.config._attn_implementation = before
