"""Multimodal models of a few thousand random weights, for tests."""

import torch

from harness.candidates.multimodal.config import checked_config
from harness.candidates.multimodal.model import RadiologyMultimodalModel

SENTENCES = (
    "Findings: There is a moderate right pneumothorax. The heart size is normal. No pleural effusion.",
    "Impression: 1. Right pneumothorax. 2. Possible left basilar atelectasis. Recommend follow-up.",
    "Patient: 63-year-old woman. Views: frontal, lateral. Write the report. Report:",
    "Question: Answer: Yes. No. Prior studies: 2, latest. Indication: Cough.",
)
SIZE, PATCH = 32, 8
TOKENS = 300


def tiny_tokenizer():
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        SENTENCES, vocab_size=TOKENS, min_frequency=1, special_tokens=["<pad>", "<s>", "</s>"]
    )
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, **marks)


def vision_values(**changes):
    return {
        "model_type": "vit",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIZE,
        "patch_size": PATCH,
        "num_channels": 1,
        "initializer_range": 0.3,
        **changes,
    }


def language_values(kind="llama", **changes):
    special = {"num_key_value_heads": 2} if kind == "llama" else {}
    return {
        "model_type": kind,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": TOKENS,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **special,
        **changes,
    }


def configuration(kind="llama", **changes):
    values = {
        "vision": vision_values(),
        "language": language_values(kind),
        "projector_hidden": 20,
        "image_size": SIZE,
        "max_new_tokens": 24,
        **changes,
    }
    return checked_config(values, "test")


def network(kind="llama", seed=0, **changes):
    """A model in evaluation mode; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return RadiologyMultimodalModel(configuration(kind, **changes)).eval()
