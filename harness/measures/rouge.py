"""ROUGE-L as Google's implementation and as the COCO caption evaluation compute it."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import Measure, Pairs, Section, from_fixed, ratio, to_fixed
from harness.measures.sequences import lcs_length
from harness.measures.tokens import TOKENIZERS, Vocabulary

Variant = Literal["google", "coco"]
Tokens = Literal["stem", "nostem", "ptb", "raw"]

_TOKENS: Final[dict[Variant, tuple[Tokens, ...]]] = {"google": ("stem", "nostem"), "coco": ("ptb", "raw")}
_BETA: Final = {"google": 1.0, "coco": 1.2}


class RougeL(Measure):
    """Mean over studies of the F-measure of the longest common subsequence of tokens.

    Lin, ACL 2004 workshop. With P and R the subsequence's share of the candidate's and of the
    reference's tokens, a study scores (1 + beta^2) P R / (R + beta^2 P), and 0 where either has no
    tokens, be it both.

    Args:
        variant: "google" (rouge-score's rougeL on the whole text: beta 1) or "coco" (the COCO
            caption evaluation, Chen et al., 2015: beta 1.2, recall counts more).
        tokens: for "google", "stem" (the default: runs of a-z and 0-9 in lower case, Porter stems
            of those of more than three characters) or "nostem"; for "coco", "ptb" (the default:
            Penn Treebank, lower case, no punctuation) or "raw" (split at white space).
        section: "report" (findings and impression), "findings" or "impression".
    """

    name = "rougeL"
    needs = ()
    columns = ("score", "score_fraction", "studies")
    values = ("value",)

    def __init__(
        self, variant: Variant = "google", tokens: Tokens | None = None, section: Section = "report"
    ) -> None:
        if variant not in _TOKENS:
            raise ValueError("variant must be google or coco")
        self.tokens: Tokens = tokens or _TOKENS[variant][0]
        if self.tokens not in _TOKENS[variant]:
            raise ValueError(f"tokens must be {' or '.join(_TOKENS[variant])} for variant {variant}")
        if section not in get_args(Section):
            raise ValueError(f"section must be one of {', '.join(get_args(Section))}")
        self.variant, self.section = variant, section

    def signature(self) -> str:
        """`rougeL|google|stem|tok:a-z0-9|case:lower|section:report|v1` and the like."""
        beta = f"|beta:{_BETA['coco']}" if self.variant == "coco" else ""
        tokens = TOKENIZERS[self.tokens].signature
        return f"{self.name}|{self.variant}{beta}|{tokens}|section:{self.section}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """The study's score in fixed point (`to_fixed`), and 1; shape (n, 3)."""
        vocabulary = Vocabulary(TOKENIZERS[self.tokens])
        candidates = vocabulary.encode(pairs.candidate.texts(self.section))
        references = vocabulary.encode(pairs.reference.texts(self.section))
        counts = np.array(
            [
                (lcs_length(candidate, reference), len(candidate), len(reference))
                for candidate, reference in zip(candidates, references, strict=True)
            ],
            dtype=np.float64,
        ).reshape(-1, 3)
        common, candidate, reference = counts.T
        # (1 + beta^2) P R / (R + beta^2 P) with P = common / candidate and R = common / reference
        square = _BETA[self.variant] ** 2
        scores = (1 + square) * common / np.maximum(candidate + square * reference, 1)
        return np.concatenate([to_fixed(scores), np.ones((len(pairs), 1), dtype=np.int64)], axis=1)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean, in [0, 1]."""
        return ratio(from_fixed(totals)[..., None], totals[..., 2:])
