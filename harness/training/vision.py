"""A ViT for pictures of another size than it was trained on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from harness.candidates.multimodal.parts import load_vision
from harness.errors import TrainingError


@contextmanager
def vision_of_size(source: str | Path, size: int | None) -> Iterator[str | Path]:
    """A ViT's directory or id whose pictures have `size` pixels a side; the source itself if it fits.

    Otherwise its position embeddings are interpolated over the new grid of patches (bicubic), as
    Dosovitskiy et al. (ICLR 2021, section 3.2) do for a higher resolution, and it is lent as a
    temporary directory. A classifier's outputs stay behind: they belong to the other size.

    Raises:
        CandidateError: the source does not load. TrainingError: the size is no multiple of the patch.
    """
    part = load_vision(source) if size is not None else None
    if part is None or size is None or part.encoder.config.image_size == size:
        yield source
        return
    encoder: Any = part.encoder
    patch = encoder.config.patch_size
    if size % patch:
        raise TrainingError(f"image_size {size} is no multiple of the ViT's patch size {patch}")
    embeddings = encoder.embeddings
    embeddings.position_embeddings = torch.nn.Parameter(
        resized_positions(embeddings.position_embeddings.detach(), size // patch)
    )
    encoder.config.image_size = size
    with tempfile.TemporaryDirectory() as folder:
        encoder.save_pretrained(folder)
        yield Path(folder)


def resized_positions(positions: torch.Tensor, grid: int) -> torch.Tensor:
    """Position embeddings (1, 1 + n * n, d), CLS first, over a grid of `grid` x `grid` patches."""
    cls, patches = positions[:, :1], positions[:, 1:]
    old = round(patches.shape[1] ** 0.5)
    square = patches.unflatten(1, (old, old)).permute(0, 3, 1, 2)
    larger = F.interpolate(square, (grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([cls, larger.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
