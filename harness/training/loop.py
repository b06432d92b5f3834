"""The training loop: stage 0 where asked for, the projection, then everything but the encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from harness.candidates.multimodal.checkpoints import stored_tensors
from harness.candidates.multimodal.config import IGNORED
from harness.candidates.multimodal.model import RadiologyMultimodalModel
from harness.digests import digest_value
from harness.errors import TrainingError
from harness.training.config import LanguagePart, StagePart, TrainingConfig
from harness.training.dataset import ReportDataset
from harness.training.evaluation import evaluate
from harness.training.history import STAGES, Epoch, History, Tracker
from harness.training.imbalance import positive_weights
from harness.training.language import TextOnly, WithPictures
from harness.training.sampler import Sampler, dealt
from harness.training.schedule import rate_at
from harness.training.selection import Score, best_epoch, should_stop
from harness.training.state import TrainingState, load_kept, load_state, save_kept, save_state

if TYPE_CHECKING:
    from harness.run import Progress

Part = StagePart | LanguagePart
LANGUAGE, PROJECTOR, JOINT = range(3)
_BETAS: Final = (0.9, 0.98)
STATE, KEPT = "state.pt", "kept.safetensors"


def train_two_stage(
    model: RadiologyMultimodalModel,
    train_dataset: ReportDataset,
    val_dataset: ReportDataset,
    config: TrainingConfig,
    *,
    folder: Path | None = None,
    progress: Progress = lambda step, done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> History:
    """Trains a model in two stages, after LLaVA (Liu et al., NeurIPS 2023).

    Stage 1 fits the projection alone, with language model and head frozen; stage 2 fits projection,
    language model (its adapters, with LoRA) and head. The vision encoder is frozen throughout. Where
    the configuration has `language_pretraining`, stage 0 fits the language model alone to the reports'
    text before. The kept epoch of stage 2 (see `harness.training.selection`) is in the model at the
    end, with the thresholds chosen for it.

    Everything is a function of the configuration and the studies: killed at any moment and started
    again on the same folder, a training goes on from its last state and, on one processor, ends with
    the same history and weights bit for bit. Runs under `accelerate launch` on several GPUs; the
    gradient of a step is the same for any split of its studies into micro-batches and processes.

    Args:
        model: as built; trained in place.
        train_dataset: what is learnt from.
        val_dataset: what thresholds, stopping and the kept epoch are chosen on; other patients.
        config: the recipe.
        folder: of states and the kept weights; `runs/training/NAME` where left out.
        progress: called with a step's name, how many are done, and how many there are.
        say: called with a line for the reader, one an epoch.

    Returns:
        One row an epoch.

    Raises:
        TrainingError: a loss or gradient is not finite (the last state on disk stays), a damaged
            state or one of another training, or a folder that cannot be written.
    """
    return _Training(
        model,
        train_dataset,
        val_dataset,
        config,
        folder or Path("runs/training") / config.name,
        progress,
        say,
    ).run()


class _Training:
    def __init__(
        self,
        model: RadiologyMultimodalModel,
        train: ReportDataset,
        validation: ReportDataset,
        config: TrainingConfig,
        folder: Path,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self.model, self.train, self.validation = model, train, validation
        self.config, self.folder, self.progress = config, folder, progress
        self.accelerator = new_accelerator(config.optimiser.precision)
        self.main = self.accelerator.is_main_process
        self.say = say if self.main else lambda text: None
        optimiser = config.optimiser
        self.group = optimiser.accumulate * self.accelerator.num_processes
        self.sampler = Sampler(
            train.lengths,
            optimiser.batch,
            self.group,
            config.seed,
        )
        if model.config.positive_weights is None:
            weights = positive_weights(train.targets())
            model.config = model.config.changed(positive_weights=weights)
            model.positive_weights.copy_(torch.tensor(weights))
        self.counts = ~torch.from_numpy(train.targets()).isnan()
        # What decides the numbers: the recipe, the studies, the shapes; not where files lie.
        apart = {"data", "model", "save_every", "cache_features"}
        self.key = digest_value([
            config.model_dump(mode="json", exclude=apart),
            model.config.model_dump(mode="json"),
            train.digest(),
            validation.digest(),
            self.group,
            shape_of(model),
        ])  # fmt: skip
        self.state = TrainingState()

    def run(self) -> History:
        folder, config = self.folder, self.config
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{folder}: cannot be made: {error.strerror}; name another --out") from None
        self.model.to(self.accelerator.device)
        found = load_state(folder / STATE, self.key, self.model)
        extra: dict[str, Any] = {}
        if found is not None:
            self.state, extra = found
            if self.state.stage < len(STAGES):
                stage, epoch, step = STAGES[self.state.stage], self.state.epoch + 1, self.state.step + 1
                self.say(f"going on from {stage}, epoch {epoch}, step {step}")
        self.tracker = None
        if self.main:
            settings = {"seed": config.seed, "studies": len(self.train), "key": self.key}
            self.tracker = Tracker(folder, config.name, settings, self.say, self.state.tracker_run)
            self.state.tracker_run = self.tracker.run
        parts = (config.language_pretraining, config.projector, config.joint)
        try:
            while self.state.stage < len(parts):
                self._stage(self.state.stage, parts[self.state.stage], extra)
                extra = {}
        except BaseException:
            if self.tracker:
                self.tracker.end([], failed=True)
            raise
        load_kept(folder / KEPT, self.model)
        self.model.config = self.model.config.changed(thresholds=self.state.thresholds)
        self.model.requires_grad_(False)
        self.model.eval()
        if self.main:
            self._write_history()
            if self.tracker:
                self.tracker.end([folder / "history.parquet", folder / "history.svg"])
        return self.state.history

    def _stage(self, stage: int, part: Part | None, extra: dict[str, Any]) -> None:
        """One stage, from where the state is to its end."""
        accelerator, state, options = self.accelerator, self.state, self.config.optimiser
        steps = self.sampler.steps
        if part is not None:
            train_only(self.model, stage)
            module: nn.Module = (
                TextOnly(self.model) if stage == LANGUAGE else WithPictures(self.model, stage == JOINT)
            )
            parameters = [value for _, value in self.model.trainable()]
            optimizer = torch.optim.AdamW(
                parameters, lr=part.learning_rate, betas=_BETAS, weight_decay=options.weight_decay
            )
            module, optimizer = accelerator.prepare(module, optimizer)
            if extra:
                optimizer.load_state_dict(extra["optimizer"])
                if accelerator.scaler is not None and "scaler" in extra:
                    accelerator.scaler.load_state_dict(extra["scaler"])
            module.train()
            while state.epoch < part.epochs:
                order = self.sampler.epoch(stage, state.epoch)
                name = f"{STAGES[stage]} {state.epoch + 1}/{part.epochs}"
                while state.step < steps:
                    number = state.epoch * steps + state.step
                    rate = rate_at(number, part.epochs * steps, part.learning_rate, options.warmup)
                    self._step(stage, number, module, optimizer, order[state.step], rate)
                    state.step += 1
                    self.progress(name, state.step, steps)
                    if (number + 1) % self.config.save_every == 0 and state.step < steps:
                        self._save(optimizer)
                stop = self._end_of_epoch(stage, part, module, steps, rate)
                state.epoch, state.step, state.sums = state.epoch + 1, 0, {}
                if stop:
                    break
                if state.epoch < part.epochs:
                    self._save(optimizer)
            accelerator.free_memory()
        state.stage, state.epoch, state.step = stage + 1, 0, 0
        self._save(None)

    def _step(
        self,
        stage: int,
        number: int,
        module: nn.Module,
        optimizer: Any,
        studies: Sequence[Any],
        rate: float,
    ) -> None:
        """One step of the optimiser, over all micro-batches of all processes."""
        accelerator, config = self.accelerator, self.config
        process, processes = accelerator.process_index, accelerator.num_processes
        # Dropout is a function of the position, so that a resumed training needs no generator's state.
        torch.manual_seed(int(digest_value([config.seed, stage, number, process])[:12], 16))
        mine = dealt(studies, process, processes)
        turn = 1000 * stage + number // self.sampler.steps
        batches = [self.train.batch(indices, turn) for indices in mine]
        counted = torch.tensor([
            sum(int((batch.labels[:, 1:] != IGNORED).sum()) for batch in batches),
            sum(int(self.counts[indices].sum()) for indices in mine),
        ], device=accelerator.device)  # fmt: skip
        tokens, labels = (int(value) for value in accelerator.reduce(counted, "sum"))
        for group in optimizer.param_groups:
            group["lr"] = rate
        terms = torch.zeros(3, dtype=torch.float64)
        for place, batch in enumerate(batches):
            last = place == len(batches) - 1
            with nullcontext() if last else accelerator.no_sync(module):
                output = module(batch.to(accelerator.device))
                part = self.model.share_of_loss(output, tokens, labels, self.group)
                # Processes' gradients are averaged; the parts are meant to be added.
                accelerator.backward(part * processes)
            terms += torch.stack([
                part.detach(),
                output.report_loss.detach() * output.report_tokens,
                part.new_zeros(()) if output.detection_loss is None
                else output.detection_loss.detach() * output.detection_labels,
            ]).cpu()  # fmt: skip
        terms = terms.to(accelerator.device, torch.float32)
        loss, report, detection = accelerator.reduce(terms, "sum").tolist()
        norm = float(accelerator.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]],
                                                 config.optimiser.clip))  # fmt: skip
        if not math.isfinite(loss) or (accelerator.scaler is None and not math.isfinite(norm)):
            raise TrainingError(
                f"the {'gradient' if math.isfinite(loss) else 'loss'} of {STAGES[stage]} step {number + 1} "
                f"is not finite: lower that stage's learning_rate, or take precision: float32; "
                f"{self.folder / STATE} holds the last good state, as far as there is one"
            )
        optimizer.step()
        optimizer.zero_grad()
        added = {
            "loss": loss,
            "report": report,
            "tokens": tokens,
            "detection": detection,
            "labels": labels if stage == JOINT else 0,
            "norm": norm if math.isfinite(norm) else 0.0,
        }
        for name, value in added.items():
            self.state.sums[name] = self.state.sums.get(name, 0.0) + value

    def _end_of_epoch(self, stage: int, part: Part, module: nn.Module, steps: int, rate: float) -> bool:
        """Validates, keeps the epoch if it is the best; returns whether to stop."""
        state, sums = self.state, self.state.sums

        standing = evaluate(
            module,
            self.validation,
            self.accelerator,
            self.model.config.loss,
            self.config.optimiser.batch,
        )
        if not math.isfinite(standing.loss):
            raise TrainingError(
                f"the validation loss of {STAGES[stage]} epoch {state.epoch + 1} is not finite; lower that "
                "stage's learning_rate"
            )
        nan = float("nan")
        epoch = Epoch(
            stage=stage,
            epoch=state.epoch + 1,
            step=(state.epoch + 1) * steps,
            learning_rate=rate,
            gradient_norm=sums["norm"] / steps,
            train_loss=sums["loss"] / steps,
            train_report_loss=sums["report"] / sums["tokens"] if sums["tokens"] else nan,
            train_detection_loss=sums["detection"] / sums["labels"] if sums["labels"] else nan,
            validation_loss=standing.loss,
            validation_report_loss=standing.report_loss,
            validation_detection_loss=standing.detection_loss,
            critical_sensitivity=standing.critical_sensitivity,
        )
        state.history.epochs.append(epoch)
        self.say(
            f"{STAGES[stage]:9} {epoch.epoch:2}/{part.epochs}  loss {epoch.train_loss:.4f}  validation "
            f"{epoch.validation_loss:.4f}  critical sensitivity {epoch.critical_sensitivity:.3f}"
        )
        stop = False
        if stage == JOINT:
            scores = [Score(e.validation_loss, e.critical_sensitivity) for e in state.history.of_stage(JOINT)]
            best = best_epoch(scores, self.config.stopping.sensitivity_margin)
            if best == len(scores) - 1:
                state.history.kept = epoch.epoch
                state.thresholds = {str(f): value for f, value in standing.thresholds.items()}
                if self.main:
                    save_kept(self.folder / KEPT, self.model)
            stop = should_stop(scores, self.config.stopping.patience) and epoch.epoch < part.epochs
            if stop:
                self.say(f"stopped: {self.config.stopping.patience} epochs without a gain")
        if self.main:
            self._write_history()
            if self.tracker:
                self.tracker.log(epoch, len(state.history.epochs))
        return stop

    def _save(self, optimizer: Any) -> None:
        if self.main:
            extra = {} if optimizer is None else {"optimizer": optimizer.state_dict()}
            if self.accelerator.scaler is not None and extra:
                extra["scaler"] = self.accelerator.scaler.state_dict()
            save_state(self.folder / STATE, self.key, self.state, self.model, extra)

    def _write_history(self) -> None:
        try:
            self.state.history.to_parquet(self.folder / "history.parquet")
            (self.folder / "history.svg").write_text(self.state.history.plot(), encoding="utf-8")
        except OSError as error:
            raise TrainingError(f"{self.folder}: the history cannot be written: {error.strerror}") from None


def train_only(model: RadiologyMultimodalModel, stage: int) -> None:
    """Lets the gradient reach what a stage trains, and nothing else.

    0: the language model. 1: the projection. 2: projection, language model, head. With adapters
    only these of the language model. The vision encoder: never.
    """
    adapters = model.config.lora is not None
    for name, parameter in model.named_parameters():
        part = name.partition(".")[0]
        inside = {
            LANGUAGE: ("language",),
            PROJECTOR: ("projector",),
            JOINT: ("projector", "language", "head"),
        }
        parameter.requires_grad = part in inside[stage] and not (
            part == "language" and adapters and "lora_" not in name
        )


def new_accelerator(precision: str) -> Any:
    """An accelerate Accelerator with the precision that the device has.

    Raises:
        TrainingError: accelerate is not installed, or the device has not the precision asked for.
    """
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    except ImportError:
        raise TrainingError('training needs accelerate; pip install "harness[training]"') from None
    gpu = torch.cuda.is_available()
    names = {"float32": "no", "bf16": "bf16", "fp16": "fp16", "auto": "no"}
    chosen = names[precision]
    if precision == "auto" and gpu:
        chosen = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if chosen == "fp16" and not gpu:
        raise TrainingError("precision: fp16 needs a GPU, and none is here; take auto, float32 or bf16")
    # One process may train twice, in two precisions; accelerate keeps the first one's for good.
    AcceleratorState._reset_state()
    return Accelerator(mixed_precision=chosen, cpu=not gpu)


def shape_of(model: RadiologyMultimodalModel) -> list[list[Any]]:
    """Names and shapes of all weights."""
    return [[name, list(tensor.shape)] for name, tensor in stored_tensors(model).items()]
