"""Texts to tokens, each way by the name that signatures use."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from types import MappingProxyType

# Numbers with their inner marks (2.5, 10:30, 3/4), words with their inner hyphens (follow-up).
_PTB = re.compile(r"\d+(?:[.,:/]\d+)+|\w+(?:-\w+)*")
_GOOGLE = re.compile(r"[a-z0-9]+")


def raw(text: str) -> list[str]:
    """Split at white space; nothing else is changed."""
    return text.split()


def ptb(text: str) -> list[str]:
    """Lower case, words and numbers kept whole, punctuation dropped.

    Follows what the COCO caption evaluation does to a sentence (Penn Treebank tokens, lower case,
    punctuation removed) closely enough for report text, without its Java tokenizer.
    """
    return _PTB.findall(text.lower())


def google(text: str) -> list[str]:
    """Lower case runs of a-z and 0-9, as ROUGE's reference implementation by Google splits."""
    return _GOOGLE.findall(text.lower())


def google_stemmed(text: str) -> list[str]:
    """As `google`, each token of more than three characters Porter-stemmed."""
    return [_stem(token) if len(token) > 3 else token for token in google(text)]


@cache
def _stemmer() -> Callable[[str], str]:
    from nltk.stem.porter import PorterStemmer

    stem: Callable[[str], str] = PorterStemmer().stem
    return stem


@cache
def _stem(token: str) -> str:
    return _stemmer()(token)


TOKENIZERS: MappingProxyType[str, Callable[[str], list[str]]] = MappingProxyType(
    {"raw": raw, "ptb": ptb, "google": google, "google-stem": google_stemmed}
)
