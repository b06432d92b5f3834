"""CheXbert's network: a BERT and 14 linear heads over its first token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.annotators.batches import groups
from harness.errors import NotEvaluable
from harness.report import FINDINGS, INDEX, Finding, State

HEADS: Final = (
    Finding.ENLARGED_CARDIOMEDIASTINUM,
    Finding.CARDIOMEGALY,
    Finding.LUNG_OPACITY,
    Finding.LUNG_LESION,
    Finding.EDEMA,
    Finding.CONSOLIDATION,
    Finding.PNEUMONIA,
    Finding.ATELECTASIS,
    Finding.PNEUMOTHORAX,
    Finding.PLEURAL_EFFUSION,
    Finding.PLEURAL_OTHER,
    Finding.FRACTURE,
    Finding.SUPPORT_DEVICES,
    Finding.NO_FINDING,
)
"""The order of the heads, `CONDITIONS` in CheXbert's code. No Finding is last, and Lung Opacity stands
before Lung Lesion, which CheXpert's labeler lists the other way round. Classes are `State` codes 0 to 3."""

_NOT_ABNORMAL: Final = (Finding.NO_FINDING, Finding.SUPPORT_DEVICES)
_ROW_TOKENS: Final = 8192


class ChexbertNetwork(nn.Module):
    """Smit et al., EMNLP 2020, with its names of parameters: `bert.*`, `linear_heads.0` to `13`."""

    def __init__(self, config: Any) -> None:
        """An untrained network around a BERT of this `transformers.BertConfig`."""
        from transformers import BertModel

        super().__init__()
        self.bert = BertModel(config)
        self.dropout = nn.Dropout(0.1)
        self.linear_heads = nn.ModuleList(
            nn.Linear(config.hidden_size, 2 if finding is Finding.NO_FINDING else 4) for finding in HEADS
        )

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """Logits of each head, shape (n, 4), or (n, 2) for No Finding."""
        first = self.dropout(self.bert(input_ids=ids, attention_mask=mask)[0][:, 0])
        return [head(first) for head in self.linear_heads]


def load_network(checkpoint: Path, config: Any) -> ChexbertNetwork:
    """The network with the weights of a published `.pth` file, or of a bare state dict.

    Weights only: a pickle with code in it is refused.

    Raises:
        NotEvaluable: the file is damaged, or holds another network.
    """
    network = ChexbertNetwork(config)
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        state = state.get("model_state_dict", state)
        # DataParallel's prefix; and a buffer that older versions of transformers saved.
        plain = {key.removeprefix("module."): value for key, value in state.items()}
        plain.pop("bert.embeddings.position_ids", None)
        network.load_state_dict(plain, strict=True)
    except Exception as error:  # whatever a damaged file makes torch raise
        raise NotEvaluable(
            f"{checkpoint}: cannot be loaded as CheXbert: {type(error).__name__}; fetch it anew and "
            "see that the base encoder is the one it was trained with"
        ) from None
    return network.eval()


@torch.inference_mode()
def classify(network: ChexbertNetwork, windows: Sequence[Sequence[int]], pad: int) -> NDArray[np.int8]:
    """`State` codes of windows of token ids, shape (n, 14), in the order of `FINDINGS`."""
    device = next(network.parameters()).device
    codes = np.zeros((len(windows), len(FINDINGS)), dtype=np.int8)
    columns = [INDEX[finding] for finding in HEADS]
    for chosen in groups([len(window) for window in windows], _ROW_TOKENS):
        ids, mask = padded([windows[index] for index in chosen], pad)
        logits = network(ids.to(device), mask.to(device))
        found = torch.stack([head.argmax(dim=1) for head in logits], dim=1)
        codes[np.ix_(chosen, columns)] = found.cpu().numpy()
    return codes


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids as one table with padding at the end, and where there is none."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.full((len(rows), int(lengths.max())), pad)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


def joined(codes: NDArray[np.int8]) -> NDArray[np.int8]:
    """One report's codes from those of its windows, shape (windows, 14) to (14,).

    What any window states counts, positive before uncertain before negative. No Finding, which a
    window can only say of itself, holds if one says so and none states an abnormality.
    """
    whole = np.zeros(len(FINDINGS), dtype=np.int8)
    for state in (State.NEGATIVE, State.UNCERTAIN, State.POSITIVE):
        whole[(codes == state).any(axis=0)] = state
    others = [index for finding, index in INDEX.items() if finding not in _NOT_ABNORMAL]
    if len(codes) > 1 and np.isin(whole[others], (State.POSITIVE, State.UNCERTAIN)).any():
        whole[INDEX[Finding.NO_FINDING]] = State.NOT_MENTIONED
    return whole
