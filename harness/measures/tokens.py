"""Texts to tokens and tokens to codes, each way by the name that signatures use.

Every way works word by word: no token reaches over white space, and what becomes of a word does
not depend on its neighbours. So each distinct word is split once, and the rest is a look-up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Final

_REMEMBERED: Final = 1 << 17
"""Words whose tokens are kept between calls: some 30 MB at most; a corpus has some thousand."""
_LONG: Final = 64
"""A longer run without white space is no word worth keeping."""


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """One way to split texts."""

    signature: str
    """What it does to a text, for signatures: `tok:ptb|case:lower|punct:no`."""
    split: Callable[[str], Sequence[str]]
    """The tokens of one word, a run without white space."""
    prepare: Callable[[str], str] = str
    """What is done to the whole text first."""

    def __call__(self, text: str) -> list[str]:
        """The tokens of a text."""
        return [token for word in self.prepare(text).split() for token in self.split(word)]


class Vocabulary(dict[str, tuple[int, ...]]):
    """Word -> codes of its tokens. Codes count up from 0 as tokens are met; equal token, equal code."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._codes: dict[str, int] = {}

    def __missing__(self, word: str) -> tuple[int, ...]:
        codes = self._codes
        self[word] = found = tuple(
            codes.setdefault(token, len(codes)) for token in self._tokenizer.split(word)
        )
        return found

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The codes of each text's tokens, in order."""
        prepare = self._tokenizer.prepare
        return [list(chain.from_iterable(map(self.__getitem__, prepare(text).split()))) for text in texts]


def _remembered(split: Callable[[str], Sequence[str]]) -> Callable[[str], Sequence[str]]:
    """The same, with the tokens of short words kept."""
    kept = lru_cache(maxsize=_REMEMBERED)(lambda word: tuple(split(word)))
    return lambda word: kept(word) if len(word) <= _LONG else split(word)


# Penn Treebank tokens (Marcus et al., 1993), as the COCO caption evaluation has them made: by the
# Stanford tokenizer, in lower case; punctuation is dropped afterwards, brackets are not.
_PTB: Final = re.compile(
    r"</?[a-z][^<>]*>"  # a tag
    r"|\w+(?=n't\b)|n't\b|'(?:s|m|d|re|ve|ll)\b|can(?=not\b)"  # do n't, patient 's, can not
    r"|(?:[^\W\d_]\.){2,}|\b[^\W\d_]\.(?=\W|$)"  # a.m., b.
    r"|\b(?:al|ave|co|corp|ct|dr|etc|ft|inc|jr|lt|ltd|mr|mrs|ms|ph\.d|prof|rt|sr|st|vs"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.(?=\W|$)"
    r"|(?:(?<!\w)[+-]?(?:\d+(?:[.,:]\d+)+|\.?\d+\w*)|\w+)"  # 2.5, -5, 3rd, opacity
    r"(?:[-/]\w+(?:[.,:]\d+)*|(?<=[^\W\d_])\.(?=[^\W\d_])\w+)*"  # follow-up, and/or, x.y
    r"|\*+|[^\w\s]"
)
_BRACKETS: Final = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"
}  # fmt: skip
_PUNCTUATION: Final = frozenset("'\"`.?!,:;-–—…“”‘’")


def _ptb(word: str) -> list[str]:
    tokens = _PTB.findall(word.lower().replace("’", "'"))
    return [_BRACKETS.get(token, token) for token in tokens if token not in _PUNCTUATION]


_GOOGLE: Final = re.compile(r"[a-z0-9]+")


def _google(word: str) -> list[str]:
    return _GOOGLE.findall(word.lower())


@cache
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    stem: Callable[[str], str] = PorterStemmer().stem
    return stem


def _google_stemmed(word: str) -> list[str]:
    stem = _stemmer()
    return [stem(token) if len(token) > 3 else token for token in _google(word)]


# The rules of mteval-v13a.pl (NIST, 2005) for one word between white space.
_13A_RULES: Final = (
    (re.compile(r"([!-&(-+/:-@\[-`{-~])"), r" \1 "),  # ASCII punctuation but ' , - .
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),  # full stop and comma, unless after a digit
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),  # or before one
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),  # hyphen after a digit
)
_13A_ENTITIES: Final = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


def _13a(word: str) -> list[str]:
    if word.isalnum():  # most are, and no rule touches them
        return [word]
    word = f" {word} "
    for rule, by in _13A_RULES:
        word = rule.sub(by, word)
    return word.split()


def _13a_text(text: str) -> str:
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "")
    if "&" in text:
        for entity, character in _13A_ENTITIES:
            text = text.replace(entity, character)
    return text


def _word(word: str) -> tuple[str]:
    return (word,)


TOKENIZERS: Final = MappingProxyType(
    {
        "raw": Tokenizer("tok:raw|case:mixed", _word),
        "none": Tokenizer("tok:none|case:mixed", _word),
        "ptb": Tokenizer("tok:ptb|case:lower|punct:no", _remembered(_ptb)),
        "13a": Tokenizer("tok:13a|case:mixed", _remembered(_13a), _13a_text),
        "stem": Tokenizer("stem|tok:a-z0-9|case:lower", _remembered(_google_stemmed)),
        "nostem": Tokenizer("nostem|tok:a-z0-9|case:lower", _remembered(_google)),
    }
)
"""By name. `raw` and `none`: split at white space, nothing changed. `ptb`: as the COCO caption
evaluation splits, without its Java; what differs is listed in the tests. `13a`: sacrebleu's
default. `stem`, `nostem`: Google's ROUGE, Porter-stemmed (words of more than three letters) or not.
"""
