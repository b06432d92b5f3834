"""Texts of unequal length in batches without much padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

_PADDING: Final = 1 / 8
"""More than this of the longest row is not filled up: that costs more than a second pass."""


def groups(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices, the longest first, in groups of like length whose padded sum is at most `most`.

    One that is longer by itself is a group of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    group: list[int] = []
    for index in order:
        longest = lengths[group[0]] if group else 0
        if group and ((len(group) + 1) * longest > most or lengths[index] < longest * (1 - _PADDING)):
            yield group
            group = []
        group.append(index)
    if group:
        yield group
