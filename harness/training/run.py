"""From a training configuration to a checkpoint: cohort, model, training, and what is written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from harness.candidates.multimodal.checkpoints import checkpoint_digest, merged
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.candidates.multimodal.processor import MultimodalProcessor, load_tokenizer
from harness.candidates.multimodal.prompts import STANDARD, context_lines, detected_line, prompt_text
from harness.cohorts import open_cohort
from harness.cohorts.base import Cohort
from harness.digests import digest_value
from harness.errors import CohortError, TrainingError
from harness.report import FINDINGS, State
from harness.training.config import TrainingConfig
from harness.training.dataset import ReportDataset, refuse_shared_patients
from harness.training.history import Epoch, History
from harness.training.imbalance import (
    CRITICAL_F1,
    SPECIFICITY,
    WEIGHTS_NAME,
    best_thresholds,
    critical_sensitivity,
)
from harness.training.language import train_tokenizer
from harness.training.loop import new_accelerator, train_two_stage
from harness.training.vision import vision_of_size

if TYPE_CHECKING:
    from harness.run import Progress

_TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left."""

    checkpoint: Path
    digest: str
    history: History
    kept: Epoch
    seconds: float
    """Wall time of this call."""
    cpu_seconds: float
    """Processor time of this call, over all cores, without that of other processes."""


def train(
    config: TrainingConfig,
    folder: Path,
    progress: Progress = lambda step, done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> Trained:
    """Runs a whole training, or goes on with one that was interrupted.

    The folder holds `checkpoint` (the model), `history.parquet`, `history.svg`, `run.json`, and what
    going on needs.

    Raises:
        TrainingError: see `train_two_stage`; a patient in two splits. CohortError: studies that
            cannot be read. CandidateError: parts that do not load or do not fit.
    """
    began, cpu = time.monotonic(), time.process_time()
    accelerator = new_accelerator(config.optimiser.precision)
    with accelerator.main_process_first():  # what one has drawn or encoded, the others find
        learn, validation, judged = open_splits(config, progress)
        model, processor = build(config, learn)
        train_data = ReportDataset(learn, processor, config.instructions, config.seed)
        val_data = ReportDataset(validation, processor, seed=config.seed)
        refuse_shared_patients(train_data, val_data, judged)
        if config.cache_features:
            states = model.vision.state_dict().items()
            name = digest_value([[key, float(value.double().sum())] for key, value in states])
            for data in (train_data, val_data):
                data.encode_pictures(model, folder / "features", name, progress)
    if accelerator.is_main_process:
        say(f"{len(train_data):,} studies to learn from, {len(val_data):,} to validate on")
    history = train_two_stage(model, train_data, val_data, config, folder=folder, progress=progress, say=say)
    kept = next(e for e in history.epochs if e.stage == 2 and e.epoch == history.kept)
    whole = merged(model) if model.config.lora is not None else model
    dtype = _TYPES[config.weights_on_disk]
    sensitivity = settle(whole, val_data, dtype)
    checkpoint = folder / "checkpoint"
    if accelerator.is_main_process:
        notes = card_notes(config, learn, train_data, val_data, history, kept, sensitivity)
        whole.save_pretrained(checkpoint, processor.tokenizer, dtype=dtype, notes=notes)
    accelerator.wait_for_everyone()
    RadiologyMultimodalModel.from_pretrained(checkpoint)  # what was written is what can be read
    done = Trained(
        checkpoint,
        checkpoint_digest(checkpoint),
        history,
        kept,
        time.monotonic() - began,
        time.process_time() - cpu,
    )
    record = {
        "name": config.name,
        "seed": config.seed,
        "digest": done.digest,
        "kept_epoch": history.kept,
        "train_studies": len(train_data),
        "validation_studies": len(val_data),
        "validation_report_loss": kept.validation_report_loss,
        "critical_sensitivity": sensitivity,
        "seconds": round(done.seconds, 1),
        "cpu_seconds": round(done.cpu_seconds, 1),
    }
    if accelerator.is_main_process:
        (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return done


def open_splits(config: TrainingConfig, progress: Progress) -> tuple[Cohort, Cohort, Cohort | None]:
    """The cohorts to learn from, to validate on, and, where there is one, the split that is judged.

    Raises:
        CohortError: the cohort cannot be read, or lacks a split to learn from or validate on.
    """
    data = config.data
    if data.phantom is not None:
        from harness.engines.local import default_workers
        from harness.phantom import make_phantom

        kind, _, rest = data.cohort.partition(":")
        if kind != "phantom":
            raise TrainingError(f"data.phantom makes a phantom cohort, but data.cohort is of kind {kind}")
        part = data.phantom
        make_phantom(
            Path(rest.partition("?")[0]),
            part.studies,
            part.seed,
            test_share=part.test_share,
            workers=default_workers(),
            progress=lambda done: progress("drawing phantoms", done, part.studies),
        )
    learn = open_cohort(data.cohort, split=data.train)
    validation = open_cohort(data.cohort, split=data.validate_on)
    judged = None
    if data.judged is not None:
        try:
            judged = open_cohort(data.cohort, split=data.judged)
        except CohortError as error:
            if "no split" not in str(error):
                raise
    return learn, validation, judged


def build(config: TrainingConfig, cohort: Cohort) -> tuple[RadiologyMultimodalModel, MultimodalProcessor]:
    """The model of a configuration, and its processor; fresh weights are a function of the seed.

    Raises:
        CandidateError: a part does not load, or what results is no valid configuration.
    """
    torch.manual_seed(config.seed)
    language: str | dict[str, Any] = config.model.language
    if isinstance(language, Mapping):
        assert config.language_pretraining is not None  # noqa: S101 - the configuration was checked
        tokenizer = train_tokenizer(texts(cohort), config.language_pretraining.vocabulary)
        language = {
            **language,
            "vocab_size": len(tokenizer),
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
        }
    elif Path(language).is_dir():
        tokenizer = load_tokenizer(Path(language))
    else:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(language, trust_remote_code=False)
    settings = config.model.settings
    with vision_of_size(config.model.vision, settings.get("image_size")) as vision:
        model = RadiologyMultimodalModel.from_parts(vision, language, **settings)
    return model, MultimodalProcessor(model.config, tokenizer)


def texts(cohort: Cohort) -> list[str]:
    """Prompts and reports of a cohort, for a tokenizer."""
    found = []
    for case in cohort:
        lines, indication = context_lines(case.study.context, ["frontal", "lateral"])
        named = [] if case.reference.labels is None else [
            finding for finding, code in zip(FINDINGS, case.reference.labels.tolist(), strict=True)
            if code in (State.POSITIVE, State.UNCERTAIN)
        ]  # fmt: skip
        found.append(prompt_text([*lines, detected_line(named)], indication, STANDARD))
        found.append(STANDARD.target(case.reference.findings, case.reference.impression))
    return found


@torch.inference_mode()
def settle(model: RadiologyMultimodalModel, data: ReportDataset, dtype: torch.dtype) -> float:
    """Rounds the weights to what goes to disk and chooses the head's thresholds for them.

    Returns:
        Critical sensitivity of the head on the validation studies, see `critical_sensitivity`.
    """
    for parameter in model.parameters():
        parameter.copy_(parameter.to(dtype).to(parameter.dtype))
    scores = []
    for start in range(0, len(data), _CHUNK):
        features, mask = data.features(range(start, min(start + _CHUNK, len(data))), model)
        scores.append(torch.sigmoid(model.detect(features, mask)).double().cpu().numpy())
    targets = data.targets()
    every = np.concatenate(scores)
    thresholds = best_thresholds(every, targets)
    model.config = model.config.changed(thresholds=thresholds)
    return critical_sensitivity(every, targets)


def card_notes(
    config: TrainingConfig,
    cohort: Cohort,
    train_data: ReportDataset,
    val_data: ReportDataset,
    history: History,
    kept: Epoch,
    sensitivity: float,
) -> list[str]:
    """Paragraphs for the model card: data, recipe, seed, figures on the validation studies."""
    phantom = config.data.phantom
    where = f", generated from seed {phantom.seed}" if phantom else ""
    stages = []
    if config.language_pretraining:
        stages.append(
            f"stage 0, the language model on the reports' text alone: {len(history.of_stage(0))} epochs, "
            f"rate {config.language_pretraining.learning_rate:g}"
        )
    stages.append(
        f"stage 1, the projection: {len(history.of_stage(1))} epochs, rate {config.projector.learning_rate:g}"
    )
    stages.append(
        f"stage 2, projection, language model and head: {len(history.of_stage(2))} epochs, rate "
        f"{config.joint.learning_rate:g}; epoch {history.kept} kept"
    )
    return [
        f"Trained by `harness train` from the configuration `{config.name}`, seed {config.seed}, on "
        f"{len(train_data):,} studies of a {cohort.name} cohort{where}; {len(val_data):,} studies of other "
        "patients chose the kept epoch and the thresholds.",
        "; ".join(stages) + ".",
        f"Positive weights of the head: {WEIGHTS_NAME}. Thresholds: of the best F1; for a critical finding "
        f"the lowest with at least {CRITICAL_F1:.0%} of it.",
        f"On the validation studies: report loss {kept.validation_report_loss:.4f} nats a token; critical "
        f"sensitivity of the head {sensitivity:.3f} at a specificity of {SPECIFICITY:g}.",
    ]
