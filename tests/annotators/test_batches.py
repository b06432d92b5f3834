from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.annotators.batches import groups


@given(st.lists(st.integers(0, 100)), st.integers(1, 300))
def test_every_index_once_within_the_budget_and_of_like_length(lengths: list[int], most: int) -> None:
    found = list(groups(lengths, most))
    assert sorted(index for group in found for index in group) == list(range(len(lengths)))
    for group in found:
        own = [lengths[index] for index in group]
        assert len(group) == 1 or len(group) * max(own) <= most
        assert min(own) >= max(own) * 7 / 8
        assert own == sorted(own, reverse=True)
