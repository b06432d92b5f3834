"""A language model one token at a time, for several beams, on a key-value cache.

`AnyDecoder` drives any model of transformers through its own forward. For a small LLaMA on a
processor, what that forward costs beside its arithmetic is most of the time; `LlamaDecoder` does
the same arithmetic on the same weights with few operations a layer.
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
        self.last_position = (getattr(language.config, "max_position_embeddings", None) or 2**31) - 1

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
        # A prompt that is through stays in the batch, unread: it must not run past the last position.
        self.position = (self.position + 1).clamp(max=self.last_position)
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

    The prompt is read by transformers. Behind it, the keys and values of every beam stand side by
    side in one cache a prompt, in the order in which they are made, and never move: when beams
    change places, only the table of which beam sees which of them does.
    """

    def __init__(self, language: Any, beams: int, limit: int) -> None:
        self.language = language
        self.beams = beams
        self.limit = limit
        config = language.config
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_size = language.model.layers[0].self_attn.head_dim
        # A norm's weights are multiplied into the projection that follows it, the scale of the scores
        # into that of the queries.
        scale = torch.ones((self.heads + 2 * self.kv_heads) * self.head_size, 1, dtype=language.dtype)
        scale[: self.heads * self.head_size] = self.head_size**-0.5
        self.layers = [
            (
                _joined(layer.input_layernorm, *_attention_inputs(layer)).mul_(scale).t(),
                layer.self_attn.o_proj.weight.t(),
                _joined(layer.post_attention_layernorm, layer.mlp.gate_proj, layer.mlp.up_proj).t(),
                layer.mlp.down_proj.weight.t(),
                layer.mlp.act_fn,
            )
            for layer in language.model.layers
        ]
        self.last = _joined(language.model.norm, language.lm_head).t()

    def begin(self, embeddings: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Reads the prompts."""
        reader = AnyDecoder(self.language, 1)
        logits = reader.begin(embeddings, mask, positions)
        batch, self.prompt = mask.shape
        self.filled = self.prompt
        width = self.prompt + self.limit * self.beams
        # (layers, keys and values, batch, heads, width, head size)
        self.cache = embeddings.new_empty(len(self.layers), 2, batch, self.kv_heads, width, self.head_size)
        for place, layer in enumerate(reader.cache.layers):
            self.cache[place, 0, :, :, : self.prompt] = layer.keys
            self.cache[place, 1, :, :, : self.prompt] = layer.values
        # (batch, 1, 1, beams, width): 0 for what a beam sees, -inf for what it does not.
        self.seen = embeddings.new_full((batch, 1, 1, self.beams, width), -torch.inf)
        self.seen[..., : self.prompt].masked_fill_(mask.bool()[:, None, None, None], 0.0)
        steps = reader.position + torch.arange(self.limit)
        cos, sin = self.language.model.rotary_emb(embeddings, steps)
        # The sign of "rotate half", (x1, x2) -> (-x2, x1), is put into the sine.
        half = self.head_size // 2
        self.cos = cos.repeat_interleave(self.beams, dim=0)[:, :, None]
        sin = torch.cat([-sin[..., :half], sin[..., half:]], dim=-1)
        self.sin = sin.repeat_interleave(self.beams, dim=0)[:, :, None]
        return logits

    def step(self, tokens: Sequence[int], rows: Sequence[int]) -> torch.Tensor:
        """One token more."""
        start, end = self.filled, self.filled + self.beams
        if list(rows) != list(range(len(rows))):
            seen = self.seen[..., self.prompt : start]
            seen.copy_(seen.flatten(0, 3)[torch.tensor(rows)].view_as(seen))
        own = torch.arange(self.beams)
        self.seen[..., own, start + own] = 0.0
        step = (start - self.prompt) // self.beams
        cos, sin, seen = self.cos[:, step], self.sin[:, step], self.seen[..., :end]
        heads, turned, groups = self.heads, self.heads + self.kv_heads, self.heads // self.kv_heads
        grouped, spread = (-1, self.kv_heads, groups, self.beams), (-1, heads, self.beams, self.head_size)
        shape, half = (-1, self.beams, turned + self.kv_heads, self.head_size), self.head_size // 2
        hidden = F.embedding(torch.tensor(tokens), self.language.model.embed_tokens.weight)
        for (qkv, out, gate_up, down, act), (keys, values) in zip(self.layers, self.cache, strict=True):
            mixed = torch.mm(self._normed(hidden), qkv).view(-1, *shape[2:])
            turn = mixed[:, :turned]
            swapped = torch.cat([turn[..., half:], turn[..., :half]], dim=-1)
            rotated = (turn * cos).addcmul_(swapped, sin).unflatten(0, shape[:2]).transpose(1, 2)
            keys[:, :, start:end] = rotated[:, heads:]
            values[:, :, start:end] = mixed.view(shape)[:, :, turned:].transpose(1, 2)
            # Written out: for so few queries the fused kernel of torch takes several times as long.
            asked = rotated[:, :heads].reshape(-1, groups * self.beams, self.head_size)
            scores = torch.bmm(asked, keys.flatten(0, 1)[:, :end].transpose(1, 2))
            weights = scores.view(*grouped, end).add_(seen).softmax(dim=-1).view_as(scores)
            read = torch.bmm(weights, values.flatten(0, 1)[:, :end]).view(spread)
            hidden = torch.addmm(hidden, read.transpose(1, 2).reshape(len(hidden), -1), out)
            gate, up = torch.mm(self._normed(hidden), gate_up).chunk(2, dim=-1)
            hidden = torch.addmm(hidden, act(gate).mul_(up), down)
        self.filled = end
        return torch.mm(self._normed(hidden), self.last)

    def _normed(self, hidden: torch.Tensor) -> torch.Tensor:
        # Root mean square, in single precision as LlamaRMSNorm has it.
        single = hidden.float()
        size = single.square().mean(dim=-1, keepdim=True).add_(self.language.config.rms_norm_eps).rsqrt_()
        return (single * size).to(hidden.dtype)


def _attention_inputs(layer: Any) -> list[Any]:
    return [layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj]


def _joined(norm: Any, *projections: Any) -> torch.Tensor:
    """Projections behind a norm as one matrix (out, in), the norm's weights (in,) multiplied in."""
    return torch.cat([projection.weight * norm.weight for projection in projections])
