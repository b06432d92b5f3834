"""Corpus BLEU of orders 1 to 4, as the COCO caption evaluation and as sacrebleu compute it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import ClassVar, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import Measure, Pairs, Section
from harness.measures.tokens import TOKENIZERS, Vocabulary

Variant = Literal["coco", "sacrebleu"]
Tokens = Literal["ptb", "raw", "13a", "none"]

_TOKENS: Final[dict[Variant, tuple[Tokens, ...]]] = {"coco": ("ptb", "raw"), "sacrebleu": ("13a", "none")}
# The COCO evaluation's guards against 0/0; part of the number's definition.
_TINY, _SMALL = 1e-15, 1e-9

_BLOCK: Final = 300
"""Studies whose n-grams are counted at a time, so that they stay in the processor's cache."""


class Bleu(Measure):
    """Corpus BLEU: clipped n-gram counts and lengths are added up before the score is formed.

    Papineni et al., ACL 2002: the geometric mean of n-gram precisions, times the brevity penalty
    exp(1 - reference length / candidate length) where the candidate is shorter. There is one
    reference a study, so it is also the closest one. It is not the mean of sentence scores.
    Undefined where the references have no tokens.

    Args:
        variant: "coco", with the constants of the COCO caption evaluation (Chen et al., 2015):
            precision is (matches + 1e-15) / (n-grams + 1e-9); or "sacrebleu" (Post, WMT 2018),
            with its corpus defaults: exponential smoothing (the k-th order without a match counts
            as 2^-k matches), all orders counted (no effective order), case kept; 0 where nothing
            matches at all. As a fraction: sacrebleu's own figure is 100 times this.
        tokens: for "coco", "ptb" (the default: Penn Treebank, lower case, no punctuation) or "raw"
            (split at white space); for "sacrebleu", "13a" (the default) or "none".
        section: "report" (findings and impression), "findings" or "impression".
    """

    order: ClassVar[int]
    """n-grams of 1 to this many tokens."""
    values = ("value",)
    needs = ()

    def __init__(
        self, variant: Variant = "coco", tokens: Tokens | None = None, section: Section = "report"
    ) -> None:
        if variant not in _TOKENS:
            raise ValueError("variant must be coco or sacrebleu")
        self.tokens: Tokens = tokens or _TOKENS[variant][0]
        if self.tokens not in _TOKENS[variant]:
            raise ValueError(f"tokens must be {' or '.join(_TOKENS[variant])} for variant {variant}")
        if section not in get_args(Section):
            raise ValueError(f"section must be one of {', '.join(get_args(Section))}")
        self.variant, self.section = variant, section
        orders = range(1, self.order + 1)
        self.columns = (
            *(f"match{n}" for n in orders),
            *(f"total{n}" for n in orders),
            "candidate_length",
            "reference_length",
        )

    def signature(self) -> str:
        """`bleu4|coco|tok:ptb|case:lower|punct:no|section:report|v1` and the like."""
        choices = "smooth:exp|eff:no|" if self.variant == "sacrebleu" else ""
        tokens = TOKENIZERS[self.tokens].signature
        return f"{self.name}|{self.variant}|{tokens}|{choices}section:{self.section}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Clipped matches and n-grams of each order, and both lengths; shape (n, 2 x order + 2)."""
        vocabulary = Vocabulary(TOKENIZERS[self.tokens])
        candidates = vocabulary.encode(pairs.candidate.texts(self.section))
        references = vocabulary.encode(pairs.reference.texts(self.section))
        lengths = np.array([list(map(len, texts)) for texts in (candidates, references)], dtype=np.int64)
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(pairs), _BLOCK)]
        matches = [
            _clipped_matches(candidates[block] + references[block], lengths[:, block].ravel(), self.order)
            for block in blocks
        ]
        return np.concatenate(
            [
                np.concatenate([np.empty((0, self.order), dtype=np.int64), *matches]),
                np.maximum(lengths[0, :, None] - np.arange(self.order), 0),
                lengths.T,
            ],
            axis=1,
        )

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Corpus BLEU, in [0, 1]."""
        matches, grams = totals[..., : self.order], totals[..., self.order : 2 * self.order]
        candidate, reference = totals[..., -2], totals[..., -1]
        score = _coco if self.variant == "coco" else _sacrebleu
        return np.where(reference > 0, score(matches, grams, candidate, reference), np.nan)[..., None]


class Bleu1(Bleu):
    """Corpus BLEU-1: clipped n-gram counts and lengths are added up before the score is formed."""

    name, order = "bleu1", 1


class Bleu2(Bleu):
    """Corpus BLEU-2: clipped n-gram counts and lengths are added up before the score is formed."""

    name, order = "bleu2", 2


class Bleu3(Bleu):
    """Corpus BLEU-3: clipped n-gram counts and lengths are added up before the score is formed."""

    name, order = "bleu3", 3


class Bleu4(Bleu):
    """Corpus BLEU-4: clipped n-gram counts and lengths are added up before the score is formed."""

    name, order = "bleu4", 4


Floats = NDArray[np.float64]


def _coco(matches: Floats, grams: Floats, candidate: Floats, reference: Floats) -> Floats:
    mean = np.prod((matches + _TINY) / (grams + _SMALL), axis=-1) ** (1 / matches.shape[-1])
    ratio = (candidate + _TINY) / (reference + _SMALL)
    return np.asarray(mean * np.exp(np.minimum(0.0, 1 - 1 / ratio)))


def _sacrebleu(matches: Floats, grams: Floats, candidate: Floats, reference: Floats) -> Floats:
    unmatched = np.cumsum(matches == 0, axis=-1)
    smoothed = np.where(matches > 0, matches, 0.5**unmatched)
    scored = np.logical_and((matches > 0).any(axis=-1), (grams > 0).all(axis=-1))
    logs = np.log(np.where(scored[..., None], smoothed / np.maximum(grams, 1e-300), 1.0))
    penalty = np.minimum(0.0, 1 - reference / np.where(scored, candidate, np.inf))
    return np.where(scored, np.exp(logs.mean(axis=-1) + penalty), 0.0)


def _clipped_matches(
    texts: Sequence[Sequence[int]], lengths: NDArray[np.int64], orders: int
) -> NDArray[np.int64]:
    """Clipped n-gram matches of each study, shape (n, orders).

    All texts lie end to end in one array, candidates first. The code of an n-gram is the rank of
    (study, code of its first n - 1 tokens, last token), so that a sort an order replaces a
    dictionary a text.
    """
    studies = len(texts) // 2
    tokens = np.fromiter(chain.from_iterable(texts), dtype=np.int64, count=int(lengths.sum()))
    text = np.repeat(np.arange(2 * studies), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens))  # tokens to text's end
    ours, code = text < studies, text % max(studies, 1)
    start = np.arange(len(tokens))
    matches = np.zeros((studies, orders), dtype=np.int64)
    width = np.int64(tokens.max(initial=0) + 1)
    study = code
    for order in range(orders):
        long_enough = left[start] > order
        start, code = start[long_enough], code[long_enough]
        if not len(start):
            break
        code = code * width + tokens[start + order]
        ranked = np.argsort(code, kind="stable")
        ordered = code[ranked]
        fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        code[ranked] = np.cumsum(fresh) - 1
        counts = np.bincount(2 * code + ours[start], minlength=2 * int(fresh.sum()))
        clipped = np.minimum(counts[::2], counts[1::2])
        matches[:, order] = np.bincount(study[start[ranked[fresh]]], weights=clipped, minlength=studies)
        shared = clipped[code] > 0  # a longer n-gram can match only if this one does
        start, code = start[shared], code[shared]
    return matches
