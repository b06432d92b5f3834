"""A multi-label image classifier from a Hugging Face ViT directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.candidates.timing import phase
from harness.digests import digest_tree
from harness.errors import CandidateError
from harness.pixels import read_pixels
from harness.report import FINDINGS, Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class VitClassifier:
    """Probabilities of findings in one picture.

    The directory is what `ViTForImageClassification.save_pretrained` writes: `config.json` with
    `id2label` in CheXpert's names, and `model.safetensors` (a pickle is refused). If
    `preprocessor_config.json` is there, its `image_mean` and `image_std` are used. If
    `thresholds.json` is there (finding -> probability), it says from where on a finding is
    reported; 0.5 otherwise.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.thresholds: dict[Finding, float] = {}
        self._model: Any = None
        self._labels: list[Finding | None] = []

    def digest(self) -> str:
        """SHA-256 (hex) over the directory's JSON and weights."""
        if not (self.directory / "model.safetensors").exists():
            raise CandidateError(
                f"{self.directory}: no model.safetensors; a ViT directory in Hugging Face's layout "
                "is needed (weights in another format: load and save_pretrained once)"
            )
        return digest_tree(self.directory, "*.*")

    def load(self) -> None:
        """Reads the weights.

        Raises:
            CandidateError: the directory is incomplete, names no finding, or its config and
                weights disagree.
        """
        self.digest()
        import torch
        from safetensors import SafetensorError
        from transformers import ViTForImageClassification
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            model, info = ViTForImageClassification.from_pretrained(
                self.directory,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            first = str(error).strip().partition("\n")[0]
            raise CandidateError(f"{self.directory}: does not load as a ViT: {first}") from None
        wrong = [*info["missing_keys"], *info["unexpected_keys"], *info["mismatched_keys"]]
        if wrong:
            raise CandidateError(
                f"{self.directory}: config and weights disagree on {len(wrong)} tensors, first "
                f"{wrong[0]}; take both from the same checkpoint"
            )
        names = set(map(str, FINDINGS))
        labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
        self._labels = [Finding(name) if name in names else None for name in labels]
        if not any(self._labels):
            raise CandidateError(
                f"{self.directory}: id2label in config.json holds none of the 14 CheXpert findings"
            )
        thresholds = self.directory / "thresholds.json"
        stated = json.loads(thresholds.read_text()) if thresholds.exists() else {}
        self.thresholds = {label: float(stated.get(label, 0.5)) for label in self._labels if label}
        preprocessor = self.directory / "preprocessor_config.json"
        settings = json.loads(preprocessor.read_text()) if preprocessor.exists() else {}
        self._mean = np.asarray(settings.get("image_mean", [0.5]), dtype=np.float32)
        self._std = np.asarray(settings.get("image_std", [0.5]), dtype=np.float32)
        self._model = model.eval()

    def probabilities(self, picture: Path) -> dict[Finding, float]:
        """Finding -> probability in [0, 1], for the findings that the checkpoint knows.

        Raises:
            harness.errors.CohortError: the picture cannot be read.
        """
        if self._model is None:
            self.load()
        import torch

        config = self._model.config
        with phase("preprocessing"):
            grey = read_pixels(picture, int(config.image_size))
            pixels = torch.from_numpy(self.normalise(grey, int(config.num_channels))[None])
        with phase("inference"), torch.inference_mode():
            scores = torch.sigmoid(self._model(pixel_values=pixels).logits[0]).tolist()
        return {label: score for label, score in zip(self._labels, scores, strict=True) if label}

    def normalise(self, grey: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
        """Grey values (size, size) to the model's input (channels, size, size)."""
        planes = np.repeat(grey[None], channels, axis=0)
        shape = (-1, 1, 1)
        normal: NDArray[np.float32] = (planes - self._mean.reshape(shape)) / self._std.reshape(shape)
        return normal

    def embeddings(self, pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """What the encoder makes of pictures, before the classifier: shape (pictures, hidden size).

        Args:
            pictures: grey values in [0, 1], each of shape (size, size), as `read_pixels` gives them.
        """
        if self._model is None:
            self.load()
        import torch

        channels, rows = int(self._model.config.num_channels), []
        with torch.inference_mode():
            for start in range(0, len(pictures), 32):
                batch = np.stack([self.normalise(grey, channels) for grey in pictures[start : start + 32]])
                hidden = self._model.vit(pixel_values=torch.from_numpy(batch)).last_hidden_state[:, 0]
                rows.append(hidden.numpy())
        found: NDArray[np.float32] = np.concatenate(rows)
        return found
