"""A cohort's studies as a model learns from them: pictures or their features, prompt, report, labels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.multimodal.prompts import (
    DETAILS,
    STANDARD,
    TEMPLATES,
    Instruction,
    finding_answer,
    finding_question,
)
from harness.cohorts.base import Cohort
from harness.digests import digest_value
from harness.errors import TrainingError
from harness.report import FINDINGS, Finding, State
from harness.study import Case
from harness.training.config import QUESTION

if TYPE_CHECKING:
    from harness.candidates.multimodal.model import RadiologyMultimodalModel
    from harness.run import Progress

_CHUNK: Final = 32


@dataclass(frozen=True, slots=True)
class Batch:
    """Some studies, as `RadiologyMultimodalModel.forward` takes them."""

    images: torch.Tensor | None
    """(b, V, 1, H, W), or None where the features are there."""
    vision_features: torch.Tensor | None
    """(b, V, 1 + patches, d_v), or None."""
    view_mask: torch.Tensor
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    finding_labels: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        moved: dict[str, Any] = {k: None if v is None else v.to(device) for k, v in parts.items()}
        return Batch(**moved)


class ReportDataset:
    """The studies of one split of a cohort that have a report and one of the model's views.

    Pictures and reports are read when asked for. Studies without either are left out and counted
    in `left_out`.

    Args:
        cohort: any cohort.
        processor: of the model that is trained.
        instructions: name -> how often it is practised, relative to the others; see
            `harness.training.config.INSTRUCTIONS`.
        seed: of the choice of instructions.

    Raises:
        TrainingError: no study is left, or none has labels. CohortError: a file cannot be read.
    """

    def __init__(
        self,
        cohort: Cohort,
        processor: MultimodalProcessor,
        instructions: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.cohort = cohort
        self.processor = processor
        self.seed = seed
        wanted = instructions or {"standard": 1.0}
        self._names = list(wanted)
        self._shares = np.array(list(wanted.values())) / sum(wanted.values())
        self._features: NDArray[np.float16] | None = None
        views = set(processor.config.views)
        kept, labels, lengths = [], [], []
        for index, case in enumerate(cohort):
            shown = {
                "frontal" if image.view.frontal else image.view.value.lower() for image in case.study.images
            }
            if not case.reference.text.strip() or not shown & views or case.reference.labels is None:
                continue
            kept.append(index)
            labels.append(case.reference.labels)
            lengths.append(len(case.reference.text) + len(case.study.context.indication))
        self.left_out = len(cohort) - len(kept)
        if not kept:
            raise TrainingError(
                f"none of the {len(cohort):,} studies has a report, labels and a {' or '.join(views)} view"
            )
        self._index = kept
        self.labels: NDArray[np.int8] = np.stack(labels)
        """`State` codes, shape (n, 14)."""
        self.lengths = np.array(lengths, dtype=np.int64)
        """Characters of each study's report and indication."""

    def __len__(self) -> int:
        return len(self._index)

    def case(self, index: int) -> Case:
        """Case `index` of those that are kept."""
        return self.cohort[self._index[index]]

    def patients(self) -> set[str]:
        """Whose studies these are."""
        ids = self.cohort.patient_ids()
        return {ids[index] for index in self._index}

    def digest(self) -> str:
        """SHA-256 (hex) over study ids and labels."""
        ids = self.cohort.study_ids()
        return digest_value([[ids[index] for index in self._index], self.labels.tolist()])

    def targets(self) -> NDArray[np.float64]:
        """What each label counts as by the model's policies: 1, 0, or NaN; shape (n, 14)."""
        values = {int(s): np.nan if t is None else t for s, t in self.processor.config.targets().items()}
        counted: NDArray[np.float64] = np.vectorize(values.__getitem__, otypes=[np.float64])(self.labels)
        return counted

    # Features

    def encode_pictures(
        self,
        model: RadiologyMultimodalModel,
        folder: Path,
        name: str,
        progress: Progress = lambda step, done, total: None,
    ) -> None:
        """Encodes every picture once; from then on batches carry features instead of pictures.

        They lie in half precision in `folder`, memory-mapped, and are used again if encoder,
        studies and picture files are the same.

        Args:
            model: whose frozen encoder is used.
            folder: made where it is not there.
            name: of the encoder's weights, such as their digest.
            progress: called with a step's name, how many are done, and how many there are.

        Raises:
            CohortError: a picture cannot be read. TrainingError: the folder cannot be written.
        """
        config = model.config
        stamps = [
            (image.path.name, image.path.stat().st_size) if image.path.exists() else (image.path.name, 0)
            for index in range(len(self))
            for image in self.case(index).study.images
        ]
        key = digest_value([name, self.digest(), config.image_size, list(config.views), stamps])
        path = folder / f"features-{key[:16]}.npy"
        if not path.is_file():
            shape = (len(self), len(config.views), 1 + config.grid**2, model.vision.config.hidden_size)
            # A name of its own for each process: whoever is last to finish puts the same bytes there.
            partial = folder / f".{path.name}.{os.getpid()}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                features = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
                for start in range(0, len(self), _CHUNK):
                    images, _ = self._pictures(range(start, min(start + _CHUNK, len(self))))
                    part = model.encode(images.to(model.device))
                    features[start : start + _CHUNK] = part.half().cpu().numpy()
                    progress("encoding pictures", start + len(part), len(self))
                features.flush()
                del features
                os.replace(partial, path)
            except OSError as error:
                raise TrainingError(
                    f"{folder}: the features cannot be kept ({error.strerror}); free space there, or set "
                    "cache_features: false"
                ) from None
            finally:
                partial.unlink(missing_ok=True)
        self._features = np.load(path, mmap_mode="r")

    def _pictures(self, indices: Sequence[int] | NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = [self.processor.images(self.case(index).study) for index in indices]
        return torch.stack([images for images, _ in pairs]), torch.stack([mask for _, mask in pairs])

    def features(
        self, indices: Sequence[int], model: RadiologyMultimodalModel
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the encoder makes of some studies, (b, V, 1 + patches, d_v), and which views there are."""
        if self._features is None:
            images, mask = self._pictures(indices)
            return model.encode(images.to(model.device)), mask
        cases = [self.case(index) for index in indices]
        return torch.from_numpy(self._features[np.asarray(indices)].astype(np.float32)), self._shown(cases)

    def _shown(self, cases: Sequence[Case]) -> torch.Tensor:
        chosen = [self.processor.chosen(case.study) for case in cases]
        return torch.tensor([[picture is not None for picture in views] for views in chosen])

    # Batches

    def batch(self, indices: Sequence[int] | NDArray[np.int64], turn: int | None = None) -> Batch:
        """Some studies together.

        Args:
            indices: which.
            turn: number of the epoch, by which the instruction of each study varies; None: the
                standard report of each.
        """
        cases = [self.case(int(index)) for index in indices]
        pairs = [self._asked(case, int(index), turn) for case, index in zip(cases, indices, strict=True)]
        prompts = [
            self.processor.prompt(case.study, asked, self._detected(int(index)))
            for case, (asked, _), index in zip(cases, pairs, indices, strict=True)
        ]
        words = self.processor.encode(prompts, [answer for _, answer in pairs])
        images = features = None
        if self._features is None:
            images, mask = self._pictures(indices)
        else:
            features = torch.from_numpy(self._features[np.asarray(indices)].astype(np.float32))
            mask = self._shown(cases)
        assert words.labels is not None  # noqa: S101 - reports were given
        codes = torch.from_numpy(self.labels[np.asarray(indices)].astype(np.int64))
        return Batch(images, features, mask, words.input_ids, words.attention_mask, words.labels, codes)

    def _detected(self, index: int) -> tuple[Finding, ...] | None:
        """What the prompt says that the head sees: in training, what the labels state (teacher forcing).

        With the head's own detections here, the language model would learn how often they are wrong
        and go its own way; so it learns to put into words what it is told.
        """
        there = (self.labels[index] == State.POSITIVE) | (self.labels[index] == State.UNCERTAIN)
        return self.processor.detected(there.astype(float).tolist())

    def _asked(self, case: Case, index: int, turn: int | None) -> tuple[Instruction, str]:
        """An instruction and the answer to it."""
        findings, impression = case.reference.findings, case.reference.impression
        if turn is not None:
            rng = np.random.default_rng([self.seed, turn, index])
            name = self._names[int(rng.choice(len(self._names), p=self._shares))]
            if name == QUESTION:
                finding = FINDINGS[int(rng.integers(1, len(FINDINGS)))]
                state = State(int(self.labels[index, FINDINGS.index(finding)]))
                if answer := finding_answer(state):
                    return Instruction(question=finding_question(finding)), answer
            elif name in DETAILS and name not in TEMPLATES:
                return asked(Instruction(detail=name), findings, impression)
            elif name != QUESTION:
                return asked(Instruction(template=name), findings, impression)
        return asked(STANDARD, findings, impression)


def asked(instruction: Instruction, findings: str, impression: str) -> tuple[Instruction, str]:
    """An instruction with its answer; the standard one where the report has no answer to this one."""
    answer = instruction.target(findings, impression)
    if not answer.strip():
        instruction, answer = STANDARD, STANDARD.target(findings, impression)
    return instruction, answer


def refuse_shared_patients(train: ReportDataset, validation: ReportDataset, judged: Cohort | None) -> None:
    """Stops where a patient is in two splits.

    Raises:
        TrainingError: with how many patients (never which).
    """
    others = [("the validation split", validation.patients())]
    if judged is not None:
        others.append(("the split that is judged", set(judged.patient_ids())))
    learnt = train.patients()
    for name, patients in others:
        if shared := len(learnt & patients):
            raise TrainingError(
                f"{shared:,} patients of the training split are in {name} too; split by patient, or every "
                "figure on them is worth nothing"
            )
    if judged is not None and (shared := len(validation.patients() & others[1][1])):
        raise TrainingError(
            f"{shared:,} patients of the validation split are in the split that is judged too"
        )
