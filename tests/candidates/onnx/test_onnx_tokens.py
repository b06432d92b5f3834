import pytest

from harness.candidates.onnx.tokens import FastTokenizer
from harness.errors import CandidateError
from tiny_multimodal import SENTENCES, tiny_tokenizer

TEXTS = (
    *SENTENCES,
    "Line one.\nLine two:  </s> <pad> are words , here .",
    "",
    "µ – “quoted” 3.5 cm don't",
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(folder)
    return folder / "tokenizer.json"


@pytest.mark.parametrize("text", TEXTS)
def test_the_same_ids_and_text_as_transformers(path, text):
    slow, fast = tiny_tokenizer(), FastTokenizer(path, 300, 1, 2, 0)
    wanted = slow(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert fast(text)["input_ids"] == wanted
    ids = [1, *wanted, 2]
    assert fast.decode(ids) == slow.decode(ids, skip_special_tokens=True)
    assert len(fast) == len(slow)


def test_another_vocabulary_or_a_damaged_file(path, tmp_path):
    with pytest.raises(CandidateError, match="has 300 tokens and the manifest says 299"):
        FastTokenizer(path, 299, 1, 2, 0)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CandidateError, match="does not load"):
        FastTokenizer(tmp_path / "tokenizer.json", 300, 1, 2, 0)
