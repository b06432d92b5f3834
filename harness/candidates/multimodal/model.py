"""The network: a frozen ViT, a projection of its patches, a causal language model, a finding head.

After LLaVA (Liu et al., NeurIPS 2023), with the two-layer projection of LLaVA-1.5 (Liu et al., CVPR
2024) and a multi-label head on the encoder's CLS token.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from harness.candidates.multimodal.config import MultimodalConfig, checked_config
from harness.candidates.multimodal.losses import (
    MultimodalOutput,
    detection_term,
    report_term,
    share_of_loss,
    squared_norm,
)
from harness.candidates.multimodal.parts import (
    check_fit,
    load_language,
    load_vision,
    new_language,
    new_vision,
    plain,
    with_adapters,
)
from harness.errors import CandidateError
from harness.report import FINDINGS, INDEX

if TYPE_CHECKING:
    from harness.candidates.multimodal.generation import Generated

__all__ = ["MultimodalOutput", "Projector", "RadiologyMultimodalModel", "report_term"]


class Projector(nn.Module):
    """H_v = W2 GELU(W1 Z_v + b1) + b2."""

    def __init__(self, vision_size: int, hidden_size: int, language_size: int) -> None:
        super().__init__()
        self.first = nn.Linear(vision_size, hidden_size)
        self.second = nn.Linear(hidden_size, language_size)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Shape (..., d_v) to (..., d_l)."""
        projected: torch.Tensor = self.second(F.gelu(self.first(patches)))
        return projected


class RadiologyMultimodalModel(nn.Module):
    """Pictures and a prompt -> a report's tokens and the probabilities of 14 findings.

    The vision encoder is always frozen and in evaluation mode; what else is trained is the
    trainer's choice (`requires_grad`).

    Args:
        config: every size.
        vision: a `transformers.ViTModel`; one with fresh weights where it is left out.
        language: a causal language model of transformers, without adapters (`config.lora` adds
            them); one with fresh weights where it is left out.

    Raises:
        CandidateError: a part's sizes are not the configuration's.
    """

    def __init__(self, config: MultimodalConfig, vision: Any = None, language: Any = None) -> None:
        super().__init__()
        self.config = config
        self.vision = new_vision(config.vision) if vision is None else vision
        self.language = new_language(config.language) if language is None else language
        check_fit(self.vision, self.language, config)
        if config.lora is not None:
            self.language = with_adapters(self.language, config.lora)
        self.projector = Projector(
            self.vision.config.hidden_size, config.projector_hidden, self.language_size
        )
        self.head = nn.Linear(self.vision.config.hidden_size, len(FINDINGS))
        weights = config.positive_weights or [1.0] * len(FINDINGS)
        self.positive_weights: torch.Tensor
        self.register_buffer("positive_weights", torch.tensor(weights), persistent=False)
        self.vision.requires_grad_(False)
        self.vision.eval()
        self._options = frozenset(inspect.signature(self.causal_lm.forward).parameters)

    @classmethod
    def from_parts(
        cls, vision: str | Path, language: str | Path | Mapping[str, Any], **overrides: Any
    ) -> RadiologyMultimodalModel:
        """A model around pretrained parts.

        Args:
            vision: a ViT's directory or id. Of a `ViTForImageClassification`, the outputs that
                are named like findings become the head's first weights; preprocessing and
                thresholds that its directory states are taken over.
            language: a causal language model's directory or id, or a configuration for an
                untrained one.
            **overrides: fields of `MultimodalConfig`.

        Raises:
            CandidateError: a part does not load, or what results is no valid configuration.
        """
        seen = load_vision(vision)
        writer = new_language(language) if isinstance(language, Mapping) else load_language(language)
        values = {
            **seen.settings,
            "vision": plain(seen.encoder.config),
            "language": plain(writer.config),
            "image_size": seen.encoder.config.image_size,
            **overrides,
        }
        model = cls(checked_config(values, "configuration"), seen.encoder, writer)
        with torch.no_grad():
            for finding, (weight, bias) in seen.head.items():
                model.head.weight[INDEX[finding]] = weight
                model.head.bias[INDEX[finding]] = bias
        return model

    def takes(self, option: str) -> bool:
        """Whether the language model's forward has a parameter of this name."""
        return option in self._options

    @property
    def causal_lm(self) -> Any:
        """The language model of transformers, without peft's wrapper."""
        return self.language if self.config.lora is None else self.language.get_base_model()

    @property
    def language_size(self) -> int:
        """d_l, the width of the language model's embeddings."""
        return int(self.causal_lm.get_input_embeddings().weight.shape[1])

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def train(self, mode: bool = True) -> RadiologyMultimodalModel:
        """As of any module, but the vision encoder stays in evaluation mode."""
        super().train(mode)
        self.vision.eval()
        return self

    # Pictures

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """The frozen encoder's last layer, CLS first: shape (batch, V, 1 + patches, d_v).

        Args:
            images: normalised, (batch, 1, H, W) for the first view alone or (batch, V, 1, H, W).

        Raises:
            CandidateError: another shape.
        """
        pictures = self.shaped(images)
        states = self.vision(pixel_values=self.planes(pictures.flatten(0, 1))).last_hidden_state
        features: torch.Tensor = states.unflatten(0, pictures.shape[:2])
        return features

    def shaped(self, images: torch.Tensor) -> torch.Tensor:
        """Pictures as (batch, V, 1, H, W); V may be less than the configuration's views, never more.

        Raises:
            CandidateError: more views or another size than the configuration's.
        """
        views, size = len(self.config.views), self.config.image_size
        pictures = images[:, None] if images.ndim == 4 else images
        if (
            pictures.ndim != 5
            or not 1 <= pictures.shape[1] <= views
            or tuple(pictures.shape[2:]) != (1, size, size)
        ):
            wanted = f"(batch, {views}, 1, {size}, {size})"
            raise CandidateError(f"pictures have shape {tuple(images.shape)}, not {wanted}")
        return pictures

    def planes(self, pictures: torch.Tensor) -> torch.Tensor:
        """Grey pictures (n, 1, H, W) with as many channels as the encoder has."""
        channels = int(self.vision.config.num_channels)
        return pictures.to(self.vision.dtype).expand(-1, channels, -1, -1)

    def view_mask(self, features: torch.Tensor, view_mask: torch.Tensor | None) -> torch.Tensor:
        """Which views are there, (batch, V) bool; all of them where nothing else is said.

        Raises:
            CandidateError: a study without any view, or another shape.
        """
        if view_mask is None:
            return torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        mask = view_mask.to(features.device, torch.bool)
        if mask.shape != features.shape[:2]:
            raise CandidateError(f"view_mask has shape {tuple(mask.shape)}, not {tuple(features.shape[:2])}")
        if not bool(mask.any(dim=1).all()):
            raise CandidateError("a study has no view at all")
        return mask

    def project(
        self, vision_features: torch.Tensor, view_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The patches as tokens (batch, V patches, d_l), and which count, same without d_l, bool.

        Those of absent views are 0 and do not count.
        """
        mask = self.view_mask(vision_features, view_mask)
        there = mask[:, :, None, None]
        patches = vision_features[:, :, 1:].to(self.projector.first.weight.dtype)
        tokens = self.projector(torch.where(there, patches, 0.0))
        counts = there[..., 0].expand(-1, -1, patches.shape[2])
        return torch.where(there, tokens, 0.0).flatten(1, 2), counts.flatten(1, 2)

    def detect(self, vision_features: torch.Tensor, view_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of the findings (batch, 14), from the mean CLS of the views that are there."""
        mask = self.view_mask(vision_features, view_mask)[:, :, None]
        cls = torch.where(mask, vision_features[:, :, 0].to(self.head.weight.dtype), 0.0)
        logits: torch.Tensor = self.head(cls.sum(dim=1) / mask.sum(dim=1))
        return logits

    # Words

    def forward(
        self,
        images: torch.Tensor | None,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        finding_labels: torch.Tensor | None = None,
        *,
        view_mask: torch.Tensor | None = None,
        vision_features: torch.Tensor | None = None,
    ) -> MultimodalOutput:
        """Logits, and with labels the loss.

        The projected patches stand before the text, and positions are counted over what is not
        masked, so neither padding (on any side) nor an absent view changes another token's logits.

        Args:
            images: as `encode` takes them; None if `vision_features` are given.
            input_ids: the text alone, (batch, sequence).
            attention_mask: 1 for tokens, 0 for padding; same shape.
            labels: ids to learn, -100 where a token does not count; same shape.
            finding_labels: `State` codes, (batch, 14).
            view_mask: (batch, V), False for an absent view.
            vision_features: what `encode` gave.

        Raises:
            CandidateError: shapes that do not fit, or no pictures.
        """
        features = self._features(images, vision_features)
        tokens, counted = self.project(features, view_mask)
        embeddings, mask, positions = self.embed(tokens, counted, input_ids, attention_mask)
        logits = self._logits(embeddings, mask, positions, input_ids.shape[1])
        label_logits = self.detect(features, view_mask)
        if labels is None and finding_labels is None:
            return MultimodalOutput(logits, label_logits)
        weights = self.config.loss
        penalty = squared_norm(self.projector)
        loss = weights.projector * penalty
        report_loss = detection_loss = None
        report_tokens = detection_labels = 0
        if labels is not None:
            report_loss, report_tokens = report_term(logits, labels)
            loss = loss + weights.report * report_loss
        if finding_labels is not None:
            detection_loss, detection_labels = detection_term(
                label_logits, finding_labels, self.config.targets(), self.positive_weights
            )
            loss = loss + weights.detection * detection_loss
        return MultimodalOutput(
            logits, label_logits, loss, report_loss, detection_loss, penalty, report_tokens, detection_labels
        )

    def _features(self, images: torch.Tensor | None, given: torch.Tensor | None) -> torch.Tensor:
        if given is None:
            if images is None:
                raise CandidateError("neither images nor vision_features are given")
            return self.encode(images)
        views, patches = len(self.config.views), self.config.grid**2
        if given.ndim != 4 or not 1 <= given.shape[1] <= views or given.shape[2] != 1 + patches:
            raise CandidateError(
                f"vision_features have shape {tuple(given.shape)}, not (batch, {views}, {1 + patches}, d_v)"
            )
        return given

    def embed(
        self,
        tokens: torch.Tensor,
        counted: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Image tokens and text as the language model's input.

        Returns:
            Embeddings (batch, all, d_l), their mask (1 counts), and positions, which count over
            what the mask keeps.
        """
        words = self.causal_lm.get_input_embeddings()(input_ids)
        text_mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mask = torch.cat([counted.to(text_mask.dtype), text_mask], dim=1)
        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        return torch.cat([tokens.to(words.dtype), words], dim=1), mask, positions

    def _logits(
        self, embeddings: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, keep: int
    ) -> torch.Tensor:
        """Logits of the last `keep` positions."""
        options: dict[str, Any] = {}
        if self.takes("position_ids"):
            options["position_ids"] = positions
        if self.takes("logits_to_keep"):
            options["logits_to_keep"] = keep
        output = self.language(inputs_embeds=embeddings, attention_mask=mask, use_cache=False, **options)
        logits: torch.Tensor = output.logits[:, -keep:]
        return logits

    def share_of_loss(
        self, output: MultimodalOutput, report_tokens: int, detection_labels: int, batches: int
    ) -> torch.Tensor:
        """A micro-batch's part of the loss of a whole batch, by the configuration's weights.

        See `losses.share_of_loss`.
        """
        return share_of_loss(self.config.loss, output, report_tokens, detection_labels, batches)

    # Reports and files

    def generate(
        self,
        images: torch.Tensor | None,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        view_mask: torch.Tensor | None = None,
        vision_features: torch.Tensor | None = None,
        beams: int | None = None,
        max_new_tokens: int | None = None,
        length_penalty: float | None = None,
        early_stopping: bool = False,
    ) -> list[Generated]:
        """The best answer of a beam search for each prompt; the configuration's settings by default.

        Raises:
            CandidateError: shapes that do not fit, or no room for a token.
            GenerationError: the logits hold NaN.
        """
        from harness.candidates.multimodal.generation import BeamSearch, beam_search

        config = self.config
        search = BeamSearch(
            beams=config.beams if beams is None else beams,
            max_new_tokens=config.max_new_tokens if max_new_tokens is None else max_new_tokens,
            length_penalty=config.length_penalty if length_penalty is None else length_penalty,
            early_stopping=early_stopping,
        )
        with torch.inference_mode():
            features = self._features(images, vision_features)
            tokens, counted = self.project(features, view_mask)
            embeddings, mask, positions = self.embed(tokens, counted, input_ids, attention_mask)
            return beam_search(self.causal_lm, embeddings, mask, positions, search)

    def save_pretrained(
        self,
        directory: str | Path,
        tokenizer: Any = None,
        *,
        dtype: torch.dtype | None = None,
        notes: Sequence[str] = (),
    ) -> str:
        """Writes config.json, model.safetensors, the tokenizer and a model card; see `checkpoints`.

        Args:
            directory: made if it is not there; what it holds of these files is replaced.
            tokenizer: a Hugging Face tokenizer.
            dtype: of the weights on disk, such as torch.float16; as they are where left out.
            notes: paragraphs for the model card: data, command, seed, results.

        Returns:
            The checkpoint's content digest, SHA-256 in hex.
        """
        from harness.candidates.multimodal.checkpoints import save_checkpoint

        return save_checkpoint(self, Path(directory), tokenizer, dtype, notes)

    @classmethod
    def from_pretrained(cls, directory: str | Path, device: str = "cpu") -> RadiologyMultimodalModel:
        """The model of a checkpoint's folder, float32, in evaluation mode.

        Raises:
            CandidateError: no checkpoint, a pickle, a damaged file, or config and weights disagree.
        """
        from harness.candidates.multimodal.checkpoints import load_checkpoint

        return load_checkpoint(Path(directory)).to(device)

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters that receive a gradient as things stand."""
        return ((name, value) for name, value in self.named_parameters() if value.requires_grad)
