import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.annotators.phrases import Match, PhraseBook, expand, sentences


def words(text):
    return [" ".join(sentence.words) for sentence in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No effusion. Clear lungs", ["no effusion", "clear lungs"]),
        ("A 3.5 cm mass, e.g. a tumor vs. scar", ["a 3.5 cm mass , e g a tumor vs scar"]),
        ("1.There is none.2. Two", ["1", "there is none 2", "two"]),
        ("1. No effusion\n2. Mass", ["1", "no effusion", "2", "mass"]),
        ("No evidence of\nPneumothorax", ["no evidence of pneumothorax"]),
        ("No effusion\nPneumothorax", ["no effusion", "pneumothorax"]),
        ("no focal\nconsolidation", ["no focal consolidation"]),
        ("one\n\ntwo; three! four? five", ["one", "two", "three", "four", "five"]),
        ("?pneumonia", ["? pneumonia"]),
        ("w/o atelectasis/effusion", ["w/o atelectasis / effusion"]),
        ("left-sided ___ don't", ["left sided ___ don't"]),
        (" .. \n ;", []),
    ],
)
def test_sentences_and_words(text, expected):
    assert words(text) == expected


@given(st.text(max_size=300))
def test_every_word_stands_where_its_sentence_says(text):
    end = 0
    for sentence in sentences(text):
        for word, start in zip(sentence.words, sentence.starts, strict=True):
            assert start >= end
            end = start + len(word)
            assert text[start:end].lower() == word or len(text[start:end].lower()) != len(word)


def test_a_run_of_words_without_a_stop_is_read_in_pieces():
    assert sum(len(sentence.words) for sentence in sentences("word " * 1000)) == 1000
    assert max(len(sentence.words) for sentence in sentences("word " * 1000)) == 256


def test_a_phrase_stands_for_all_its_forms():
    assert set(expand("air-space? opacity|density(s) xx?")) >= {
        ("air", "space", "opacity", "xx"),
        ("air", "density"),
        ("air", "space", "densitys"),
    }
    assert expand("?") == [("?",)]
    for nothing in ("", "word?", ";"):
        with pytest.raises(ValueError, match="no phrase"):
            expand(nothing)


def test_the_longest_phrase_counts_and_none_overlap():
    book = PhraseBook({"a": ["pleural effusion(s)", "effusion"], "b": ["effusion", "no"]})
    assert book.find(["no", "pleural", "effusions", "or", "effusion"]) == [
        Match(0, 1, ("b",)), Match(1, 3, ("a",)), Match(4, 5, ("a", "b")),
    ]  # fmt: skip
    assert book.find(["a", "pleural", "effusion"], 0, 2) == []
