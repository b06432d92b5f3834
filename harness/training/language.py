"""Stage 0: a tokenizer and a language model from the training reports' text alone, without pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch
from torch import nn

from harness.candidates.multimodal.model import MultimodalOutput, RadiologyMultimodalModel, report_term
from harness.training.dataset import Batch

END: Final = "</s>"
PADDING: Final = "<pad>"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer (Sennrich et al., ACL 2016) of at most `vocabulary` tokens.

    Every text has a tokenization; the same texts in the same order give the same tokenizer.

    Returns:
        A `transformers.PreTrainedTokenizerFast` with `</s>` and `<pad>`.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PADDING, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PADDING, clean_up_tokenization_spaces=False
    )


class TextOnly(nn.Module):
    """The model's language model alone, with the same losses to report."""

    def __init__(self, model: RadiologyMultimodalModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> MultimodalOutput:
        """L_report of a batch without pictures."""
        logits = self.model.causal_lm(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).logits
        loss, tokens = report_term(logits, batch.labels)
        nothing = torch.zeros((), device=logits.device)
        return MultimodalOutput(
            logits,
            logits.new_zeros((len(logits), 0)),
            loss,
            report_loss=loss,
            projector_penalty=nothing,
            report_tokens=tokens,
        )


class WithPictures(nn.Module):
    """The whole model on a batch."""

    def __init__(self, model: RadiologyMultimodalModel, detection: bool) -> None:
        super().__init__()
        self.model = model
        self.detection = detection

    def forward(self, batch: Batch) -> MultimodalOutput:
        """All terms of the loss; L_detect only where the head is trained."""
        output: MultimodalOutput = self.model(
            batch.images,
            batch.input_ids,
            batch.attention_mask,
            batch.labels,
            batch.finding_labels if self.detection else None,
            view_mask=batch.view_mask,
            vision_features=batch.vision_features,
        )
        return output
