"""Cards: a study's picture, its reference and the candidate's report, side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from harness.dossier.pictures import SIZE, picture

LONGEST: Final = 1_800
"""Characters of a text that a card shows: what fits on a page beside the other texts."""
_LONG_WORD: Final = re.compile(r"\S{40}(?=\S)")


def card(case: dict[str, Any], prediction: dict[str, Any]) -> dict[str, Any]:
    """What a card shows of a study: its first picture, and texts that fit."""
    return {
        "study_id": case["study_id"],
        "indication": fitting(case["indication"]),
        "reference": fitting("\n".join(filter(None, (case["findings"], case["impression"])))),
        "report": fitting("\n".join(filter(None, (prediction["findings"], prediction["impression"])))),
        "status": prediction["status"],
        **first_picture(case),
    }


def fitting(text: str, longest: int = LONGEST) -> str:
    """The text as a card can show it: long words may break, and a cut says how much there is."""
    cut = text if len(text) <= longest else f"{text[:longest]} … [{len(text):,} characters in all]"
    return _LONG_WORD.sub(lambda word: word.group() + "\u200b", cut)


def first_picture(case: dict[str, Any], size: int = SIZE) -> dict[str, str]:
    """The first picture, small, as a data URI; or why there is none."""
    there = bool(case["images"])
    found, why = picture(
        Path(case["images"][0]) if there else None, case["image_digests"][0] if there else None, size
    )
    return {"picture": found, "why": why}
