"""The bookkeeping of a beam search, apart from any framework: what is kept, finished and best."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import CandidateError


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
class Beams:
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
        """The best finished answer; there is one once the search has closed."""
        score, tokens = self.finished[0]
        ended = tokens[-1] in self.ends
        return Generated(tuple(tokens[:-1] if ended else tokens), score, ended)
