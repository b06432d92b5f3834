import numpy as np
import pytest
from hypothesis import given

from harness.measures.edit_distance import EditDistance
from report_texts import AWKWARD, pairs, texts, value


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ("No effusion.", "no effusion", 0),
        ("small left effusion", "small right effusion", 1 / 3),
        ("no effusion", "no pleural effusion or pneumothorax", 3 / 5),
        ("", "no effusion", 1),
        ("no effusion", "", 1),
        ("clear lungs", "no effusion", 1),
    ],
)
def test_it_is_the_share_of_the_longer_text(candidate, reference, expected):
    assert value(EditDistance(), pairs([candidate], [reference]))[0] == pytest.approx(expected)


def test_it_is_the_mean_of_studies_and_two_empty_texts_have_none():
    some = pairs(["a b", "a c", ""], ["a b", "a b", ""])
    assert value(EditDistance(), some)[0] == pytest.approx(0.25)
    assert EditDistance().rows(some)[:, 2:].tolist() == [[1, 0], [1, 0], [0, 1]]
    assert np.isnan(value(EditDistance(), pairs([""], [" "])))


def test_raw_words_keep_case_and_punctuation():
    some = pairs(["No effusion."], ["no effusion"])
    assert value(EditDistance("raw"), some)[0] == 1
    assert EditDistance("raw").signature() == (
        "edit_distance|unit:word|norm:longer|tok:raw|case:mixed|section:report|v1"
    )


@given(texts, texts)
def test_it_does_not_matter_which_text_is_which(one, other):
    first, second = (value(EditDistance(), pairs([a], [b])) for a, b in ((one, other), (other, one)))
    np.testing.assert_array_equal(first, second)
    assert not (first < 0).any()
    assert not (first > 1).any()


def test_awkward_texts_are_no_distance_from_themselves():
    assert value(EditDistance("raw"), pairs(list(AWKWARD), list(AWKWARD)))[0] == 0


def test_options_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="ptb or raw"):
        EditDistance("13a")
    with pytest.raises(ValueError, match="section"):
        EditDistance(section="x")
