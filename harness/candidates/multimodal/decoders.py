"""A language model one token at a time, for several beams, on a key-value cache.

`AnyDecoder` drives any model of transformers through its own forward. For a small LLaMA on a
processor, what that forward costs beside its arithmetic is most of the time; `LlamaDecoder` does
the same arithmetic on the same weights with few operations a layer (for 2 M parameters about a
fifth of the time).
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final, Protocol

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

_SMALL: Final = 50_000_000
"""Parameters up to which joining the weights costs less than it saves."""


class Decoder(Protocol):
    """What a beam search asks of a model."""

    def begin(self, embeddings: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Reads the prompts (batch, n, d_l); logits of the token after each, (batch, vocabulary)."""

    def step(self, tokens: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
        """Logits of the next token, (batch * beams, vocabulary).

        Args:
            tokens: the last token of each beam.
            rows: which of the beams of the step before each one goes on from.
        """


def decoder_for(language: Any, beams: int, limit: int) -> Decoder:
    """The decoder for a causal language model; `limit`: most tokens that will be written."""
    if _is_small_llama(language):
        return LlamaDecoder(language, beams, limit)
    return AnyDecoder(language, beams)


def _is_small_llama(language: Any) -> bool:
    from transformers import LlamaForCausalLM

    config = language.config
    return (
        type(language) is LlamaForCausalLM
        and language.device.type == "cpu"
        and not (config.attention_bias or config.mlp_bias or config.rope_scaling)
        and all(type(layer.self_attn.q_proj) is torch.nn.Linear for layer in language.model.layers)
        and sum(parameter.numel() for parameter in language.parameters()) <= _SMALL
    )


class AnyDecoder:
    """Any causal language model, through its own forward and cache."""

    def __init__(self, language: Any, beams: int) -> None:
        self.language = language
        self.beams = beams
        self.options = frozenset(inspect.signature(language.forward).parameters)

    def begin(self, embeddings: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Reads the prompts."""
        whole = bool(mask[:, -1].all())
        options: dict[str, Any] = {"logits_to_keep": 1} if whole and "logits_to_keep" in self.options else {}
        logits = self._forward(positions, attention_mask=mask, inputs_embeds=embeddings, **options)
        last = torch.full((len(mask),), logits.shape[1] - 1, device=mask.device)
        if not whole:  # padding behind a prompt
            last = (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1)
        self.cache.batch_repeat_interleave(self.beams)
        self.mask = mask.repeat_interleave(self.beams, dim=0)
        self.position = (positions.max(dim=1, keepdim=True).values + 1).repeat_interleave(self.beams, dim=0)
        return logits[torch.arange(len(mask), device=mask.device), last]

    def step(self, tokens: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
        """One token more."""
        device = self.mask.device
        if list(rows) != list(range(len(rows))):
            # Beams stay with their prompt, so mask and position are the same for all that exchange.
            self.cache.reorder_cache(torch.tensor(rows, device=device))
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(rows), 1)], dim=1)
        ids = torch.tensor(tokens, device=device)[:, None]
        logits = self._forward(
            self.position, attention_mask=self.mask, input_ids=ids, past_key_values=self.cache
        )
        self.position = self.position + 1
        return logits[:, -1]

    def _forward(self, positions: torch.Tensor, **inputs: Any) -> torch.Tensor:
        if "position_ids" in self.options:
            inputs["position_ids"] = positions
        output = self.language(**inputs, use_cache=True)
        self.cache: Any = output.past_key_values
        logits: torch.Tensor = output.logits
        return logits


class LlamaDecoder:
    """A `LlamaForCausalLM` without biases and with plain rotary positions, on a processor.

    The prompt is read by transformers. For the tokens after it there is one cache for all layers,
    of which only the part behind the prompt is moved when beams change places.
    """

    def __init__(self, language: Any, beams: int, limit: int) -> None:
        self.language = language
        self.beams = beams
        self.limit = limit
        config = language.config
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_size = language.model.layers[0].self_attn.head_dim
        self.layers = [
            (
                layer.input_layernorm,
                torch.cat([getattr(layer.self_attn, f"{name}_proj").weight for name in "qkv"]),
                layer.self_attn.o_proj.weight,
                layer.post_attention_layernorm,
                torch.cat([layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight]),
                layer.mlp.down_proj.weight,
                layer.mlp.act_fn,
            )
            for layer in language.model.layers
        ]

    def begin(self, embeddings: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Reads the prompts."""
        reader = AnyDecoder(self.language, self.beams)
        logits = reader.begin(embeddings, mask, positions)
        self.prompt = self.filled = embeddings.shape[1]
        width = self.prompt + self.limit
        # (layers, keys and values, batch * beams, heads, width, head size)
        self.cache = embeddings.new_empty(
            len(self.layers), 2, len(mask) * self.beams, self.kv_heads, width, self.head_size
        )
        for place, layer in enumerate(reader.cache.layers):
            self.cache[place, 0, :, :, : self.prompt] = layer.keys
            self.cache[place, 1, :, :, : self.prompt] = layer.values
        self.mask: torch.Tensor | None = None
        if not bool(mask.all()):
            shown = reader.mask.new_ones(len(reader.mask), width, dtype=torch.bool)
            shown[:, : self.prompt] = reader.mask.bool()
            self.mask = shown[:, None, None]
        steps = reader.position + torch.arange(self.limit)
        cos, sin = self.language.model.rotary_emb(embeddings, steps)
        # The sign of "rotate half" is put into the sine: (x1, x2) -> (-x2, x1).
        half = self.head_size // 2
        self.cos, self.sin = (
            cos[:, :, None],
            torch.cat([-sin[..., :half], sin[..., half:]], dim=-1)[:, :, None],
        )
        return logits

    def step(self, tokens: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
        """One token more."""
        model, end, step = self.language.model, self.filled + 1, self.filled - self.prompt
        if step and list(rows) != list(range(len(rows))):
            written = self.cache[..., self.prompt : self.filled, :]
            written.copy_(written.index_select(2, torch.tensor(rows)))
        cos, sin = self.cos[:, step], self.sin[:, step]
        shown = None if self.mask is None else self.mask[..., :end]
        turned, sizes = self.heads + self.kv_heads, (self.head_size // 2, self.head_size // 2)
        hidden = F.embedding(torch.tensor(tokens), model.embed_tokens.weight)
        for (norm, qkv, out, norm_after, gate_up, down, act), (keys, values) in zip(
            self.layers, self.cache, strict=True
        ):
            mixed = F.linear(norm(hidden), qkv).unflatten(1, (turned + self.kv_heads, self.head_size))
            first, second = mixed[:, :turned].split(sizes, dim=-1)
            rotated = mixed[:, :turned] * cos + torch.cat([second, first], dim=-1) * sin
            keys[:, :, self.filled] = rotated[:, self.heads :]
            values[:, :, self.filled] = mixed[:, turned:]
            seen = F.scaled_dot_product_attention(
                rotated[:, : self.heads, None],
                keys[:, :, :end],
                values[:, :, :end],
                attn_mask=shown,
                enable_gqa=self.heads != self.kv_heads,
            )
            hidden = hidden + F.linear(seen.flatten(1), out)
            gate, up = F.linear(norm_after(hidden), gate_up).chunk(2, dim=-1)
            hidden = hidden + F.linear(act(gate) * up, down)
        self.filled = end
        logits: torch.Tensor = self.language.lm_head(model.norm(hidden))
        return logits
