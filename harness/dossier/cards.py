"""Cards: a study's picture, its reference and the candidate's report, side by side."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any, Final

from PIL import Image

from harness.digests import digest_file

PICTURE: Final = 300
LONGEST: Final = 1_800
"""Characters of a text that a card shows: what fits on a page beside the other texts."""
_LONG_WORD: Final = re.compile(r"\S{40}(?=\S)")


def card(
    case: dict[str, Any], prediction: dict[str, Any], picture: int = PICTURE, longest: int = LONGEST
) -> dict[str, Any]:
    """What a card shows of a study: pictures no larger than `picture` pixels, texts that fit."""
    return {
        "study_id": case["study_id"],
        "indication": fitting(case["indication"], longest),
        "reference": fitting("\n".join(filter(None, (case["findings"], case["impression"])), longest)),
        "report": fitting("\n".join(filter(None, (prediction["findings"], prediction["impression"])), longest)),
        "status": prediction["status"],
        **_picture(case, picture),
    }


def fitting(text: str, longest: int = LONGEST) -> str:
    """The text as a card can show it: long words may break, and a cut says how much there is."""
    cut = text if len(text) <= longest else f"{text[:longest]} … [{len(text):,} characters in all]"
    return _LONG_WORD.sub(lambda word: word.group() + "\u200b", cut)


def _picture(case: dict[str, Any], size: int) -> dict[str, str]:
    """The first picture, small, as a data URI; or why there is none."""
    if not case["images"]:
        return {"picture": "", "why": "The study has no picture."}
    path = Path(case["images"][0])
    try:
        if digest_file(path) != case["image_digests"][0]:
            return {"picture": "", "why": "The picture was changed since the run and is not shown."}
        with Image.open(path) as picture:
            small = picture.convert("L")
            small.thumbnail((size, size))
    except OSError:
        return {"picture": "", "why": "The picture cannot be read any more."}
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82)
    return {"picture": "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), "why": ""}
