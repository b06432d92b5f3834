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

    Raises:
        CohortError: the file is missing, truncated or not a picture.
    """
    # The PDF engine sets this for the whole process; a picture cut short must not pass as grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Pillow.open(path) as picture:
            # A 16-bit picture must be scaled, not clipped, on its way to grey values.
            deep = picture.mode.startswith(("I", "F"))
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
    scale = 65535.0 if deep and values.max(initial=0) > 255 else 255.0
    grey01: NDArray[np.float32] = np.clip(values / np.float32(scale), 0, 1, dtype=np.float32)
    return grey01
