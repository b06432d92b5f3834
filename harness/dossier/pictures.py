"""Pictures of studies for a page: small, as data URIs, alone or under a map of attention."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from harness.digests import digest_file

SIZE: Final = 300
CHANGED: Final = "The picture was changed since the run and is not shown."
UNREADABLE: Final = "The picture cannot be read."
_WARM: Final = np.array([255.0, 176.0, 32.0], dtype=np.float32)
"""Amber: light, so that it stands out against a dark picture in grey print too."""
_STRONGEST: Final = 0.6
_EDGE: Final = 0.5
"""Of the map's greatest value: where its outline is drawn."""


def picture(
    path: Path | None,
    digest: str | None = None,
    size: int = SIZE,
    attention: NDArray[np.float32] | None = None,
) -> tuple[str, str]:
    """The picture as a data URI and "", or "" and why there is none.

    Args:
        path: the file; None where the study has no picture.
        digest: what the file's SHA-256 must be; None for any.
        size: longest side in pixels.
        attention: values in [0, 1], shape (h, w), over the whole picture.
    """
    if path is None:
        return "", "The study has no picture."
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # the PDF engine sets this for the whole process
    try:
        if digest is not None and digest_file(path) != digest:
            return "", CHANGED
        with Image.open(path) as opened:
            small = _grey(opened)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "", UNREADABLE
    small.thumbnail((size, size))
    if attention is not None:
        small = overlay(small, attention)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), ""


def _grey(opened: Image.Image) -> Image.Image:
    """8 bits of grey; deeper pictures are scaled, not clipped."""
    if not opened.mode.startswith(("I", "F")):
        return opened.convert("L")
    values = np.asarray(opened.convert("F"))
    scale = 65535.0 if values.max(initial=0) > 255 else 255.0
    return Image.fromarray((np.clip(values / scale, 0, 1) * 255).astype(np.uint8))


def overlay(grey: Image.Image, attention: NDArray[np.float32]) -> Image.Image:
    """A grey picture with the map as an amber glow, outlined at half of its greatest value."""
    size = grey.size
    heat = np.asarray(
        Image.fromarray(np.asarray(attention, dtype=np.float32)).resize(size, Image.Resampling.BILINEAR)
    )
    heat = np.clip(heat, 0, 1)
    base = np.asarray(grey.convert("RGB"), dtype=np.float32)
    glow = (_STRONGEST * heat)[..., None]
    mixed = base * (1 - glow) + _WARM * glow
    inside = heat >= _EDGE * heat.max() if heat.max() > 0 else np.zeros(heat.shape, dtype=bool)
    shrunk = inside.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            shrunk &= np.roll(inside, step, axis=axis)
    mixed[inside & ~shrunk] = 255.0
    return Image.fromarray(mixed.astype(np.uint8))
