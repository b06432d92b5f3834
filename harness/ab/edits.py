"""What readers changed between a model's draft and the text they signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.measures.sequences import edit_distance
from harness.measures.tokens import TOKENIZERS, Vocabulary

TOKENIZER: Final = TOKENIZERS["ptb"]
NEGATIONS: Final = frozenset({"no", "not", "without", "absent", "n't", "denies", "negative"})
SIDES: Final = frozenset({"left", "right", "bilateral", "left-sided", "right-sided"})

Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One phrase put in the place of another; either may be empty."""

    removed: str
    added: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a draft and its final text side by side."""

    text: str
    kind: Kind


def edit_distances(drafts: Sequence[str], finals: Sequence[str]) -> NDArray[np.float64]:
    """Word-level Levenshtein distance over the longer text, in [0, 1]; NaN where the final text is missing.

    As the measure `edit_distance` with Penn Treebank tokens: case and punctuation do not count.
    """
    vocabulary = Vocabulary(TOKENIZER)
    found = []
    for draft, final in zip(vocabulary.encode(drafts), vocabulary.encode(finals), strict=True):
        longer = max(len(draft), len(final))
        found.append(edit_distance(draft, final) / longer if final else np.nan)
    return np.array(found, dtype=np.float64)


def edits(draft: str, final: str) -> list[Edit]:
    """The phrases that differ, in the order of the text; case and punctuation do not count."""
    one, other = TOKENIZER(draft), TOKENIZER(final)
    return [
        Edit(" ".join(one[i:j]), " ".join(other[k:m])) for same, i, j, k, m in _blocks(one, other) if not same
    ]


def frequent(drafts: Sequence[str], finals: Sequence[str], longest: int = 8) -> Counter[Edit]:
    """In how many reports each edit was made; edits of more than so many words are passages, not phrases."""
    count: Counter[Edit] = Counter()
    for draft, final in zip(drafts, finals, strict=True):
        count.update(
            {
                edit
                for edit in edits(draft, final)
                if max(len(edit.removed.split()), len(edit.added.split())) <= longest
            }
        )
    return count


def changes_words_of(draft: str, final: str, words: frozenset[str]) -> bool:
    """Whether an edit takes such a word away or puts one in."""
    return any(
        (set(edit.removed.split()) & words) != (set(edit.added.split()) & words)
        for edit in edits(draft, final)
    )


def marked(draft: str, final: str) -> list[Piece]:
    """The final text with what was removed from the draft and what was added, word by word as written."""
    one, other = draft.split(), final.split()
    keys = [[word.lower().strip(".,;:") for word in words] for words in (one, other)]
    pieces: list[Piece] = []
    for same, i, j, k, m in _blocks(*keys):
        if same:
            pieces.append(Piece(" ".join(other[k:m]), "same"))
        else:
            if j > i:
                pieces.append(Piece(" ".join(one[i:j]), "removed"))
            if m > k:
                pieces.append(Piece(" ".join(other[k:m]), "added"))
    return pieces


def _blocks(one: Sequence[str], other: Sequence[str]) -> list[tuple[bool, int, int, int, int]]:
    """Alike or not, and the places in both, of the stretches of two texts.

    What is put in or taken out lies as far to the left as it can: after "no effusion" comes "[no
    fracture]", not "no [fracture no] nodule", which is the same change.
    """
    blocks: list[list[Any]] = [
        list(code) for code in SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    ]
    blocks.append(["equal", len(one), len(one), len(other), len(other)])
    for before, block, after in zip(blocks, blocks[1:], blocks[2:], strict=False):
        text, begin, end = (other, 3, 4) if block[0] == "insert" else (one, 1, 2)
        if block[0] in ("insert", "delete") and before[0] == after[0] == "equal":
            while before[2] > before[1] and text[block[begin] - 1] == text[block[end] - 1]:
                for part, places in ((before, (2, 4)), (block, (1, 2, 3, 4)), (after, (1, 3))):
                    for place in places:
                        part[place] -= 1
    return [(tag == "equal", i, j, k, m) for tag, i, j, k, m in blocks if j > i or m > k]
