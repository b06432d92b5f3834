import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measures.near_copies import NearCopies

words = st.lists(st.sampled_from("abc"), max_size=12)


def runs(text):
    return {tuple(text[k : k + 3]) for k in range(max(1, len(text) - 2))}


@given(st.lists(words, max_size=6), words)
def test_it_is_the_plain_comparison_with_every_text(texts, text):
    expected = bool(text) and any(
        5 * len(runs(other) & runs(text)) >= 4 * len(runs(other) | runs(text)) for other in texts if other
    )
    assert NearCopies(texts).near(text) is expected


@pytest.mark.parametrize(
    ("changed", "near"), [(0, True), (1, True), (2, False)]
)  # 28 runs; a changed word in the middle breaks 3 of them: 25 / 31, then 22 / 34
def test_how_much_may_change(changed, near):
    text = [f"w{k}" for k in range(30)]
    copy = list(text)
    for place in (8, 20)[:changed]:
        copy[place] = "other"
    assert NearCopies([text]).near(copy) is near


def test_short_texts_are_one_run():
    index = NearCopies([["no", "effusion"], []])
    assert index.near(["no", "effusion"])
    assert not index.near(["no", "effusions"])
    assert not index.near([])


def test_a_text_file_has_one_report_a_line(tmp_path):
    path = tmp_path / "training.txt"
    path.write_text("No effusion or pneumothorax.\n\nThe heart is enlarged.\n", encoding="utf-8")
    assert NearCopies.read(path).near(["the", "heart", "is", "enlarged"])


def test_a_section_is_compared_with_the_same_section(tmp_path):
    path = tmp_path / "training.csv"
    path.write_text("findings,impression\nclear lungs today,no acute disease\n", encoding="utf-8")
    index = NearCopies.read(path, "impression")
    assert index.near(["no", "acute", "disease"])
    assert not index.near(["clear", "lungs", "today"])
