import random

from hypothesis import given
from hypothesis import strategies as st

from harness.measures.sequences import edit_distance, lcs_length

codes = st.lists(st.integers(0, 4), max_size=90)


def tables(first, second):
    """Longest common subsequence and Levenshtein distance by the textbook's tables."""
    common = [0] * (len(second) + 1)
    steps = list(range(len(second) + 1))
    for row, one in enumerate(first, 1):
        before = common[:]
        diagonal, steps[0] = steps[0], row
        for place, other in enumerate(second, 1):
            same = one == other
            common[place] = before[place - 1] + 1 if same else max(before[place], common[place - 1])
            diagonal, steps[place] = (
                steps[place],
                min(steps[place] + 1, steps[place - 1] + 1, diagonal + (not same)),
            )
    return common[-1], steps[-1]


@given(codes, codes)
def test_they_are_what_the_tables_say(first, second):
    assert (lcs_length(first, second), edit_distance(first, second)) == tables(first, second)


@given(codes, codes, codes)
def test_the_distance_is_a_metric(first, second, third):
    distance = edit_distance(first, second)
    assert distance == edit_distance(second, first)
    assert (distance == 0) == (first == second)
    assert distance <= edit_distance(first, third) + edit_distance(third, second)


def test_long_sequences():
    rng = random.Random(0)
    first = [rng.randrange(50) for _ in range(700)]
    second = [rng.randrange(50) for _ in range(900)]
    assert (lcs_length(first, second), edit_distance(first, second)) == tables(first, second)
    assert edit_distance(first * 50, first * 50 + [1]) == 1
    assert lcs_length([], first) == 0
    assert edit_distance([], first) == 700
