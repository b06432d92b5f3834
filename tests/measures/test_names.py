import pytest

from harness.errors import PluginError
from harness.measures.names import named_measure


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("bleu4", "bleu4|coco|tok:ptb|"),
        ("bleu4.coco", "bleu4|coco|tok:ptb|"),
        ("bleu2.coco.raw", "bleu2|coco|tok:raw|"),
        ("bleu1.raw", "bleu1|coco|tok:raw|"),
        ("bleu4.sacrebleu", "bleu4|sacrebleu|tok:13a|"),
        ("bleu3.sacrebleu.none", "bleu3|sacrebleu|tok:none|"),
        ("rougeL.google", "rougeL|google|stem|"),
        ("rougeL.google.nostem", "rougeL|google|nostem|"),
        ("rougeL.coco.raw", "rougeL|coco|beta:1.2|tok:raw|"),
        ("edit_distance.raw", "edit_distance|unit:word|norm:longer|tok:raw|"),
        ("findings_f1.negative", "findings_f1|uncertain:negative|"),
        ("degenerate_output.impression", "degenerate_output|tok:ptb|case:lower|punct:no|section:impression"),
    ],
)
def test_names_lead_to_measures(name, begins):
    assert named_measure(name).signature().startswith(begins)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bleu5", "bleu5: no such measure; did you mean bleu4?"),
        ("bleu4.cooc", "bleu4.cooc: cooc: no such option; did you mean coco?"),
        ("failure_rate.zzz", "no such option; failure_rate knows none"),
        ("bleu4.coco.sacrebleu", "variant cannot be both coco and sacrebleu"),
        ("bleu4.coco.13a", "bleu4.coco.13a: tokens must be ptb or raw for variant coco"),
        ("", "no such measure"),
    ],
)
def test_names_that_lead_nowhere(name, told):
    with pytest.raises(PluginError) as caught:
        named_measure(name)
    assert told in str(caught.value)
