"""The model card of a checkpoint (Mitchell et al., FAT* 2019), as far as the checkpoint knows itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.report import FINDINGS

if TYPE_CHECKING:
    from torch import nn

    from harness.candidates.multimodal.model import RadiologyMultimodalModel


def model_card(model: RadiologyMultimodalModel, digest: str, notes: Sequence[str] = ()) -> str:
    """README.md of a checkpoint, Markdown.

    Args:
        model: what was saved.
        digest: content digest of configuration, weights and tokenizer.
        notes: what only the maker knows: data, command, seed, results; a paragraph each.
    """
    config = model.config
    loss = config.loss
    weights = "1 for every finding"
    if config.positive_weights is not None:
        pairs = zip(FINDINGS, config.positive_weights, strict=True)
        weights = ", ".join(f"{finding} {weight:.3g}" for finding, weight in pairs)
    adapters = ""
    if config.lora is not None:
        adapters = f", LoRA r = {config.lora.r}, alpha = {config.lora.alpha:g}"
    lines = [
        "---",
        "library_name: harness",
        "pipeline_tag: image-to-text",
        "---",
        "# Radiology report generator",
        "",
        "Writes a draft report of a chest X-ray for a radiologist to read. Not a medical device; not for",
        "patients before a suite of the harness has passed it and a radiologist signs each report.",
        "",
        "| part | size | parameters |",
        "|---|---|---|",
        f"| vision encoder (ViT, frozen) | {config.image_size} px, {config.grid} x {config.grid} patches, "
        f"d_v = {model.vision.config.hidden_size} | {_count(model.vision)} |",
        f"| projection | d_h = {config.projector_hidden} | {_count(model.projector)} |",
        f"| language model ({config.language['model_type']}{adapters}) | d_l = {model.language_size} "
        f"| {_count(model.language)} |",
        f"| finding head on CLS | {len(FINDINGS)} findings | {_count(model.head)} |",
        "",
        f"- Views: {', '.join(config.views)}; grey values normalised with mean {config.image_mean:g}, "
        f"standard deviation {config.image_std:g}.",
        f"- Loss: {loss.report:g} L_report + {loss.detection:g} L_detect + {loss.projector:g} "
        "||theta_proj||^2.",
        f"- Finding labels: uncertain {config.uncertain_policy}, not mentioned {config.blank_policy}; "
        f"positive weights: {weights}.",
        f"- Beam search: {config.beams} beams, length penalty {config.length_penalty:g}, at most "
        f"{config.max_new_tokens} tokens.",
        *(
            [
                "- The prompt names what the head sees; what the text then leaves out is asked for alone and "
                "put in, and sent to review if it is critical."
            ]
            if config.detections_in_prompt
            else []
        ),
        f"- A stated finding below {config.review_threshold:g} of the head's probability is sent to review.",
        f"- SHA-256 of configuration, weights and tokenizer: `{digest}`",
    ]
    for note in notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def _count(part: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in part.parameters()):,}"
