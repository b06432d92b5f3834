"""What is trained, on what and how, read from YAML."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.candidates.multimodal.prompts import DETAILS, TEMPLATES
from harness.errors import SuiteError, TrainingError
from harness.yaml_source import KeyPath, Source, read_yaml

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]

QUESTION = "question"
"""The instruction that asks for one finding; the others are names of `TEMPLATES` and `DETAILS`."""
INSTRUCTIONS = (*TEMPLATES, *(name for name in DETAILS if name not in TEMPLATES), QUESTION)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PhantomPart(_Part):
    """A phantom cohort to generate where the locator's folder is not there yet."""

    studies: Count
    seed: Annotated[int, Field(ge=0)]
    """No cohort that is judged may share it; it is written into the model card."""
    test_share: Share = 0.0


class DataPart(_Part):
    """Which studies are learnt from."""

    cohort: str
    """`KIND:PATH?options`, as for `harness run`; a relative path is meant from the working folder."""
    phantom: PhantomPart | None = None
    train: str = "train"
    """The split that the weights are fitted to."""
    validate_on: str = "validate"
    """The split that thresholds, early stopping and the best checkpoint are chosen on."""
    judged: str | None = "test"
    """A split that must share no patient with the other two; it is not read beyond that."""

    @model_validator(mode="after")
    def _apart(self) -> DataPart:
        names = [self.train, self.validate_on, *([self.judged] if self.judged else [])]
        if len(set(names)) < len(names):
            raise ValueError("train, validate_on and judged must be different splits")
        return self


class ModelPart(_Part):
    """The parts that the model is made of."""

    vision: str
    """A ViT's directory (relative to this file) or Hugging Face id; it stays frozen."""
    language: str | dict[str, Any]
    """A causal language model's directory (relative to this file) or id; or a configuration, for one
    with fresh weights, which then must be pretrained here."""
    settings: dict[str, Any] = {}
    """Fields of `MultimodalConfig`, such as projector_hidden, views, lora."""


class LanguagePart(_Part):
    """Stage 0: a language model that starts from nothing first learns the reports' language.

    Text alone, no picture: a tokenizer is made from the training reports, and the model learns to
    write each report behind its prompt. A published model (LLaMA, BioGPT) knows the language already
    and needs no such stage.
    """

    vocabulary: Annotated[int, Field(ge=300)]
    """Tokens of the byte-level BPE."""
    epochs: Count
    learning_rate: Rate


class StagePart(_Part):
    """One stage."""

    epochs: Count
    learning_rate: Rate


class OptimiserPart(_Part):
    """AdamW (Loshchilov and Hutter, ICLR 2019) on a cosine schedule with a linear warm-up."""

    batch: Count = 16
    """Studies a micro-batch, on each process."""
    accumulate: Count = 1
    """Micro-batches a step; the gradient is exactly that of one batch of all of them."""
    warmup: Share = 0.03
    """Share of a stage's steps in which the rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    clip: Positive = 1.0
    """Largest norm of a step's gradient."""
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    """auto: bf16 on a GPU that has it, fp16 on another GPU, float32 on the processor."""


class StoppingPart(_Part):
    """Which epoch of the joint stage is kept, and when to stop; see `harness.training.selection`."""

    patience: Count = 3
    """Epochs without a better loss or critical sensitivity before the stage ends."""
    sensitivity_margin: Share = 0.01
    """How much critical sensitivity below the highest seen the kept epoch may have."""


class TrainingConfig(_Part):
    """A whole training. Build it with `read_training_config`, which names places in errors."""

    name: Name
    title: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    data: DataPart
    model: ModelPart
    language_pretraining: LanguagePart | None = None
    projector: StagePart = StagePart(epochs=5, learning_rate=1e-3)
    """Stage 1: the projection alone; language model and head are frozen."""
    joint: StagePart = StagePart(epochs=10, learning_rate=2e-5)
    """Stage 2: projection, language model (its adapters, with LoRA) and head."""
    optimiser: OptimiserPart = OptimiserPart()
    stopping: StoppingPart = StoppingPart()
    instructions: dict[str, Positive] = {"standard": 1.0}
    """Instruction -> how often it is practised, relative to the others."""
    cache_features: bool = True
    """Encode each picture once and keep the features, memory-mapped; needs the room for them."""
    save_every: Count = 50
    """Steps between two states on disk, from which a killed training goes on."""
    weights_on_disk: Literal["float32", "float16", "bfloat16"] = "float16"
    """Of the final checkpoint; it is validated as it is written."""

    @model_validator(mode="after")
    def _fresh_weights_are_pretrained(self) -> TrainingConfig:
        if isinstance(self.model.language, Mapping) and self.language_pretraining is None:
            raise ValueError(
                "model.language is a configuration, so its weights are random, and a frozen random model "
                "teaches the projection nothing; add language_pretraining, or name a pretrained model"
            )
        if isinstance(self.model.language, str) and self.language_pretraining is not None:
            raise ValueError("model.language is pretrained already; take language_pretraining out")
        if unknown := [name for name in self.instructions if name not in INSTRUCTIONS]:
            raise ValueError(f"no instruction {unknown[0]}; there is {', '.join(INSTRUCTIONS)}")
        if not self.instructions:
            raise ValueError("instructions needs at least one")
        return self


def read_training_config(path: Path) -> TrainingConfig:
    """Reads and checks a training configuration.

    Raises:
        TrainingError: with every problem found, each as `file:line:column: key: what and remedy`.
    """
    try:
        source = read_yaml(path)
    except SuiteError as error:
        raise TrainingError(str(error)) from None
    if not isinstance(source.data, dict):
        raise TrainingError(source.problem((), "a training is a mapping with name, seed, data, model"))
    try:
        config = TrainingConfig.model_validate(source.data)
    except ValidationError as error:
        items = sorted(error.errors(), key=lambda item: source.place(_path(item)))
        raise TrainingError("\n".join(_explain(source, item) for item in items)) from None
    parts = [("vision", config.model.vision), ("language", config.model.language)]
    problems = [
        source.problem(("model", name), f"no such folder: {path.parent / part}; correct it or name an id")
        for name, part in parts
        if isinstance(part, str) and part.startswith((".", "/")) and not (path.parent / part).is_dir()
    ]
    if problems:
        raise TrainingError("\n".join(problems))
    found = {
        name: str((path.parent / part).resolve())
        for name, part in parts
        if isinstance(part, str) and part.startswith((".", "/"))
    }
    return config.model_copy(update={"model": config.model.model_copy(update=found)})


def _path(item: Any) -> KeyPath:
    # A union's alternatives are steps of pydantic's own, and no keys of the file.
    return tuple(part for part in item["loc"] if part not in ("str", "dict[str,any]"))


def _explain(source: Source, item: Any) -> str:
    path, value = _path(item), item.get("input")
    if item["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        return source.problem(path, f"unknown key; {hint}")
    if item["type"] == "missing":
        return source.problem(path, "missing")
    message = str(item["msg"]).removeprefix("Value error, ")
    shown = f" (it is {value!r})" if isinstance(value, str | int | float) else ""
    return source.problem(path, message[0].lower() + message[1:] + shown)


def _known_keys(path: KeyPath) -> list[str]:
    parts: dict[KeyPath, type[BaseModel]] = {
        (): TrainingConfig,
        ("data",): DataPart,
        ("data", "phantom"): PhantomPart,
        ("model",): ModelPart,
        ("language_pretraining",): LanguagePart,
        ("projector",): StagePart,
        ("joint",): StagePart,
        ("optimiser",): OptimiserPart,
        ("stopping",): StoppingPart,
    }
    return list(parts[path].model_fields) if path in parts else []
