"""A model's standing on the validation studies: losses, the head's thresholds and sensitivity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.candidates.multimodal.config import LossWeights
from harness.report import Finding
from harness.training.dataset import ReportDataset
from harness.training.imbalance import best_thresholds, critical_sensitivity


@dataclass(frozen=True, slots=True)
class Standing:
    """What one pass over the validation studies gives. NaN where a term is not part of the stage."""

    loss: float
    """L, from the terms' means over all tokens and all labels."""
    report_loss: float
    detection_loss: float
    critical_sensitivity: float
    thresholds: dict[Finding, float]


@torch.inference_mode()
def evaluate(
    module: nn.Module,
    data: ReportDataset,
    accelerator: Any,
    weights: LossWeights,
    batch: int,
) -> Standing:
    """One pass, shared between processes.

    Args:
        module: a stage's module, from `Batch` to `MultimodalOutput`.
        data: the validation studies.
        accelerator: accelerate's.
        weights: of the loss's terms.
        batch: studies a batch.
    """
    from accelerate.utils import gather_object

    # Without the wrapper that waits for the other processes: they may have fewer batches.
    module = accelerator.unwrap_model(module)
    module.eval()
    order = np.argsort(data.lengths, kind="stable")
    parts = [order[at : at + batch] for at in range(0, len(order), batch)]
    sums = np.zeros(5)
    found: list[tuple[int, list[float]]] = []
    for indices in parts[accelerator.process_index :: accelerator.num_processes]:
        with accelerator.autocast():
            output = module(data.batch(indices.tolist()).to(accelerator.device))
        counted = output.report_tokens, output.detection_labels
        for place, (value, number) in enumerate(
            zip((output.report_loss, output.detection_loss), counted, strict=True)
        ):
            if value is not None:
                sums[2 * place : 2 * place + 2] += float(value) * number, number
        if output.projector_penalty is not None:
            sums[4] = float(output.projector_penalty)
        scores = torch.sigmoid(output.label_logits.float()).cpu().tolist()
        found += list(zip(indices.tolist(), scores, strict=True))
    module.train()
    every = (
        gather_object([(sums.tolist(), found)]) if accelerator.num_processes > 1 else [(sums.tolist(), found)]
    )
    totals = np.sum([part[0][:4] for part in every], axis=0)
    rows = sorted(pair for part in every for pair in part[1])
    penalty = every[0][0][4]
    report = totals[0] / totals[1] if totals[1] else float("nan")
    detection = totals[2] / totals[3] if totals[3] else float("nan")
    loss = weights.projector * penalty
    loss += weights.report * report if totals[1] else 0.0
    loss += weights.detection * detection if totals[3] else 0.0
    thresholds: dict[Finding, float] = {}
    sensitivity = float("nan")
    if rows and rows[0][1]:
        scores14: NDArray[np.float64] = np.array([row[1] for row in rows])
        targets = data.targets()
        thresholds = best_thresholds(scores14, targets)
        sensitivity = critical_sensitivity(scores14, targets)
    return Standing(float(loss), float(report), float(detection), sensitivity, thresholds)
