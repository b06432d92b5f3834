"""Texts of unequal length in batches without much padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def groups(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Indices, the longest first, in groups of like length whose padded sum is at most `most`.

    One that is longer by itself is a group of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    begin = 0
    while begin < len(order):
        count = max(1, most // max(1, lengths[order[begin]]))
        yield order[begin : begin + count]
        begin += count
