"""Checkpoints: a folder with config.json, model.safetensors, tokenizer and model card."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from harness.candidates.multimodal.card import model_card
from harness.candidates.multimodal.config import read_config
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.multimodal.parts import refuse_pickles
from harness.digests import digest_file, digest_value
from harness.errors import CandidateError

WEIGHTS: Final = "model.safetensors"
_DECIDING: Final = (
    "config.json",
    WEIGHTS,
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)


def checkpoint_digest(directory: Path) -> str:
    """SHA-256 (hex) over configuration, weights and tokenizer; the model card does not count.

    Raises:
        CandidateError: no configuration or no weights; or weights only as a pickle.
    """
    refuse_pickles(directory)
    for name in ("config.json", WEIGHTS):
        if not (directory / name).is_file():
            raise CandidateError(
                f"{directory}: no {name}; a folder written by save_pretrained or harness train is needed"
            )
    files = [directory / name for name in _DECIDING if (directory / name).is_file()]
    return digest_value([[path.name, digest_file(path)] for path in files])


def save_checkpoint(
    model: RadiologyMultimodalModel,
    directory: Path,
    tokenizer: Any = None,
    dtype: torch.dtype | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Writes a checkpoint (see `RadiologyMultimodalModel.save_pretrained`) and returns its digest.

    The weights are written beside the old ones and put in their place in one step.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (tensor.detach() if dtype is None else tensor.detach().to(dtype)).cpu().contiguous()
        for name, tensor in stored_tensors(model).items()
    }
    partial = directory / f".{WEIGHTS}.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    os.replace(partial, directory / WEIGHTS)
    (directory / "config.json").write_text(model.config.to_json(), encoding="utf-8")
    if tokenizer is not None:
        tokenizer.save_pretrained(directory)
    digest = checkpoint_digest(directory)
    (directory / "README.md").write_text(model_card(model, digest, notes), encoding="utf-8")
    return digest


def load_checkpoint(directory: Path) -> RadiologyMultimodalModel:
    """The model of a checkpoint's folder, float32 on the processor, in evaluation mode.

    Raises:
        CandidateError: no checkpoint, a pickle, a damaged file, a weight that is not finite, or
            config and weights disagree; with the tensor.
    """
    config = read_config(directory)
    checkpoint_digest(directory)
    model = RadiologyMultimodalModel(config)
    _load(directory / WEIGHTS, stored_tensors(model))
    return model.eval()


def stored_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The model's tensors by name, each once: of those that are tied, the first name."""
    seen: set[int] = set()
    kept = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            kept[name] = tensor
    return kept


def adapter_tensors(model: RadiologyMultimodalModel) -> dict[str, torch.Tensor]:
    """What training changes where the language model has adapters: these, projection and head."""
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if name.startswith(("projector.", "head.")) or "lora_" in name
    }


def save_adapters(model: RadiologyMultimodalModel, path: Path) -> None:
    """Writes adapters, projection and head as one safetensors file, without the base models.

    Raises:
        CandidateError: the model has no adapters.
    """
    save_file({name: tensor.cpu().contiguous() for name, tensor in _adapters(model).items()}, path)


def load_adapters(model: RadiologyMultimodalModel, path: Path) -> None:
    """Reads what `save_adapters` wrote into a model around the same base models.

    Raises:
        CandidateError: the file is damaged or belongs to another model.
    """
    _load(path, _adapters(model))


def merged(model: RadiologyMultimodalModel) -> RadiologyMultimodalModel:
    """The same model with the adapters added into the language model's own weights.

    Raises:
        CandidateError: the model has no adapters.
    """
    _adapters(model)
    whole = RadiologyMultimodalModel(
        model.config.changed(lora=None), model.vision, model.language.merge_and_unload()
    )
    whole.projector, whole.head = model.projector, model.head
    return whole.train(model.training)


def _adapters(model: RadiologyMultimodalModel) -> dict[str, torch.Tensor]:
    if model.config.lora is None:
        raise CandidateError("the model has no adapters; set lora in its configuration")
    return adapter_tensors(model)


@torch.no_grad()
def _load(path: Path, wanted: dict[str, torch.Tensor]) -> None:
    """Copies a file's tensors into the model's; nothing is copied before all names and shapes agree."""
    try:
        with safe_open(path, framework="pt") as file:
            given = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _agree(path, given, {name: tuple(tensor.shape) for name, tensor in wanted.items()})
            for name, tensor in wanted.items():
                values = file.get_tensor(name)
                if values.is_floating_point() and not bool(values.isfinite().all()):
                    raise CandidateError(
                        f"{path}: {name} holds values that are not finite; training went wrong"
                    )
                tensor.copy_(values)
    except FileNotFoundError:
        raise CandidateError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise CandidateError(f"{path}: not a whole safetensors file ({error}); copy it again") from None


def _agree(path: Path, given: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> None:
    problems = [f"lacks {name}" for name in wanted if name not in given]
    problems += [f"holds {name}, which the model has not" for name in given if name not in wanted]
    problems += [
        f"{name} has shape {list(shape)}, not {list(wanted[name])}"
        for name, shape in given.items()
        if name in wanted and shape != wanted[name]
    ]
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise CandidateError(
            f"{path}: config and weights disagree: {problems[0]}{more}; take both from the same checkpoint"
        )
