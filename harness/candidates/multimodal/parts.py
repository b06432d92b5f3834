"""Vision encoders and language models from Hugging Face directories, ids or bare configurations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from torch import nn

from harness.candidates.multimodal.config import LoraConfig, MultimodalConfig
from harness.errors import CandidateError
from harness.report import FINDINGS, Finding

PICKLES: Final = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_SIZES: Final = {
    "vision": ("hidden_size", "image_size", "patch_size", "num_channels", "num_hidden_layers"),
    "language": ("model_type", "hidden_size", "vocab_size", "num_hidden_layers"),
}


@dataclass(slots=True)
class VisionPart:
    """A ViT, and what else its directory knows."""

    encoder: Any
    """A `transformers.ViTModel` without pooler."""
    head: dict[Finding, tuple[torch.Tensor, float]] = field(default_factory=dict)
    """Weight (d_v,) and bias of a classifier's outputs that are named like findings."""
    settings: dict[str, Any] = field(default_factory=dict)
    """image_mean, image_std and thresholds, where the directory states them."""


def language_config(values: Mapping[str, Any]) -> Any:
    """A `transformers` configuration of a causal language model from plain values.

    Raises:
        CandidateError: a model type that is not known or writes no text, or a value that it refuses.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = values.get("model_type")
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise CandidateError(f"language.model_type {kind}: no causal language model of this name is known")
    try:
        return AutoConfig.for_model(**{key: value for key, value in values.items() if key != "architectures"})
    except Exception as error:
        raise CandidateError(f"language: not a configuration of {kind}: {_first(error)}") from None


def plain(config: Any) -> dict[str, Any]:
    """A `transformers` configuration as plain values, less what says where and when it was made."""
    left_out = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
    return {key: value for key, value in config.to_dict().items() if key not in left_out}


def new_language(values: Mapping[str, Any]) -> Any:
    """An untrained language model.

    Raises:
        CandidateError: as `language_config`, or sizes that do not fit one another.
    """
    from transformers import AutoModelForCausalLM

    config = language_config(values)
    try:
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except Exception as error:
        raise CandidateError(f"language: cannot be built from its configuration: {_first(error)}") from None


def new_vision(values: Mapping[str, Any]) -> Any:
    """An untrained ViT.

    Raises:
        CandidateError: sizes that do not fit one another.
    """
    from transformers import ViTConfig, ViTModel

    try:
        return ViTModel(ViTConfig(**values), add_pooling_layer=False)
    except Exception as error:
        raise CandidateError(f"vision: cannot be built from its configuration: {_first(error)}") from None


def load_vision(source: str | Path) -> VisionPart:
    """A ViT from a directory or id: `ViTModel`, `ViTForImageClassification` or another ViT's.

    Raises:
        CandidateError: it does not load, is no ViT, comes as a pickle, or its config and weights
            disagree.
    """
    from transformers import ViTForImageClassification, ViTModel

    config = _config_of(source)
    if getattr(config, "model_type", "") != "vit":
        raise CandidateError(
            f"{source}: model_type is {config.model_type}; a ViT is needed as vision encoder"
        )
    classifier = "ViTForImageClassification" in (config.architectures or ())
    if classifier:
        whole = _pretrained(ViTForImageClassification, source)
        part = VisionPart(whole.vit)
        for row, name in sorted(config.id2label.items()):
            if name in set(map(str, FINDINGS)):
                weight = whole.classifier.weight[row].detach().clone()
                part.head[Finding(name)] = (weight, float(whole.classifier.bias[row].detach()))
    else:
        part = VisionPart(_pretrained(ViTModel, source, add_pooling_layer=False))
    part.settings = _settings(Path(source))
    return part


def load_language(source: str | Path) -> Any:
    """A causal language model from a directory or id.

    Raises:
        CandidateError: it does not load, comes as a pickle, or its config and weights disagree.
    """
    from transformers import AutoModelForCausalLM

    language_config(_config_of(source).to_dict())
    return _pretrained(AutoModelForCausalLM, source)


def check_fit(vision: Any, language: Any, config: MultimodalConfig) -> None:
    """Compares parts with the configuration that they are put together by.

    Raises:
        CandidateError: a size differs.
    """
    from transformers import ViTConfig

    parts = (
        ("vision", "vision encoder", vision.config, ViTConfig(**config.vision)),
        ("language", "language model", language.config, language_config(config.language)),
    )
    for section, part, have, want in parts:
        for name in _SIZES[section]:
            if getattr(have, name) != getattr(want, name):
                raise CandidateError(
                    f"the {part}'s {name} is {getattr(have, name)} and the configuration says "
                    f"{getattr(want, name)}; set {section}.{name} to the {part}'s, or take another"
                )


def with_adapters(language: nn.Module, lora: LoraConfig) -> Any:
    """The language model with low-rank adapters; its own weights are frozen by peft.

    Raises:
        CandidateError: peft is not installed, or no module has one of the names.
    """
    try:
        import peft
    except ImportError:
        raise CandidateError("lora needs the package peft; install it: pip install peft") from None
    settings = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number will do
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type="CAUSAL_LM",
    )
    try:
        return peft.get_peft_model(language, settings)
    except ValueError as error:
        raise CandidateError(f"lora.target_modules: {_first(error)}") from None


def refuse_pickles(directory: Path) -> None:
    """Stops where a folder holds weights only as pickles, which can run code when read.

    Raises:
        CandidateError: it does.
    """
    if (directory / "model.safetensors").is_file() or any(directory.glob("model*.safetensors")):
        return
    found = sorted(path.name for path in directory.glob("*") if path.suffix in PICKLES)
    if found:
        raise CandidateError(
            f"{directory / found[0]}: a pickle, which can run code when it is read; convert it once where "
            "you trust it: load it with transformers and save_pretrained(safe_serialization=True)"
        )


def _config_of(source: str | Path) -> Any:
    from transformers import AutoConfig

    if isinstance(source, Path) and not source.is_dir():
        raise CandidateError(f"{source}: no such folder")
    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:
        raise CandidateError(f"{source}: no Hugging Face model: {_first(error)}") from None


def _pretrained(cls: Any, source: str | Path, **options: Any) -> Any:
    from transformers.utils import logging

    if Path(source).is_dir():
        refuse_pickles(Path(source))
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, info = cls.from_pretrained(
            source,
            use_safetensors=True,
            output_loading_info=True,
            trust_remote_code=False,
            dtype=torch.float32,
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise CandidateError(f"{source}: does not load as {cls.__name__}: {_first(error)}") from None
    # A ViT's classifier, pooler or mask token is no part of the encoder and may be left behind.
    extra = ("classifier.", "pooler.", "vit.pooler.", "decoder.", "embeddings.mask_token")
    unexpected = [name for name in info["unexpected_keys"] if not name.startswith(extra)]
    wrong = [*info["missing_keys"], *unexpected, *(name for name, *_ in info["mismatched_keys"])]
    if wrong:
        raise CandidateError(
            f"{source}: config and weights disagree on {len(wrong)} tensors, first {wrong[0]}; take both "
            "from the same checkpoint"
        )
    return model


def _settings(directory: Path) -> dict[str, Any]:
    """What a ViT's directory says of its input and thresholds, as fields of `MultimodalConfig`."""
    settings: dict[str, Any] = {}
    try:
        if (path := directory / "preprocessor_config.json").is_file():
            stated = json.loads(path.read_text(encoding="utf-8"))
            for name in ("image_mean", "image_std"):
                if name in stated:  # one grey plane: the mean over the channels
                    values = stated[name] if isinstance(stated[name], list) else [stated[name]]
                    settings[name] = sum(values) / len(values)
        if (path := directory / "thresholds.json").is_file():
            settings["thresholds"] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, ZeroDivisionError) as error:
        raise CandidateError(f"{path}: not readable: {_first(error)}") from None
    return settings


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
