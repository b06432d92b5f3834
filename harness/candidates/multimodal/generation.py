"""Beam search over any causal language model, from embeddings, on a key-value cache."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from harness.candidates.multimodal.decoders import decoder_for
from harness.errors import CandidateError, GenerationError


@dataclass(frozen=True, slots=True)
class BeamSearch:
    """Settings of a search.

    Raises:
        CandidateError: fewer than one beam or token.
    """

    beams: int = 4
    max_new_tokens: int = 160
    length_penalty: float = 1.0
    """An answer's score is its log probability / its tokens ** length_penalty."""
    early_stopping: bool = False
    """True: stop at as many finished answers as there are beams; False: when none can improve."""

    def __post_init__(self) -> None:
        for name in ("beams", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise CandidateError(f"{name} must be 1 or more, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer."""

    tokens: tuple[int, ...]
    """Without the token that ends it."""
    score: float
    """Log probability (nats) / length ** length_penalty, the ending token included."""
    finished: bool
    """Whether it ended by itself; False: at max_new_tokens or the end of the context."""


@dataclass(slots=True)
class _Beams:
    """The search of one prompt."""

    search: BeamSearch
    ends: frozenset[int]
    limit: int
    tokens: list[list[int]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    finished: list[tuple[float, list[int]]] = field(default_factory=list)
    """Best first, at most as many as there are beams."""
    open: bool = True

    def advance(self, ranked: list[tuple[float, int, int]]) -> tuple[list[int], list[int]]:
        """Takes in the best continuations (score, beam, token), best first.

        Returns:
            For each beam that goes on, which one it continues and with which token.
        """
        beams, length = self.search.beams, len(self.tokens[0]) + 1 if self.tokens else 1
        last = length == self.limit
        full = len(self.finished) == beams
        parents: list[int] = []
        chosen: list[int] = []
        scores: list[float] = []
        for rank, (score, beam, token) in enumerate(ranked):
            if last or token in self.ends:
                # What ranks behind the beams is there only so that enough of them can go on.
                if rank < beams and self.open and not (full and self.search.early_stopping):
                    self._finish(score / length**self.search.length_penalty, [*self._text(beam), token])
            elif len(parents) < beams:
                parents.append(beam)
                chosen.append(token)
                scores.append(score)
        self.tokens = [[*self._text(beam), token] for beam, token in zip(parents, chosen, strict=True)]
        self.scores = scores
        if last:
            self.open = False
        elif len(self.finished) == beams:
            best = scores[0] / length**self.search.length_penalty
            self.open &= best > self.finished[-1][0] and not self.search.early_stopping
        return parents, chosen

    def _text(self, beam: int) -> list[int]:
        return self.tokens[beam] if self.tokens else []

    def _finish(self, score: float, tokens: list[int]) -> None:
        place = next((i for i, (other, _) in enumerate(self.finished) if score > other), len(self.finished))
        self.finished.insert(place, (score, tokens))
        del self.finished[self.search.beams :]

    def best(self) -> Generated:
        score, tokens = self.finished[0]
        ended = tokens[-1] in self.ends
        return Generated(tuple(tokens[:-1] if ended else tokens), score, ended)


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
    states = [_Beams(search, stops, int(limit)) for limit in limits]
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
