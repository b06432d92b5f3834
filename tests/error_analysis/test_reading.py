import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.annotators.rules import RulesLabeler
from harness.error_analysis.reading import Reader
from harness.report import Finding, State

READER = Reader()


def spoken(text, finding):
    return [(span.kind, text[span.start : span.end]) for span in READER.read(text).spans.get(finding, ())]


def test_spans_name_the_sentence_the_finding_and_the_words_about_it():
    text = "The lungs are clear. Small left effusion, new. No pneumothorax.\nEffusion."
    assert spoken(text, Finding.PLEURAL_EFFUSION) == [
        ("sentence", "Small left effusion, new"),
        ("severity", "Small"),
        ("laterality", "left"),
        ("mention", "effusion"),
        ("mention", "Effusion"),
        ("sentence", "Effusion"),
    ]
    assert ("cue", "No") in spoken(text, Finding.PNEUMOTHORAX)
    assert spoken(text, Finding.FRACTURE) == []


@pytest.mark.parametrize("text", ["", " \n ", "...", "word " * 2_000, "x" * 10_000])
def test_texts_that_say_nothing_have_no_spans(text):
    assert READER.read(text).spans == {}


words = st.sampled_from(
    ["no", "small", "left", "right", "effusion", "pneumothorax", "fracture", "mass", "and", "or", ".", ",",
     ";", "possible", "\n", "İ", "<b>", "edema", "severe", "is", "not", "seen", "heart", "enlarged"]
)  # fmt: skip


@given(st.lists(words, max_size=40).map(" ".join))
def test_every_mention_lies_in_a_sentence_of_its_own_text(text):
    reading = READER.read(text)
    said = {mention.finding for mention in RulesLabeler().mentions(text)}
    assert set(reading.spans) == said
    for spans in reading.spans.values():
        around = [span for span in spans if span.kind == "sentence"]
        for span in spans:
            assert 0 <= span.start < span.end <= len(text)
            assert any(one.start <= span.start and span.end <= one.end for one in around)
    positive = {m.finding for m in RulesLabeler().mentions(text) if m.state is State.POSITIVE}
    assert set(reading.stated) == positive
