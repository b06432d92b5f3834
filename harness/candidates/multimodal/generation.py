"""Beam search over any causal language model, from embeddings, on a key-value cache."""

from __future__ import annotations

import math
from typing import Any

import torch

from harness.candidates.multimodal.beams import Beams, BeamSearch, Generated
from harness.candidates.multimodal.decoders import decoder_for
from harness.errors import CandidateError, GenerationError

__all__ = ["BeamSearch", "Generated", "beam_search"]


@torch.inference_mode()
def beam_search(
    language: Any,
    embeddings: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    search: BeamSearch,
) -> list[Generated]:
    """The best answer to each prompt; deterministic, the same as transformers' own beam search.

    Each step asks for the best 2 k continuations of k beams (more where several tokens end a text),
    so that k can go on if others end. The pictures and the prompt are read once a prompt, not once
    a beam.

    Args:
        language: a causal language model of transformers.
        embeddings: (batch, n, d_l).
        mask: 1 where an embedding counts, (batch, n).
        positions: (batch, n).
        search: settings.

    Raises:
        CandidateError: no position is free. GenerationError: a logit is NaN.
    """
    config = language.config
    ends = config.eos_token_id
    stops = frozenset([] if ends is None else ends if isinstance(ends, list) else [ends])
    context = getattr(config, "max_position_embeddings", None)
    lengths = (positions.max(dim=1).values + 1).tolist()
    limits = [min(search.max_new_tokens, (context or math.inf) - length) for length in lengths]
    if min(limits) < 1:
        raise CandidateError(f"pictures and prompt need {max(lengths)} of {context} positions; none is left")
    batch, beams = len(embeddings), search.beams
    asked = max(2, 1 + len(stops)) * beams
    decoder = decoder_for(language, beams, int(max(limits)))
    states = [Beams(search, stops, int(limit)) for limit in limits]
    logits = decoder.begin(embeddings, mask, positions)
    totals = _log_probabilities(logits)[:, None]
    while True:
        vocabulary = totals.shape[-1]
        scores, places = totals.flatten(1).topk(min(asked, totals[0].numel()), dim=1)
        rows, tokens = [], []
        for number, (state, values, found) in enumerate(
            zip(states, scores.tolist(), places.tolist(), strict=True)
        ):
            if not state.open:  # kept in the batch, unread, until the others are through
                rows += [number * beams] * beams
                tokens += [0] * beams
                continue
            ranked = [(value, *divmod(place, vocabulary)) for value, place in zip(values, found, strict=True)]
            parents, chosen = state.advance(ranked)
            short = beams - len(parents)
            rows += [number * beams + parent for parent in [*parents, *[0] * short]]
            tokens += [*chosen, *[0] * short]
            state.scores += [float("-inf")] * short
        if not any(state.open for state in states):
            return [state.best() for state in states]
        logits = decoder.step(tokens, rows)
        running = torch.tensor([state.scores for state in states], device=logits.device)
        totals = _log_probabilities(logits).unflatten(0, (batch, beams)) + running[..., None]


def _log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    found = logits.float().log_softmax(dim=-1)
    if bool(found.isnan().any()):
        raise GenerationError("the language model's logits hold NaN; no text can be read from them")
    return found
