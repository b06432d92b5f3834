"""The state of a training on disk: whole or not at all, so that a kill at any moment loses little."""

from __future__ import annotations

import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.errors import TrainingError
from harness.training.history import Epoch, History

_FORMAT: Final = 1


@dataclass(slots=True)
class TrainingState:
    """Where a training is, besides weights and optimiser.

    There is no random generator in it: every draw is a function of seed and position.
    """

    stage: int = 0
    epoch: int = 0
    """Of the stage, from 0."""
    step: int = 0
    """Of the epoch, from 0: the next one to do."""
    sums: dict[str, float] = field(default_factory=dict)
    """Running sums of the epoch that is under way."""
    history: History = field(default_factory=History)
    thresholds: dict[str, float] = field(default_factory=dict)
    """Of the epoch that is kept."""
    tracker_run: str | None = None


def learnt(model: RadiologyMultimodalModel) -> dict[str, torch.Tensor]:
    """The weights that any stage changes: all but the vision encoder and, with adapters, the base."""
    adapters = model.config.lora is not None
    return {
        name: value
        for name, value in model.named_parameters()
        if not name.startswith("vision.")
        and not (adapters and name.startswith("language.") and "lora_" not in name)
    }


def save_state(
    path: Path, key: str, state: TrainingState, model: RadiologyMultimodalModel, extra: dict[str, Any]
) -> None:
    """Writes everything that going on needs, in place in one step.

    Args:
        path: the file.
        key: digest of configuration and studies; another training's state is refused.
        state: the position.
        model: its learnt weights are written.
        extra: state dictionaries by name, such as the optimiser's.

    Raises:
        TrainingError: the file cannot be written; the one before it is as it was.
    """
    values = {
        "format": _FORMAT,
        "key": key,
        "position": {
            "stage": state.stage,
            "epoch": state.epoch,
            "step": state.step,
            "sums": dict(state.sums),
            "epochs": [asdict(epoch) for epoch in state.history.epochs],
            "kept": state.history.kept,
            "thresholds": dict(state.thresholds),
            "tracker_run": state.tracker_run,
        },
        "weights": {name: value.detach().cpu() for name, value in learnt(model).items()},
        "extra": extra,
    }
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            torch.save(values, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        raise TrainingError(
            f"{path}: the state cannot be written ({error}); free space there and give the same command "
            "again: it goes on from the state before"
        ) from None


def load_state(
    path: Path, key: str, model: RadiologyMultimodalModel
) -> tuple[TrainingState, dict[str, Any]] | None:
    """Puts a saved state's weights into the model; None where there is none.

    Raises:
        TrainingError: the file is damaged, or belongs to another configuration or other studies.
    """
    if not path.exists():
        return None
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        found, version = values["key"], values["format"]
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise TrainingError(f"{path}: damaged ({first}); remove it to begin again") from None
    if found != key or version != _FORMAT:
        raise TrainingError(
            f"{path}: the state of a training with another configuration or other studies; give that "
            "configuration again, or name another --out"
        )
    put(model, values["weights"])
    position = values["position"]
    state = TrainingState(
        stage=position["stage"],
        epoch=position["epoch"],
        step=position["step"],
        sums=position["sums"],
        history=History([Epoch(**epoch) for epoch in position["epochs"]], position["kept"]),
        thresholds=position["thresholds"],
        tracker_run=position["tracker_run"],
    )
    return state, values["extra"]


@torch.no_grad()
def put(model: RadiologyMultimodalModel, weights: dict[str, torch.Tensor]) -> None:
    """Copies learnt weights into the model."""
    for name, value in learnt(model).items():
        value.copy_(weights[name])


def save_kept(path: Path, model: RadiologyMultimodalModel) -> None:
    """Writes the learnt weights of the epoch to keep, in place in one step."""
    from safetensors.torch import save_file

    partial = path.with_name(f".{path.name}.partial")
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in learnt(model).items()}
    save_file(tensors, partial)
    os.replace(partial, path)


def load_kept(path: Path, model: RadiologyMultimodalModel) -> None:
    """Puts the kept epoch's weights into the model.

    Raises:
        TrainingError: they are gone or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        put(model, load_file(path))
    except (OSError, SafetensorError, KeyError) as error:
        raise TrainingError(
            f"{path}: the best epoch's weights are gone or damaged ({error}); remove the folder, train again"
        ) from None
