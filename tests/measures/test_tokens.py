import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from harness.measures.tokens import TOKENIZERS, Vocabulary
from report_texts import AWKWARD, texts

STEMMED, PLAIN, SACREBLEU = DefaultTokenizer(True), DefaultTokenizer(False), Tokenizer13a()


@given(texts)
def test_google_tokens_are_rouge_scores(text):
    assert TOKENIZERS["stem"](text) == STEMMED.tokenize(text)
    assert TOKENIZERS["nostem"](text) == PLAIN.tokenize(text)


@given(st.one_of(texts, st.text("ab1.,-&;qampltgt<>skied' \n\t{~", max_size=40)))
def test_13a_tokens_are_sacrebleus(text):
    assert TOKENIZERS["13a"](text) == SACREBLEU(text.rstrip()).split()


@given(texts)
def test_raw_tokens_change_nothing(text):
    assert TOKENIZERS["raw"](text) == TOKENIZERS["none"](text) == text.split()


@pytest.mark.parametrize("name", TOKENIZERS)
@given(st.lists(texts, max_size=4))
def test_codes_stand_for_tokens(name, some):
    vocabulary = Vocabulary(TOKENIZERS[name])
    codes = vocabulary.encode(some)
    tokens = [TOKENIZERS[name](text) for text in some]
    assert [len(each) for each in codes] == [len(each) for each in tokens]
    pairs = {(c, t) for cs, ts in zip(codes, tokens, strict=True) for c, t in zip(cs, ts, strict=True)}
    assert len(pairs) == len({code for code, _ in pairs}) == len({token for _, token in pairs})


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (
            "No focal consolidation, effusion, or pneumothorax.",
            "no focal consolidation effusion or pneumothorax",
        ),
        ("The patient's heart isn't enlarged.", "the patient 's heart is n't enlarged"),
        ("Pneumonia cannot be excluded", "pneumonia can not be excluded"),
        ("A 2.5 x 3.0cm mass (right)", "a 2.5 x 3.0 cm mass -lrb- right -rrb-"),
        ("follow-up x-ray at T8-T9 and/or T10", "follow-up x-ray at t8-t9 and/or t10"),
        ("at 10:30 a.m. on 01/02/2010; 1,000 mL", "at 10:30 a.m. on 01/02/2010 1,000 ml"),
        ("Dr. X vs. Dr. Y", "dr. x vs. dr. y"),
        ("50% -- \"normal\" ... 'so'", "50 % normal so"),
        ("clear.There is no change", "clear.there is no change"),
        ("Größe 未见气胸。", "größe 未见气胸 。"),
    ],
)
def test_ptb_tokens(text, tokens):
    assert TOKENIZERS["ptb"](text) == tokens.split()


# What the Stanford tokenizer does differently: abbreviations that depend on what follows (No. 3) or
# on capitals (AT&T, PA.), e-mail and web addresses, character entities, ½, ?!, '80s, gonna.
DIFFERENT = 10
"""At most, of 71,272 tokens of the real reports."""


def test_ptb_tokens_are_those_of_the_stanford_tokenizer(real, tmp_path):
    if shutil.which("java") is None:
        pytest.skip("there is no Java to run the Stanford tokenizer with")
    module = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    candidates, references = real["impression against findings"]
    ours = [" ".join(text.split()) for text in candidates + references]
    path = tmp_path / "texts"
    path.write_text("\n".join(ours), encoding="utf-8")
    jar = Path(module.__file__).with_name(module.STANFORD_CORENLP_3_4_1_JAR)
    lines = subprocess.run(
        ["java", "-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", path],
        capture_output=True, check=True,
    ).stdout.decode().split("\n")  # fmt: skip
    different = total = 0
    for text, line in zip(ours, lines, strict=False):
        theirs = [word for word in line.split() if word not in module.PUNCTUATIONS]
        tokens = TOKENIZERS["ptb"](text)
        total += len(theirs)
        if tokens != theirs:
            different += max(len(set(tokens) ^ set(theirs)), 1)
    assert total > 60_000
    assert different <= DIFFERENT


def test_awkward_texts_have_tokens():
    for tokenizer in TOKENIZERS.values():
        for text in AWKWARD:
            tokens = tokenizer(text)
            assert all(isinstance(token, str) and token and not token.isspace() for token in tokens)
        assert tokenizer("") == tokenizer(" \r\n\t ") == []
