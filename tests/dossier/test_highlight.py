import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dossier.highlight import segments
from harness.error_analysis.model import Span

TEXT = "The lungs are clear. Small left effusion."
SPANS = (
    Span(21, 40, "sentence"),
    Span(21, 26, "severity"),
    Span(27, 31, "laterality"),
    Span(32, 40, "mention"),
)


def test_marked_stretches_carry_every_kind_that_covers_them():
    found = segments(TEXT, SPANS)
    assert [(part.text, part.marks) for part in found] == [
        ("The lungs are clear. ", ""),
        ("Small", "sentence severity"),
        (" ", "sentence"),
        ("left", "laterality sentence"),
        (" ", "sentence"),
        ("effusion", "mention sentence"),
        (".", ""),
    ]


def test_a_long_text_is_cut_about_the_first_marked_word_and_says_so():
    text = "word " * 2_000 + "left effusion." + " word" * 2_000
    found = segments(text, (Span(10_005, 10_013, "mention"),), longest=300)
    whole = "".join(part.text for part in found)
    assert ("effusion", "mention") in [(part.text, part.marks) for part in found]
    assert found[0].marks == found[-1].marks == "cut"
    assert f"[{len(text):,} characters in all]" in whole
    assert len(whole) < 400


@pytest.mark.parametrize("text", ["", "x" * 10_000])
def test_texts_without_marks(text):
    whole = "".join(part.text for part in segments(text, ()))
    assert whole.replace("\u200b", "")[:900] == text[:900]
    assert max((len(word) for word in whole.replace("\u200b", " ").split()), default=0) <= 31, (
        "words may break"
    )


spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20), st.sampled_from(["sentence", "mention", "cue"])),
    max_size=6,
).map(lambda rows: tuple(Span(start, start + length, kind) for start, length, kind in rows))


@given(st.text(max_size=60).filter(lambda text: "\u200b" not in text), spans)
def test_nothing_is_lost_or_doubled(text, marks):
    inside = tuple(span for span in marks if span.end <= len(text))
    assert "".join(part.text for part in segments(text, inside)).replace("\u200b", "") == text
