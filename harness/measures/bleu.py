"""Corpus BLEU-4 as the COCO caption evaluation computes it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import Measure, Pairs, Section
from harness.measures.tokens import TOKENIZERS

ORDER = 4
# The COCO evaluation's guards against 0/0; part of the number's definition.
TINY, SMALL = 1e-15, 1e-9


class Bleu4(Measure):
    """Corpus BLEU-4: clipped n-gram counts and lengths are added up before the score is formed.

    Papineni et al., ACL 2002, with the constants of the COCO caption evaluation (Chen et al.,
    2015): geometric mean of (clipped matches + 1e-15) / (n-grams + 1e-9), n = 1 to 4, times the
    brevity penalty exp(1 - reference length / candidate length) where the candidate is shorter.
    It is not the mean of sentence scores. Undefined where the references are empty.

    Args:
        tokens: "ptb" (lower case, no punctuation) or "raw" (split at white space).
        section: "report" (findings and impression), "findings" or "impression".
    """

    name = "bleu4"

    def __init__(self, tokens: Literal["ptb", "raw"] = "ptb", section: Section = "report") -> None:
        if tokens not in ("ptb", "raw"):
            raise ValueError("tokens must be ptb or raw")
        if section not in ("report", "findings", "impression"):
            raise ValueError("section must be report, findings or impression")
        self.tokens = tokens
        self.section = section
        orders = range(1, ORDER + 1)
        self.columns = (
            *(f"match{n}" for n in orders),
            *(f"total{n}" for n in orders),
            "candidate_length",
            "reference_length",
        )
        self.values = ("value",)

    def signature(self) -> str:
        """`bleu4|coco|tok:TOKENS|section:SECTION|vN`."""
        return f"bleu4|coco|tok:{self.tokens}|section:{self.section}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """Clipped matches and n-grams of orders 1 to 4, and both lengths; shape (n, 10)."""
        tokenize = TOKENIZERS[self.tokens]
        vocabulary: dict[str, int] = {}
        sides = []
        for side in (pairs.candidate, pairs.reference):
            texts = [tokenize(text) for text in side.texts(self.section)]
            lengths = np.array([len(tokens) for tokens in texts], dtype=np.int64)
            codes = np.fromiter(
                (vocabulary.setdefault(token, len(vocabulary)) for tokens in texts for token in tokens),
                dtype=np.int64,
                count=int(lengths.sum()),
            )
            sides.append((codes, lengths))
        (candidate, candidate_lengths), (reference, reference_lengths) = sides
        orders = np.arange(ORDER)
        return np.concatenate(
            [
                _clipped_matches(candidate, candidate_lengths, reference, reference_lengths),
                np.maximum(candidate_lengths[:, None] - orders, 0),
                candidate_lengths[:, None],
                reference_lengths[:, None],
            ],
            axis=1,
        )

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Corpus BLEU-4, in [0, 1]."""
        matches, grams = totals[..., :ORDER], totals[..., ORDER : 2 * ORDER]
        candidate, reference = totals[..., -2], totals[..., -1]
        mean = np.prod((matches + TINY) / (grams + SMALL), axis=-1) ** (1 / ORDER)
        brevity = (candidate + TINY) / (reference + SMALL)
        penalty = np.exp(np.minimum(0.0, 1 - 1 / brevity))
        return np.where(reference > 0, mean * penalty, np.nan)[..., None]


def _clipped_matches(
    candidate: NDArray[np.int64],
    candidate_lengths: NDArray[np.int64],
    reference: NDArray[np.int64],
    reference_lengths: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Clipped n-gram matches of each study, shape (n, 4).

    All texts lie end to end in one array. The code of an n-gram is the rank of (code of its first
    n - 1 tokens, last token), so that four sorts replace a dictionary for every text.
    """
    studies = len(candidate_lengths)
    tokens = np.concatenate([candidate, reference])
    lengths = np.concatenate([candidate_lengths, reference_lengths])
    text = np.repeat(np.arange(2 * studies), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(tokens))  # tokens to text's end
    matches = np.zeros((studies, ORDER), dtype=np.int64)
    width = np.int64(tokens.max(initial=0) + 1)
    start = np.arange(len(tokens))
    code = tokens
    for order in range(ORDER):
        if order:
            keep = left[start] > order
            start = start[keep]
            code = code[keep] * width + tokens[start + order]
            code = np.unique(code, return_inverse=True)[1]
        if not len(start):
            break
        key = text[start] % studies * (code.max() + 1) + code
        ours = text[start] < studies
        grams, counts = np.unique(key[ours], return_counts=True)
        theirs, limits = np.unique(key[~ours], return_counts=True)
        _, here, there = np.intersect1d(grams, theirs, assume_unique=True, return_indices=True)
        clipped = np.minimum(counts[here], limits[there])
        study = grams[here] // (code.max() + 1)
        matches[:, order] = np.bincount(study, weights=clipped, minlength=studies)
    return matches
