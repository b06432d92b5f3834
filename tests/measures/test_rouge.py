import pytest
from hypothesis import given, settings
from pycocoevalcap.rouge.rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

from harness.measures.rouge import RougeL
from harness.measures.tokens import TOKENIZERS
from report_texts import AWKWARD, pairs, pairs_of_texts, value

STEMMED, PLAIN = (RougeScorer(["rougeL"], use_stemmer=stem) for stem in (True, False))


def google(candidates, references, stem):
    scorer = STEMMED if stem else PLAIN
    both = zip(references, candidates, strict=True)
    return sum(scorer.score(*pair)["rougeL"].fmeasure for pair in both) / len(references)


def coco(candidates, references, tokens):
    split = TOKENIZERS[tokens]
    scorer, total = Rouge(), 0.0
    for candidate, reference in zip(candidates, references, strict=True):
        words = split(candidate), split(reference)
        # The peer takes an empty text for one empty word, so that two empty texts agree; here
        # silence scores 0.
        if any(words):
            total += scorer.calc_score([" ".join(words[0])], [" ".join(words[1])])
    return total / len(references)


def check_against_peers(candidates, references):
    some = pairs(candidates, references)

    def ours(*options):
        return pytest.approx(value(RougeL(*options), some)[0], rel=0, abs=1e-9)

    assert google(candidates, references, True) == ours("google", "stem") == ours()
    assert google(candidates, references, False) == ours("google", "nostem")
    for tokens in ("ptb", "raw"):
        assert coco(candidates, references, tokens) == ours("coco", tokens)


@settings(deadline=None)
@given(pairs_of_texts)
def test_it_is_the_peers_on_any_text(some):
    check_against_peers(*map(list, zip(*some, strict=True)))


@pytest.mark.parametrize("kind", ["impression against findings", "shuffled", "near copies"])
def test_it_is_the_peers_on_real_reports(real, kind):
    check_against_peers(*real[kind])


def test_a_worked_example():
    # Subsequence "the is enlarged", 3 of 4 and 3 of 5 words: F1 = 2 x 3 / 9.
    some = pairs(["The aorta is enlarged"], ["the heart is mildly enlarged"])
    assert value(RougeL(), some)[0] == pytest.approx(6 / 9)
    precision, recall, beta = 3 / 4, 3 / 5, 1.44
    expected = (1 + beta) * precision * recall / (recall + beta * precision)
    assert value(RougeL("coco"), some)[0] == pytest.approx(expected)
    assert value(RougeL(), pairs(["effusions"], ["effusion"]))[0] == 1
    assert value(RougeL("google", "nostem"), pairs(["effusions"], ["effusion"]))[0] == 0


def test_silence_scores_0_and_counts():
    for variant in ("google", "coco"):
        assert value(RougeL(variant), pairs(["", "a", ""], ["a", "", ""]))[0] == 0
        assert value(RougeL(variant), pairs(["", "a"], ["a", "a"]))[0] == pytest.approx(0.5)


def test_signatures_say_every_choice():
    assert RougeL().signature() == "rougeL|google|stem|tok:a-z0-9|case:lower|section:report|v1"
    coco_raw = "rougeL|coco|beta:1.2|tok:raw|case:mixed|section:report|v1"
    assert RougeL("coco", "raw").signature() == coco_raw


def test_awkward_and_long_texts_are_scored_whole():
    long = "no effusion or pneumothorax " * 370_000
    rows = RougeL().rows(pairs([long], ["no pneumothorax"]))
    assert rows[0, 0] / 2**20 + rows[0, 1] / 2**40 == pytest.approx(4 / 1_480_002, abs=1e-12)
    for text in AWKWARD:
        expected = 1 if TOKENIZERS["raw"](text) else 0
        assert value(RougeL("coco", "raw"), pairs([text], [text]))[0] == pytest.approx(expected)


@pytest.mark.parametrize("options", [{"variant": "lin"}, {"tokens": "ptb"}, {"section": "x"}])
def test_options_that_do_not_exist_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        RougeL(**options)
