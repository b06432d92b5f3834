import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.annotators.rules import RulesLabeler
from harness.candidates.multimodal.beams import Generated
from harness.candidates.multimodal.processor import MultimodalProcessor
from harness.candidates.multimodal.prompts import Instruction
from harness.candidates.multimodal.sections import split_sections
from harness.candidates.multimodal.writing import completed, left_out, write
from harness.candidates.template import ABSENT, NOTHING, SENTENCES
from harness.report import FINDINGS, INDEX, Finding, State
from harness.study import View
from tiny_multimodal import configuration

STANDARD = Instruction()
TEXT = (
    "Findings: The heart is enlarged. No pneumothorax or pleural effusion. No fracture.\n"
    "Impression: 1. Cardiomegaly."
)
MORE = (
    "Findings: There is a small left pleural effusion. There is a right rib fracture with pneumonia.\n"
    "Impression: 1. Small left pleural effusion. Recommend follow-up."
)
EFFUSION = (Finding.PLEURAL_EFFUSION,)


def states(text):
    return dict(zip(FINDINGS, RulesLabeler().label([text])[0].tolist(), strict=True))


def scripted(tokenizer, *texts, detections_in_prompt=True):
    """A processor, and a language model that says some texts in turn and keeps the prompts."""
    config = configuration(detections_in_prompt=detections_in_prompt)
    processor = MultimodalProcessor(config, tokenizer)
    answers, prompts = iter(texts), []

    def generate(places, asked):
        assert len(places) == len(asked)
        prompts.extend(asked)
        return [Generated(tuple(processor.ids(next(answers))), -1.0, True) for _ in asked]

    return processor, generate, prompts


def head(*findings):
    return [0.9 if finding in findings else 0.1 for finding in FINDINGS]


def test_what_the_head_sees_and_the_text_leaves_out_is_asked_for_alone(tokenizer, make_study):
    processor, generate, prompts = scripted(tokenizer, TEXT, MORE)
    seen = head(Finding.CARDIOMEGALY, Finding.PLEURAL_EFFUSION)
    (written,) = write(processor, [make_study(View.PA)], STANDARD, [seen], generate)
    assert "Detected: cardiomegaly, pleural effusion." in prompts[0]
    assert "Detected: pleural effusion." in prompts[1]
    assert "Name only what is abnormal." in prompts[1]
    assert split_sections(written.text).findings == (
        "The heart is enlarged. No fracture. There is a small left pleural effusion."
    )
    assert split_sections(written.text).impression == "1. Cardiomegaly. 2. Small left pleural effusion."
    assert [answer.prompt for answer in written.answers] == prompts
    assert written.notes == ("Pleural Effusion: left out of the model's first text, asked for again",)


def test_a_whole_text_is_asked_for_once(tokenizer, make_study):
    processor, generate, prompts = scripted(tokenizer, TEXT)
    (written,) = write(processor, [make_study(View.PA)], STANDARD, [head(Finding.CARDIOMEGALY)], generate)
    assert written.text == TEXT
    assert len(prompts) == 1
    assert not written.notes


@pytest.mark.parametrize("case", ["a question", "a head that the prompt does not name"])
def test_nothing_is_asked_twice_of(case, tokenizer, make_study):
    named = case == "a question"
    processor, generate, prompts = scripted(tokenizer, TEXT, detections_in_prompt=named)
    instruction = Instruction(question="Is there a fracture?") if named else STANDARD
    (written,) = write(processor, [make_study(View.PA)], instruction, [head(*EFFUSION)], generate)
    assert written.text == TEXT
    assert len(prompts) == 1


def test_of_several_studies_only_those_that_lack_something_are_asked_again(tokenizer, make_study):
    processor, generate, prompts = scripted(tokenizer, TEXT, TEXT, TEXT, MORE)
    studies = [make_study(View.PA, seed=n) for n in range(3)]
    rows = [head(Finding.CARDIOMEGALY), head(*EFFUSION), head()]
    written = write(processor, studies, STANDARD, rows, generate)
    assert [one.text == TEXT for one in written] == [True, False, True]
    assert len(prompts) == 4


def test_a_second_answer_without_the_finding_changes_nothing(tokenizer, make_study):
    processor, generate, prompts = scripted(tokenizer, TEXT, "Impression: No effusion.")
    (written,) = write(processor, [make_study(View.PA)], STANDARD, [head(*EFFUSION)], generate)
    assert written.text == TEXT
    assert len(prompts) == 2
    assert len(written.answers) == 1
    assert not written.notes


def test_a_text_without_words_stays_one(tokenizer, make_study):
    processor, generate, prompts = scripted(tokenizer, "")
    (written,) = write(processor, [make_study(View.PA)], STANDARD, [head(*EFFUSION)], generate)
    assert written.text == ""
    assert len(prompts) == 1


def test_a_sentence_that_states_more_than_what_is_missing_is_not_taken():
    text, added = completed(TEXT, MORE, (Finding.FRACTURE,), STANDARD)
    assert added == ()
    assert text == TEXT


def test_a_normal_impression_goes_unless_only_a_device_was_added():
    normal = f"Findings: The lungs are clear.\nImpression: {NOTHING}"
    text, _ = completed(normal, MORE, EFFUSION, STANDARD)
    assert split_sections(text).impression == "Small left pleural effusion."
    device = "Findings: A pacemaker is in place.\nImpression: No change."
    text, added = completed(normal, device, (Finding.SUPPORT_DEVICES,), STANDARD)
    assert added == (Finding.SUPPORT_DEVICES,)
    assert split_sections(text).impression == f"{NOTHING} A pacemaker is in place."


def test_the_form_that_was_asked_for_is_kept():
    only, _ = completed("Impression: Cardiomegaly.", MORE, EFFUSION, Instruction("brief-impression"))
    assert only == "Impression: Cardiomegaly. Small left pleural effusion."
    regions = "Findings: Heart - The heart is enlarged.\nImpression: Cardiomegaly."
    text, _ = completed(regions, MORE, EFFUSION, Instruction("by-region"))
    assert "Pleura - There is a small left pleural effusion." in text


findings = st.sets(st.sampled_from([f for f in FINDINGS if f is not Finding.NO_FINDING]))


@settings(max_examples=60, deadline=None)
@given(findings, findings)
def test_law_a_second_answer_adds_what_is_missing_and_takes_nothing_away(told, seen):
    denied = [sentence for finding, sentence in ABSENT.items() if finding not in told]
    first = " ".join([*(SENTENCES[f] for f in FINDINGS if f in told), *denied])
    impression = " ".join(SENTENCES[f] for f in FINDINGS if f in told) or NOTHING
    text = f"Findings: {first}\nImpression: {impression}"
    missing = left_out(text, seen)
    more = " ".join(SENTENCES[f] for f in missing)
    whole, added = completed(text, f"Findings: {more}\nImpression: {more}", missing, STANDARD)
    before, after = states(text), states(whole)
    stated = (State.POSITIVE, State.UNCERTAIN)
    for finding in FINDINGS:
        if finding is not Finding.NO_FINDING:
            assert (after[finding] in stated) == (before[finding] in stated or finding in added)
    assert left_out(whole, added) == ()
    assert set(missing) == set(seen) - {f for f in FINDINGS if before[f] in stated}
    assert list(added) == sorted(added, key=INDEX.__getitem__)
