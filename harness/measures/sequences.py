"""Longest common subsequence and edit distance of token sequences, many tokens at a time.

Bit-parallel: a Python integer holds one bit for each token of the shorter sequence, and each token
of the longer one costs a few operations on it.
"""

from __future__ import annotations

from collections.abc import Sequence


def lcs_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common subsequence.

    One addition a token (Hyyrö, Bit-parallel LCS-length computation revisited, AWOCA 2004); bits
    that end as 0 count the subsequence.
    """
    ends, first, second = _trimmed(first, second)
    places, full = _places(first)
    bits = full
    for token in second:
        match = bits & places.get(token, 0)
        bits = (bits + match | bits - match) & full
    return ends + len(first) - bits.bit_count()


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Levenshtein distance: fewest insertions, deletions and substitutions of one token.

    Differences down a column of the distance table are one bit each, plus or minus (Myers, J ACM
    1999;46:395-415, in the form of Hyyrö, 2003).
    """
    _, first, second = _trimmed(first, second)
    if not first:
        return len(second)
    places, full = _places(first)
    distance, last = len(first), len(first) - 1
    plus, minus = full, 0
    for token in second:
        match = places.get(token, 0)
        zero = ((match & plus) + plus ^ plus) | match | minus
        along_plus = minus | full & ~(zero | plus)
        along_minus = plus & zero
        distance += (along_plus >> last & 1) - (along_minus >> last & 1)
        along_plus = along_plus << 1 | 1  # the table's first row counts up by one
        plus = full & (along_minus << 1 | ~(zero | along_plus))
        minus = full & along_plus & zero
    return distance


def _trimmed(first: Sequence[int], second: Sequence[int]) -> tuple[int, Sequence[int], Sequence[int]]:
    """How many tokens they share at their ends, and what lies between, the shorter one first."""
    if len(first) > len(second):
        first, second = second, first
    length, head = len(first), 0
    while head < length and first[head] == second[head]:
        head += 1
    tail, shift = 0, len(second) - length
    while tail < length - head and first[length - 1 - tail] == second[length + shift - 1 - tail]:
        tail += 1
    return head + tail, first[head : length - tail], second[head : len(second) - tail]


def _places(tokens: Sequence[int]) -> tuple[dict[int, int], int]:
    """For each token the bits of its places; and all bits."""
    places: dict[int, int] = {}
    bit = 1
    for token in tokens:
        places[token] = places.get(token, 0) | bit
        bit <<= 1
    return places, bit - 1
