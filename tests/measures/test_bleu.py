import numpy as np
import pytest
from hypothesis import given, settings
from pycocoevalcap.bleu.bleu import Bleu as CocoBleu
from sacrebleu.metrics import BLEU

from harness.measures.bleu import Bleu1, Bleu2, Bleu3, Bleu4
from harness.measures.tokens import TOKENIZERS
from report_texts import AWKWARD, pairs, pairs_of_texts, value

MEASURES = (Bleu1, Bleu2, Bleu3, Bleu4)


def coco(candidates, references, tokens):
    """BLEU-1 to 4 of the COCO evaluation on the same tokens."""
    split = TOKENIZERS[tokens]
    return CocoBleu(4).compute_score(
        {k: [" ".join(split(text))] for k, text in enumerate(references)},
        {k: [" ".join(split(text))] for k, text in enumerate(candidates)},
        verbose=0,
    )[0]


def sacrebleu(candidates, references, tokens, order):
    peer = BLEU(tokenize=tokens, max_ngram_order=order, force=True)
    return peer.corpus_score(candidates, [references]).score / 100


def check_against_peers(candidates, references):
    some = pairs(candidates, references)
    for tokens in ("ptb", "raw"):
        if any(TOKENIZERS[tokens](text) for text in references):
            ours = [value(cls("coco", tokens), some)[0] for cls in MEASURES]
            np.testing.assert_allclose(ours, coco(candidates, references, tokens), rtol=0, atol=1e-9)
    for tokens in ("13a", "none"):
        if any(TOKENIZERS[tokens](text) for text in references):
            for cls in MEASURES:
                theirs = sacrebleu(candidates, references, tokens, cls.order)
                assert value(cls("sacrebleu", tokens), some)[0] == pytest.approx(theirs, rel=0, abs=1e-9)


@settings(deadline=None)
@given(pairs_of_texts)
def test_it_is_the_peers_on_any_text(some):
    check_against_peers(*map(list, zip(*some, strict=True)))


@pytest.mark.parametrize("kind", ["impression against findings", "shuffled", "near copies"])
def test_it_is_the_peers_on_real_reports(real, kind):
    check_against_peers(*real[kind])


def test_a_worked_example():
    # "the the the" against "the cat the": two of three unigrams, no bigram; lengths are equal.
    some = pairs(["the the the"], ["the cat the"])
    assert value(Bleu1(), some)[0] == pytest.approx(2 / 3)
    assert value(Bleu2(), some)[0] == pytest.approx(0, abs=1e-7)
    assert value(Bleu2("sacrebleu"), some)[0] == pytest.approx((2 / 3 * 1 / 4) ** 0.5)
    # Two words of four, both right: precision 1, brevity exp(1 - 4 / 2).
    assert value(Bleu2(), pairs(["a b"], ["a b c d"]))[0] == pytest.approx(np.exp(-1))


def test_it_is_of_the_corpus_not_a_mean_of_studies():
    some = pairs(["a b c d", "x"], ["a b c d", "p q r s"])
    alone = [value(Bleu1(), pairs([c], [r]))[0] for c, r in (("a b c d", "a b c d"), ("x", "p q r s"))]
    assert alone == pytest.approx([1, 0])
    assert value(Bleu1(), some)[0] == pytest.approx(4 / 5 * np.exp(1 - 8 / 5))


def test_without_a_reference_it_is_undefined_and_silence_scores_0():
    for cls in MEASURES:
        for variant in ("coco", "sacrebleu"):
            assert np.isnan(value(cls(variant), pairs(["a b"], [""])))
            assert value(cls(variant), pairs(["", "a"], ["a b c d", "b"]))[0] < 1e-3
            assert value(cls(variant), pairs([""], ["a b c d"]))[0] == 0


def test_case_and_punctuation_count_where_the_signature_does_not_say_otherwise():
    some = pairs(["No EFFUSION or pneumothorax"], ["No effusion, or pneumothorax"])
    assert value(Bleu4(), some)[0] == pytest.approx(1)
    assert value(Bleu1("coco", "raw"), some)[0] == pytest.approx(3 / 4)
    assert Bleu4().signature() == "bleu4|coco|tok:ptb|case:lower|punct:no|section:report|v1"
    assert Bleu1("coco", "raw").signature() == "bleu1|coco|tok:raw|case:mixed|section:report|v1"
    sacre = "bleu4|sacrebleu|tok:13a|case:mixed|smooth:exp|eff:no|section:report|v1"
    assert Bleu4("sacrebleu").signature() == sacre
    peer = BLEU(force=True)
    peer.corpus_score(["a"], [["a"]])
    assert "|case:mixed|eff:no|tok:13a|smooth:exp|" in str(peer.get_signature())


def test_a_10_mb_text_is_counted_whole():
    long = "no effusion or pneumothorax " * 370_000
    rows = Bleu4().rows(pairs([long, "no effusion"], ["no effusion or pneumothorax", "no effusion"]))
    assert len(long) > 10_000_000
    assert rows[0].tolist() == [4, 3, 2, 1, 1_480_000, 1_479_999, 1_479_998, 1_479_997, 1_480_000, 4]
    assert rows[1].tolist() == [2, 1, 0, 0, 2, 1, 0, 0, 2, 2]


def test_awkward_texts_equal_themselves():
    for variant in ("coco", "sacrebleu"):
        some = pairs(list(AWKWARD), list(AWKWARD))
        assert value(Bleu4(variant), some)[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"variant": "nist"}, "coco or sacrebleu"),
        ({"tokens": "13a"}, "ptb or raw for variant coco"),
        ({"variant": "sacrebleu", "tokens": "ptb"}, "13a or none for variant sacrebleu"),
        ({"section": "indication"}, "section must be one of"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        Bleu4(**options)
