import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.ab.edits import (
    NEGATIONS,
    SIDES,
    Edit,
    changes_words_of,
    edit_distances,
    edits,
    frequent,
    marked,
)

texts = st.lists(
    st.sampled_from(["no", "effusion", "left", "rib", "is", "broken.", "Heart"]), max_size=8
).map(" ".join)


def plain(first, second):
    """Levenshtein's distance by its own recursion, for an oracle."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


@given(texts, texts)
def test_distance_is_levenshteins_over_the_longer_text(draft, final):
    one, other = (text.lower().replace(".", "").split() for text in (draft, final))
    found = edit_distances([draft], [final])[0]
    if other:
        assert found == plain(one, other) / max(len(one), len(other))
    else:
        assert math.isnan(found)


def test_an_empty_draft_was_written_whole_and_an_empty_final_is_missing():
    found = edit_distances(["", "Clear lungs.", "clear, LUNGS"], ["Clear lungs.", "", "Clear lungs."])
    assert found[0] == 1
    assert np.isnan(found[1])
    assert found[2] == 0  # neither case nor punctuation


def test_an_edit_is_told_as_the_sentence_that_was_put_in():
    draft = "Heart size is normal. No effusion. No nodule."
    final = "Heart size is normal. No effusion. No fracture. No nodule."
    assert edits(draft, final) == [Edit("", "no fracture")]
    assert [piece.text for piece in marked(draft, final) if piece.kind == "added"] == ["No fracture."]


@given(texts, texts)
def test_edits_turn_the_draft_into_the_final_text(draft, final):
    kept = [piece.text for piece in marked(draft, final) if piece.kind != "removed"]
    assert " ".join(kept).split() == final.split()
    old = [piece.text.lower().strip(".") for piece in marked(draft, final) if piece.kind != "added"]
    assert " ".join(old).lower().replace(".", "").split() == draft.lower().replace(".", "").split()


def test_frequent_edits_count_reports_not_repetitions():
    count = frequent(["a b a b", "a", "a"], ["a a", "c", "c"])
    assert count[Edit("a", "c")] == 2
    assert count[Edit("b", "")] == 1
    assert not frequent([" ".join("abcdefghij")], [""])


def test_sides_and_negations():
    assert changes_words_of("Left effusion.", "Right effusion.", SIDES)
    assert not changes_words_of("Left effusion.", "Large left effusion.", SIDES)
    assert changes_words_of("No effusion.", "Small effusion.", NEGATIONS)
    assert not changes_words_of("No effusion.", "No large effusion.", NEGATIONS)
