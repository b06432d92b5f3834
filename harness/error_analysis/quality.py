"""Measures of a radiograph's technical quality, from its pixels alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile

from harness.errors import CohortError

Grey = NDArray[np.float32]
"""Grey values in [0, 1], shape (height, width)."""

REDUCED: Final = 256
SHARP: Final = 128
"""Pixels of the longer side at which contrast and rotation, and sharpness, are measured, so that they do
not depend on the detector's resolution."""
CROP: Final = 1024
"""Pixels of the central square in which noise is measured, at full resolution."""
FIELD: Final = 0.75
"""Share of width and height, about the middle, in which clipping is measured: a border outside the
collimated field is black by intention."""
_TURNS: Final = np.arange(-12.0, 12.1, 0.75)
_TURNED_SIZE: Final = 96
_UPPER: Final = 0.6
"""Share of the height, from above, that is compared: the heart lies lower and is on one side."""
_LAPLACIAN: Final = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=np.float32)
_NOISE: Final = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a measure is."""

    unit: str
    definition: str
    source: str


MEASURES: Final[Mapping[str, Definition]] = MappingProxyType(
    {
        "contrast": Definition(
            "of full scale",
            "standard deviation of the grey values of the picture reduced to 256 pixels",
            "RMS contrast: Peli, J Opt Soc Am A 1990;7:2032",
        ),
        "noise": Definition(
            "of full scale",
            "sqrt(π/2) × mean of |I * N| / 6 over the central square at full resolution, "
            "N = [1 −2 1; −2 4 −2; 1 −2 1]",
            "Immerkær, Comput Vis Image Underst 1996;64:300",
        ),
        "sharpness": Definition(
            "ratio",
            "variance of the Laplacian, less what the noise adds to it (20 × its variance), over the "
            "variance of the grey values, of the picture reduced to 128 pixels",
            "variance of Laplacian: Pech-Pacheco et al., ICPR 2000;3:314; noise taken off, and divided "
            "so that exposure cancels",
        ),
        "clipping": Definition(
            "of pixels",
            "share of pixels at the darkest or the brightest value that the format has, in the central "
            "three quarters of width and height",
            "count of saturated pixels",
        ),
        "rotation": Definition(
            "degrees",
            "angle, without sign, by which the picture must be turned for the edges of its upper part to be "
            "most like their mirror image (greatest correlation over turns of up to 12° and all shifts "
            "sideways)",
            "bilateral symmetry of the chest above the heart; within some 1.5° on generated chests",
        ),
    }
)
"""Name -> what it is. All are shown with the direction of their own scale: more contrast and more
sharpness are better, more noise, clipping and rotation are worse."""


def read_native(path: Path) -> Grey:
    """A picture's grey values in its own resolution.

    Raises:
        CohortError: the file is missing, truncated or not a picture.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # the PDF engine sets this for the whole process
    try:
        with Pillow.open(path) as picture:
            deep = picture.mode.startswith(("I", "F"))
            values = np.asarray(picture.convert("F" if deep else "L"), dtype=np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise CohortError(f"{path}: not a readable picture ({type(error).__name__})") from None
    if not np.isfinite(values).all():
        raise CohortError(f"{path}: has values that are no numbers")
    scale = 65535.0 if deep and values.max(initial=0) > 255 else 255.0
    grey: Grey = np.clip(values / np.float32(scale), 0, 1, dtype=np.float32)
    return grey


def quality(grey: Grey) -> dict[str, float]:
    """All measures of a picture, by name; NaN where a picture is too small, or flat, for one."""
    small = reduced(grey, REDUCED)
    return {
        "contrast": contrast(small),
        "noise": noise(grey),
        "sharpness": sharpness(grey),
        "clipping": clipping(grey),
        "rotation": abs(rotation(small)),
    }


def contrast(grey: Grey) -> float:
    """RMS contrast: the standard deviation of grey values, 0 to 0.5."""
    return float(grey.std(dtype=np.float64))


def noise(grey: Grey) -> float:
    """Standard deviation of white noise, as a fraction of full scale."""
    return float(math.sqrt(math.pi / 2) * _mean(np.abs(_convolved(_centre(grey, CROP), _NOISE))) / 6)


def sharpness(grey: Grey) -> float:
    """Variance of the Laplacian without that of the noise, over the variance of grey values."""
    small = reduced(grey, SHARP)
    variance = float(small.var(dtype=np.float64))
    laplacian = _convolved(small, _LAPLACIAN)
    if variance == 0 or not laplacian.size:
        return math.nan
    # Averaging of k x k pixels divides the noise by k; the kernel's squares add up to 20.
    remaining = noise(grey) * max(small.shape) / max(grey.shape)
    sharp: float = max(0.0, float(laplacian.var(dtype=np.float64)) - 20 * remaining**2)
    return sharp / variance


def clipping(grey: Grey) -> float:
    """The share of pixels at either end of the scale, 0 to 1, in the middle of the picture."""
    height, width = grey.shape
    top, left = round(height * (1 - FIELD) / 2), round(width * (1 - FIELD) / 2)
    field = grey[top : height - top, left : width - left]
    clipped: NDArray[np.bool_] = (field <= 0) | (field >= 1)
    return _mean(clipped)


def rotation(grey: Grey) -> float:
    """Degrees by which the chest's axis is turned, counter-clockwise positive; NaN for a flat picture."""
    small = reduced(grey, _TURNED_SIZE)
    small = _centre(small, min(small.shape))
    if min(small.shape) < 16 or float(np.ptp(small)) == 0:
        return math.nan
    down, across = np.gradient(small)
    edges = Pillow.fromarray(np.hypot(down, across).astype(np.float32))
    side = small.shape[0]
    weight = (np.hanning(side) * (np.arange(side) < _UPPER * side)).astype(np.float32)[:, None]
    likeness = np.array([_symmetry(edges, float(turn), weight) for turn in _TURNS])
    best = int(likeness.argmax())
    if best in (0, len(_TURNS) - 1):
        return -float(_TURNS[best])
    before, at, after = likeness[best - 1 : best + 2]
    bend = before - 2 * at + after
    offset = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return -float(_TURNS[best] + offset * (_TURNS[1] - _TURNS[0]))


def _symmetry(picture: Pillow.Image, turn: float, weight: Grey) -> float:
    """The greatest correlation, over shifts sideways, of the turned picture with its mirror image."""
    turned = np.asarray(picture.rotate(turn, resample=Pillow.Resampling.BILINEAR), dtype=np.float32)
    mean = (turned * weight).sum() / (weight.sum() * turned.shape[1])
    flat = (turned - mean) * weight
    size = 2 * flat.shape[1]
    spectrum = np.fft.rfft(flat, size, axis=1)
    # Correlation with the mirror image is convolution with itself, row by row.
    overlap = np.fft.irfft((spectrum**2).sum(axis=0), size)
    return float(overlap.max()) / float((flat**2).sum() or 1.0)


def reduced(grey: Grey, size: int) -> Grey:
    """The picture by averaging of pixels, its longer side no more than `size`."""
    longest = max(grey.shape)
    if longest <= size:
        return grey
    height, width = (max(1, round(side * size / longest)) for side in grey.shape)
    return np.asarray(Pillow.fromarray(grey).resize((width, height), Pillow.Resampling.BOX))


def _centre(grey: Grey, size: int) -> Grey:
    top, left = (max(0, (side - size) // 2) for side in grey.shape)
    return grey[top : top + size, left : left + size]


def _convolved(grey: Grey, kernel: Grey) -> Grey:
    """Only where the kernel lies wholly inside; shape (h - 2, w - 2)."""
    height, width = (max(0, side - 2) for side in grey.shape)
    total = np.zeros((height, width), dtype=np.float32)
    for y, x in np.argwhere(kernel).tolist():
        total += kernel[y, x] * grey[y : y + height, x : x + width]
    return total


def _mean(values: NDArray[np.float32] | NDArray[np.bool_]) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else math.nan
