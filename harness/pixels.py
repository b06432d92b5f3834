"""Files of pictures -> grey values in [0, 1]."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFile, ImageOps, UnidentifiedImageError

from harness.errors import CohortError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_pixels(path: Path, size: int) -> NDArray[np.float32]:
    """Grey values in [0, 1], shape (size, size); aspect kept, the shorter side padded with black.

    DICOM files are read as `harness.deployment.pictures.dicom_image` reads them.

    Raises:
        CohortError: the file is missing, truncated or not a picture, has a side of one pixel (or of
            none, once scaled), or holds values that are no numbers.
    """
    # The PDF engine sets this for the whole process; a picture cut short must not pass as grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with _opened(path) as picture:
            # A 16-bit picture must be scaled, not clipped, on its way to grey values.
            deep = picture.mode.startswith(("I", "F"))
            left, top, right, bottom = content_box(*picture.size, size)
            if min(*picture.size, right - left + 1, bottom - top + 1) < 2:
                raise CohortError(
                    f"{path}: {picture.width} x {picture.height} pixels are no radiograph; fetch it again or "
                    "leave the study out"
                )
            picture.draft("L", (size, size))  # JPEG decodes straight to a smaller picture
            grey = picture.convert("F") if deep else picture.convert("L")
            padded = ImageOps.pad(grey, (size, size), method=Pillow.Resampling.BILINEAR, color=0)
            values = np.asarray(padded, dtype=np.float32)
    except FileNotFoundError as error:
        raise CohortError(f"{path}: no such picture; is the download complete?") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise CohortError(
            f"{path}: not a readable picture ({error}); fetch it again or leave the study out"
        ) from error
    if not np.isfinite(values).all():
        raise CohortError(
            f"{path}: holds NaN or infinity; write it anew from its source or leave the study out"
        )
    scale = 65535.0 if deep and values.max(initial=0) > 255 else 255.0
    grey01: NDArray[np.float32] = np.clip(values / np.float32(scale), 0, 1, dtype=np.float32)
    return grey01


def _opened(path: Path) -> Pillow.Image:
    try:
        return Pillow.open(path)
    except UnidentifiedImageError:
        from harness.deployment.pictures import dicom_image, is_dicom

        if is_dicom(path):
            return dicom_image(path)
        raise


def content_box(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Where a picture lies in the square that `read_pixels` makes of it: left, top, right, bottom.

    In pixels of the square, right and bottom not included.
    """
    # As ImageOps.pad: scaled to fit, then set in the middle.
    across = size if width >= height else round(width / height * size)
    down = size if height >= width else round(height / width * size)
    left, top = round((size - across) * 0.5), round((size - down) * 0.5)
    return left, top, left + across, top + down
