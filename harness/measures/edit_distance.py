"""How many words must be changed to turn the report into the reference."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from harness.measures.base import Measure, Pairs, Section, from_fixed, ratio, to_fixed
from harness.measures.sequences import edit_distance
from harness.measures.tokens import TOKENIZERS, Vocabulary

Tokens = Literal["ptb", "raw"]


class EditDistance(Measure):
    """Mean over studies of the word-level Levenshtein distance / length of the longer text.

    Insertions, deletions and substitutions of a word cost 1 each (Levenshtein, 1966); 0 means
    equal, 1 that no word can stay. A study without a candidate's word scores 1. Studies in which
    neither side has a word are 0/0: they have no distance and are counted apart.

    Args:
        tokens: "ptb" (Penn Treebank, lower case, no punctuation) or "raw" (split at white space).
        section: "report" (findings and impression), "findings" or "impression".
    """

    name = "edit_distance"
    higher_is_better = False
    needs = ()
    columns = ("distance", "distance_fraction", "studies", "both_empty")
    values = ("value",)

    def __init__(self, tokens: Tokens = "ptb", section: Section = "report") -> None:
        if tokens not in get_args(Tokens):
            raise ValueError("tokens must be ptb or raw")
        if section not in get_args(Section):
            raise ValueError(f"section must be one of {', '.join(get_args(Section))}")
        self.tokens, self.section = tokens, section

    def signature(self) -> str:
        """`edit_distance|unit:word|norm:longer|tok:ptb|case:lower|punct:no|section:report|v1`."""
        tokens = TOKENIZERS[self.tokens].signature
        return f"{self.name}|unit:word|norm:longer|{tokens}|section:{self.section}|v{self.version}"

    def rows(self, pairs: Pairs) -> NDArray[np.int64]:
        """The study's distance in fixed point (`to_fixed`), then 1, 0 or 0, 1; shape (n, 4)."""
        vocabulary = Vocabulary(TOKENIZERS[self.tokens])
        candidates = vocabulary.encode(pairs.candidate.texts(self.section))
        references = vocabulary.encode(pairs.reference.texts(self.section))
        both = list(zip(candidates, references, strict=True))
        longer = np.array([max(map(len, pair)) for pair in both], dtype=np.int64)
        distances = np.array([edit_distance(*pair) for pair in both], dtype=np.float64)
        fixed = to_fixed(distances / np.maximum(longer, 1))
        return np.concatenate([fixed, np.stack([longer > 0, longer == 0], axis=1)], axis=1)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean, in [0, 1]."""
        return ratio(from_fixed(totals)[..., None], totals[..., 2:3])
