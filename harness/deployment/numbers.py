"""What a package and its checkpoint compute for the same studies, number by number.

Both are given the same words: the checkpoint's prompt and the reference report, so that each token
is foretold from the true ones before it and one early difference does not hide all later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.candidates.multimodal.prompts import STANDARD, Instruction
from harness.errors import CandidateError, CohortError, GenerationError
from harness.inference import clustered_proportion_interval
from harness.inference.cluster_sums import cluster_index
from harness.report import FINDINGS, Finding
from harness.study import Case, Study

Floats = NDArray[np.float32]
_REFUSALS: Final = (CandidateError, CohortError, GenerationError)


class Arm(Protocol):
    """A model, as far as its numbers are compared."""

    def look(self, study: Study) -> tuple[Any, Floats]:
        """What the language model is given of a study's pictures, and the finding logits (14,)."""

    def foretell(self, seen: Any, ids: NDArray[np.int64]) -> Floats:
        """Logits (n, vocabulary) of the token after each of `ids` (n,)."""


class CheckpointArm:
    """A checkpoint in torch, full precision.

    Args:
        model: a `RadiologyMultimodalModel`.
        processor: its `MultimodalProcessor`.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor

    def look(self, study: Study) -> tuple[Any, Floats]:
        """As any arm's."""
        import torch

        images, there = self.processor.images(study)
        with torch.inference_mode():
            features = self.model.encode(images[None])
            logits: Floats = self.model.detect(features, there[None])[0].float().numpy()
        return (features, there[None]), logits

    def foretell(self, seen: Any, ids: NDArray[np.int64]) -> Floats:
        """As any arm's."""
        import torch

        with torch.inference_mode():
            output = self.model(None, torch.from_numpy(ids)[None], view_mask=seen[1], vision_features=seen[0])
            logits: Floats = output.logits[0].float().numpy()
        return logits


class PackageArm:
    """A package in onnxruntime.

    Args:
        model: a `harness.candidates.onnx.model.OnnxModel`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def look(self, study: Study) -> tuple[Any, Floats]:
        """As any arm's."""
        from harness.deployment.pictures import read_picture

        tokens, counted, logits = self.model.encode(*self.model.processor.pictures(study, read_picture))
        return (tokens, counted), logits

    def foretell(self, seen: Any, ids: NDArray[np.int64]) -> Floats:
        """As any arm's."""
        logits: Floats = self.model.logits(*seen, ids[None])[0]
        return logits


@dataclass(slots=True)
class Numbers:
    """Differences over all studies; exported less full precision, absolute values."""

    studies: int = 0
    """That both could look at."""
    without_text: int = 0
    """Of these, those whose reference has no words: their probabilities are compared, no tokens."""
    refused_by_both: int = 0
    """Not compared: neither takes the study's pictures or prompt."""
    refused_by_one: int = 0
    """Counted as differing in every finding and one token."""
    logit_greatest: float = 0.0
    logit_mean: float = float("nan")
    probability_greatest: float = 0.0
    probability_mean: float = float("nan")
    probability_worst: Finding | None = None
    """The finding of the greatest difference."""
    tokens: int = 0
    """Compared."""
    token_agreement: float = float("nan")
    """Share of tokens whose most probable one is the same."""
    token_bound: float = float("nan")
    """One-sided lower bound of it, by patient; undefined without a token."""
    detection_agreement: float = float("nan")
    """Share of findings on the same side of their thresholds."""
    detection_bound: float = float("nan")
    confidence: float = 0.95
    """Of the bounds."""


@dataclass(slots=True)
class _Sums:
    logits: float = 0.0
    entries: int = 0
    probabilities: float = 0.0
    patients: list[str] = field(default_factory=list)
    tokens: list[tuple[int, int]] = field(default_factory=list)
    """Agreeing and all, a study."""
    detections: list[tuple[int, int]] = field(default_factory=list)


def compare_numbers(
    full: CheckpointArm,
    exported: Arm,
    cases: Iterator[Case],
    confidence: float = 0.95,
    instruction: Instruction = STANDARD,
    done: Callable[[], None] = lambda: None,
) -> Numbers:
    """Runs both over the same cases.

    Args:
        full: the checkpoint.
        exported: the package.
        cases: with references.
        confidence: of the one-sided bounds of the two shares.
        instruction: what is asked.
        done: called after each case.
    """
    numbers, sums = Numbers(confidence=confidence), _Sums()
    for case in cases:
        _compare_case(full, exported, case, instruction, numbers, sums)
        done()
    if numbers.studies:
        numbers.probability_mean = sums.probabilities / (numbers.studies * len(FINDINGS))
    if sums.entries:
        numbers.logit_mean = sums.logits / sums.entries
    numbers.token_agreement, numbers.token_bound = _share(sums.tokens, sums.patients, confidence)
    numbers.detection_agreement, numbers.detection_bound = _share(sums.detections, sums.patients, confidence)
    return numbers


def _compare_case(
    full: CheckpointArm, exported: Arm, case: Case, instruction: Instruction, numbers: Numbers, sums: _Sums
) -> None:
    looks = [_attempt(partial(arm.look, case.study)) for arm in (full, exported)]
    if looks[0] is None and looks[1] is None:
        numbers.refused_by_both += 1
        return
    sums.patients.append(case.patient_id)
    if looks[0] is None or looks[1] is None:
        numbers.refused_by_one += 1
        numbers.probability_greatest = 1.0
        sums.detections.append((0, len(FINDINGS)))
        sums.tokens.append((0, 1))
        return
    numbers.studies += 1
    (seen, logits), (other_seen, other_logits) = looks
    sums.detections.append(_findings(full, logits, other_logits, numbers, sums))
    processor, reference = full.processor, case.reference
    text = instruction.target(reference.findings, reference.impression)
    if not text.strip():
        numbers.without_text += 1
        sums.tokens.append((0, 0))
        return
    prompt = processor.prompt(case.study, instruction, processor.detected(_sigmoid(logits).tolist()))
    encoded = processor.encode([prompt], [text])
    ids = encoded.input_ids[0].numpy()
    told = np.flatnonzero(encoded.labels[0].numpy() >= 0)
    wanted = full.foretell(seen, ids)[told - 1]
    given = _attempt(lambda: exported.foretell(other_seen, ids)[told - 1])
    numbers.tokens += len(told)
    if given is None or given.shape != wanted.shape or not np.isfinite(given).all():
        numbers.logit_greatest = float("inf")
        sums.tokens.append((0, len(told)))
        return
    apart = np.abs(given.astype(np.float64) - wanted)
    numbers.logit_greatest = max(numbers.logit_greatest, float(apart.max()))
    sums.logits += float(apart.sum())
    sums.entries += apart.size
    sums.tokens.append((int((given.argmax(axis=1) == wanted.argmax(axis=1)).sum()), len(told)))


def _findings(
    full: CheckpointArm, logits: Floats, other: Floats, numbers: Numbers, sums: _Sums
) -> tuple[int, int]:
    """How many findings lie on the same side of their thresholds, and how many there are."""
    wanted = _sigmoid(logits)
    given = np.nan_to_num(_sigmoid(other), nan=2.0)  # NaN: further off than any probability
    apart = np.minimum(np.abs(given - wanted), 1.0)
    sums.probabilities += float(apart.sum())
    if apart.max() > numbers.probability_greatest or numbers.probability_worst is None:
        numbers.probability_greatest = float(apart.max())
        numbers.probability_worst = FINDINGS[int(apart.argmax())]
    thresholds = np.array([full.model.config.threshold(finding) for finding in FINDINGS])
    same = ((wanted >= thresholds) == (given >= thresholds)) & (given <= 1)
    return int(same.sum()), len(FINDINGS)


def _attempt(act: Callable[[], Any]) -> Any:
    """What it gives; None where the model refuses the study, or onnxruntime fails on it."""
    try:
        return act()
    except _REFUSALS:
        return None
    except Exception as error:
        if type(error).__module__.startswith("onnxruntime"):
            return None
        raise


def _share(counts: list[tuple[int, int]], patients: list[str], confidence: float) -> tuple[float, float]:
    """The share and its one-sided lower bound, by patient."""
    table = np.array(counts, dtype=np.float64).reshape(-1, 2)
    if not table[:, 1].sum():
        return float("nan"), float("nan")
    names, patient = cluster_index(patients)
    agreeing, trials = (np.bincount(patient, column, len(names)) for column in table.T)
    bound = clustered_proportion_interval(agreeing, trials, confidence, "lower").low
    return float(agreeing.sum() / trials.sum()), float(bound)


def _sigmoid(logits: Floats) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        found: NDArray[np.float64] = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return found
