"""The terms of L = w_r L_report + w_d L_detect + w_p ||theta_proj||^2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from harness.candidates.multimodal.config import IGNORED, LossWeights
from harness.errors import CandidateError
from harness.report import State


@dataclass(frozen=True, slots=True)
class MultimodalOutput:
    """What the model's `forward` gives. A loss is None where its labels were not given."""

    logits: torch.Tensor
    """Of the text positions, shape (batch, sequence, vocabulary)."""
    label_logits: torch.Tensor
    """Shape (batch, 14), in the order of `FINDINGS`."""
    loss: torch.Tensor | None = None
    """The weighted sum of the terms that are there."""
    report_loss: torch.Tensor | None = None
    """L_report: cross entropy in nats, mean over the counted tokens; 0 where none counts."""
    detection_loss: torch.Tensor | None = None
    """L_detect: binary cross entropy in nats, mean over the counted labels; 0 where none counts."""
    projector_penalty: torch.Tensor | None = None
    """||theta_proj||^2, weights and biases of the projection."""
    report_tokens: int = 0
    """Tokens that counted in L_report."""
    detection_labels: int = 0
    """Labels that counted in L_detect."""


def report_term(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
    """L_report and how many tokens counted: each token is foretold by the position before it.

    Args:
        logits: (batch, sequence, vocabulary).
        labels: token ids, -100 where one does not count, (batch, sequence).

    Raises:
        CandidateError: labels of another shape than the text.
    """
    if labels.shape != logits.shape[:2]:
        raise CandidateError(f"labels have shape {tuple(labels.shape)}, not {tuple(logits.shape[:2])}")
    following = labels[:, 1:]
    number = int((following != IGNORED).sum())
    total = F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), following.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / max(number, 1), number


def detection_term(
    label_logits: torch.Tensor,
    finding_labels: torch.Tensor,
    targets: Mapping[State, float | None],
    positive_weights: torch.Tensor,
) -> tuple[torch.Tensor, int]:
    """L_detect and how many labels counted: the mean of -(w y log p + (1 - y) log(1 - p)).

    Args:
        label_logits: (batch, 14).
        finding_labels: `State` codes, (batch, 14).
        targets: y of each state; None where it does not count (`MultimodalConfig.targets`).
        positive_weights: w of each finding, (14,).

    Raises:
        CandidateError: a code that is no `State`, or another shape.
    """
    if finding_labels.shape != label_logits.shape:
        raise CandidateError(
            f"finding_labels have shape {tuple(finding_labels.shape)}, not {tuple(label_logits.shape)}"
        )
    wanted = torch.full(label_logits.shape, torch.nan, device=label_logits.device)
    known = torch.zeros_like(wanted, dtype=torch.bool)
    for state, target in targets.items():
        here = finding_labels == int(state)
        known |= here
        if target is not None:
            wanted[here] = target
    if not bool(known.all()):
        raise CandidateError("finding_labels hold codes that are no harness.report.State")
    counts = ~wanted.isnan()
    number = int(counts.sum())
    losses = F.binary_cross_entropy_with_logits(
        label_logits.float(), wanted.nan_to_num(), pos_weight=positive_weights, reduction="none"
    )
    return torch.where(counts, losses, 0.0).sum() / max(number, 1), number


def squared_norm(part: nn.Module) -> torch.Tensor:
    """||theta||^2 over all of a part's parameters."""
    return torch.stack([parameter.float().square().sum() for parameter in part.parameters()]).sum()


def share_of_loss(
    weights: LossWeights,
    output: MultimodalOutput,
    report_tokens: int,
    detection_labels: int,
    batches: int,
) -> torch.Tensor:
    """A micro-batch's part of the loss of a whole batch; the parts add up to it exactly.

    The mean over tokens of a whole batch is not the mean of its micro-batches' means, so each is
    weighted by what it counted, and the penalty, which is there once, is divided.

    Args:
        weights: of the terms.
        output: of the micro-batch.
        report_tokens: counted tokens of the whole batch.
        detection_labels: counted labels of the whole batch.
        batches: micro-batches in it.

    Raises:
        CandidateError: the output holds no loss.
    """
    if output.projector_penalty is None:
        raise CandidateError("a loss needs labels")
    part = weights.projector * output.projector_penalty / batches
    if output.report_loss is not None:
        part = part + weights.report * output.report_loss * (output.report_tokens / max(report_tokens, 1))
    if output.detection_loss is not None:
        share = output.detection_labels / max(detection_labels, 1)
        part = part + weights.detection * output.detection_loss * share
    return part
