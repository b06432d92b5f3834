"""What a multimodal checkpoint is made of: `config.json`, strict, every size in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.errors import CandidateError
from harness.report import FINDINGS, Finding, State

MODEL_TYPE: Final = "radiology-multimodal"
IGNORED: Final = -100
"""Label of a token that does not count in L_report."""
ViewName = Literal["frontal", "lateral"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class LossWeights(_Strict):
    """L = report L_report + detection L_detect + projector ||theta_proj||^2."""

    report: Weight = 1.0
    detection: Weight = 0.5
    projector: Weight = 1e-4


class LoraConfig(_Strict):
    """Low-rank adapters of the language model (Hu et al., ICLR 2022), through peft."""

    r: Count = 16
    alpha: Positive = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    target_modules: tuple[str, ...] = ("q_proj", "v_proj")


class MultimodalConfig(_Strict):
    """The configuration of a checkpoint.

    Raises:
        pydantic.ValidationError: a key is unknown, missing, of the wrong type or out of range, or
            the sizes contradict each other. `read_config` says the same with the file's name.
    """

    model_type: Literal["radiology-multimodal"] = MODEL_TYPE
    vision: dict[str, Any]
    """A Hugging Face ViT configuration (`model_type` "vit")."""
    language: dict[str, Any]
    """A Hugging Face causal language model's configuration, with its `model_type`."""
    projector_hidden: Count = 2048
    """d_h of H_v = W2 GELU(W1 Z_v + b1) + b2."""
    image_size: Count = 512
    """Pixels along each side of the square, grey input."""
    image_mean: Annotated[float, Field(allow_inf_nan=False)] = 0.5
    image_std: Positive = 0.5
    """Of grey values in [0, 1]; a ViT of three channels is given the normalised plane three times."""
    views: tuple[ViewName, ...] = ("frontal", "lateral")
    """Which pictures of a study enter, each in its own place."""
    findings: tuple[Finding, ...] = FINDINGS
    """What the head's outputs stand for; the 14, in CheXpert's order."""
    loss: LossWeights = LossWeights()
    uncertain_policy: Literal["ignore", "positive", "negative"] = "ignore"
    """How an uncertain finding label counts: U-Ignore, U-Ones, U-Zeros (Irvin et al., AAAI 2019)."""
    blank_policy: Literal["ignore", "negative"] = "negative"
    """How a finding that the labels do not mention counts. One that is not covered never counts."""
    positive_weights: tuple[Positive, ...] | None = None
    """Weight of the positive class of each finding, 14; None: 1."""
    thresholds: dict[Finding, Probability] = {}
    """From which probability on the head is taken to see a finding; 0.5 where none is given."""
    review_threshold: Probability = 0.5
    """A stated finding of which the head is less sure than this needs a radiologist's eye."""
    detections_in_prompt: bool = False
    """Whether the prompt names the findings that the head sees, so that the text follows the head
    (diagnosis-driven prompts: Jin et al., AAAI 2024); the pictures then add side, place and size."""
    max_new_tokens: Count = 160
    beams: Count = 4
    length_penalty: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """Beams are ranked by log probability / length ** length_penalty."""
    lora: LoraConfig | None = None

    @field_validator("views")
    @classmethod
    def _views_once(cls, views: tuple[ViewName, ...]) -> tuple[ViewName, ...]:
        if not views or len(set(views)) != len(views):
            raise ValueError("name frontal, lateral, or both, each once")
        return views

    @field_validator("findings")
    @classmethod
    def _all_findings(cls, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        if findings != FINDINGS:
            raise ValueError("must be the 14 CheXpert findings in CheXpert's order")
        return findings

    @field_validator("positive_weights")
    @classmethod
    def _a_weight_each(cls, weights: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if weights is not None and len(weights) != len(FINDINGS):
            raise ValueError(f"needs {len(FINDINGS)} weights, one a finding; it has {len(weights)}")
        return weights

    @model_validator(mode="after")
    def _sizes_agree(self) -> MultimodalConfig:
        if self.vision.get("model_type") != "vit":
            raise ValueError(f"vision.model_type must be vit, not {self.vision.get('model_type')}")
        if not isinstance(self.language.get("model_type"), str):
            raise ValueError("language.model_type must name a causal language model, such as llama")
        size, patch = self.vision.get("image_size", 224), self.vision.get("patch_size", 16)
        channels = self.vision.get("num_channels", 3)
        if not isinstance(patch, int) or patch < 1:
            raise ValueError("vision.patch_size must be a whole number of pixels, 1 or more")
        if size != self.image_size:
            raise ValueError(
                f"image_size is {self.image_size}, but the vision encoder takes {size}; set both alike"
            )
        if size % patch:
            raise ValueError(f"image_size {size} is no multiple of the vision encoder's patch_size {patch}")
        if channels not in (1, 3):
            raise ValueError(f"vision.num_channels must be 1 or 3, not {channels}")
        return self

    @property
    def grid(self) -> int:
        """Patches along each side of a picture."""
        return int(self.image_size // self.vision.get("patch_size", 16))

    @property
    def prefix_length(self) -> int:
        """Image tokens that stand before the text."""
        return len(self.views) * self.grid**2

    def threshold(self, finding: Finding) -> float:
        """From which probability on the head sees a finding."""
        return self.thresholds.get(finding, 0.5)

    def targets(self) -> dict[State, float | None]:
        """What a label of each state counts as in L_detect; None: it does not count."""
        uncertain = {"ignore": None, "positive": 1.0, "negative": 0.0}[self.uncertain_policy]
        blank = {"ignore": None, "negative": 0.0}[self.blank_policy]
        return {
            State.NOT_COVERED: None,
            State.NOT_MENTIONED: blank,
            State.POSITIVE: 1.0,
            State.NEGATIVE: 0.0,
            State.UNCERTAIN: uncertain,
        }

    def changed(self, **changes: Any) -> MultimodalConfig:
        """A checked copy with some fields changed.

        Raises:
            CandidateError: what results is no configuration.
        """
        return checked_config({**self.model_dump(mode="json"), **changes}, "configuration")

    def to_json(self) -> str:
        """As written to `config.json`."""
        return self.model_dump_json(indent=1) + "\n"


def checked_config(values: Any, place: str) -> MultimodalConfig:
    """A configuration from plain values; `place` stands in front of every error.

    Raises:
        CandidateError: every problem, `place: key: what`.
    """
    try:
        return MultimodalConfig.model_validate(values)
    except ValidationError as error:
        problems = [
            f"{place}: {'.'.join(map(str, found['loc'])) or 'sizes'}: "
            f"{found['msg'].removeprefix('Value error, ')}"
            for found in error.errors(include_url=False, include_input=False)
        ]
        raise CandidateError("\n".join(problems)) from None


def read_config(directory: Path) -> MultimodalConfig:
    """The configuration of a checkpoint's folder.

    Raises:
        CandidateError: there is none, or it cannot be used; with every problem.
    """
    path = directory / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CandidateError(
            f"{directory}: no config.json; a folder written by save_pretrained or harness train is needed"
        ) from None
    except (OSError, ValueError) as error:
        raise CandidateError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(values, dict) or values.get("model_type") != MODEL_TYPE:
        found = values.get("model_type") if isinstance(values, dict) else type(values).__name__
        raise CandidateError(
            f"{path}: model_type is {found}, not {MODEL_TYPE}; to start from a ViT and a language model: "
            "RadiologyMultimodalModel.from_parts"
        )
    return checked_config(values, str(path))
