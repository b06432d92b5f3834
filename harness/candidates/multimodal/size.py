"""How large a checkpoint's parts are, from the header of its weights file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.candidates.base import ModelSize
from harness.candidates.multimodal.config import read_config
from harness.errors import CandidateError

_LOOKED_UP: Final = ("embed_tokens.weight", "wte.weight", "wpe.weight")
"""Input embeddings of the usual language models; they also write where no head of its own is stored."""


def model_size(directory: Path, beams: int | None = None) -> ModelSize:
    """The size of a checkpoint as the candidate runs it: in FP32.

    Args:
        directory: the checkpoint's folder.
        beams: of the search; None: the configuration's.

    Raises:
        CandidateError: no checkpoint, or a damaged weights file.
    """
    from safetensors import SafetensorError, safe_open

    config, path = read_config(directory), directory / "model.safetensors"
    counts: dict[str, int] = {}
    try:
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                count = 1
                for length in file.get_slice(name).get_shape():
                    count *= length
                counts[name] = count
    except (OSError, SafetensorError) as error:
        raise CandidateError(f"{path}: not a whole safetensors file ({error}); copy it again") from None
    own_head = any("lm_head" in name for name in counts)
    language = sum(
        count
        for name, count in counts.items()
        if name.startswith("language.") and not (own_head and name.endswith(_LOOKED_UP))
    )
    return ModelSize(
        encoder_parameters=sum(
            count for name, count in counts.items() if not name.startswith(("language.", "head."))
        ),
        encoder_tokens=len(config.views) * (1 + config.grid**2),
        language_parameters=language,
        bytes_per_parameter=4,
        beams=config.beams if beams is None else beams,
    )
