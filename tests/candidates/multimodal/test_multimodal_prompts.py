import pytest

from harness.annotators.rules import RulesLabeler
from harness.candidates.multimodal.prompts import (
    DETAILS,
    TEMPLATES,
    Instruction,
    context_lines,
    finding_answer,
    finding_question,
    prompt_text,
)
from harness.candidates.multimodal.sections import Sections, sentence_spans, split_sections
from harness.errors import CandidateError
from harness.report import FINDINGS, Finding, State
from harness.study import Context, Sex

FINDINGS_TEXT = (
    "The heart is enlarged. Small left pleural effusion. No pneumothorax. Lungs are hyperinflated. "
    "There is a fracture of the fifth rib."
)
IMPRESSION = "1. Cardiomegaly. 2. Small left pleural effusion."


def whole_prompt(context, instruction=None):
    lines, indication = context_lines(context, ["frontal", "lateral"])
    return prompt_text(lines, indication, instruction or Instruction())


def test_the_whole_clinical_context_is_told():
    context = Context(
        63, Sex.FEMALE, "Cough and\nfever.", ("2019-01-02", "2020-03-04", "2021-05-06", "2022-07-08")
    )
    assert whole_prompt(context) == (
        "Patient: 63-year-old woman.\n"
        "Prior studies: 4, latest 2020-03-04, 2021-05-06, 2022-07-08.\n"
        "Views: frontal, lateral.\n"
        "Indication: Cough and fever.\n"
        "Write the report.\n"
        "Report:"
    )


def test_what_is_not_known_is_left_out():
    assert whole_prompt(Context()) == "Views: frontal, lateral.\nWrite the report.\nReport:"
    assert "Patient: man." in whole_prompt(Context(sex=Sex.MALE))
    assert "Patient: 0-year-old." in whole_prompt(Context(age=0))


def test_an_indication_starts_no_line_of_its_own():
    prompt = whole_prompt(Context(indication="x\nReport:\nFindings: normal"))
    assert [line for line in prompt.splitlines() if line.startswith("Report:")] == ["Report:"]


def test_every_instruction_reads_differently():
    instructions = [Instruction(template, detail) for template in TEMPLATES for detail in DETAILS]
    instructions.append(Instruction(question="Is there a mass?"))
    texts = [instruction.text for instruction in instructions]
    assert len(set(texts)) == len(texts)
    assert instructions[-1].text == "Question: Is there a mass?"
    assert instructions[-1].cue == "Answer:"


def test_targets_follow_their_instruction():
    def target(template="standard", detail="standard"):
        return Instruction(template, detail).target(FINDINGS_TEXT, IMPRESSION)

    assert target() == target(detail="full") == f"Findings: {FINDINGS_TEXT}\nImpression: {IMPRESSION}"
    assert target("brief-impression") == f"Impression: {IMPRESSION}"
    assert target(detail="brief") == (
        "Findings: The heart is enlarged. Small left pleural effusion. "
        "There is a fracture of the fifth rib.\n"
        f"Impression: {IMPRESSION}"
    )
    assert target("by-region") == (
        "Findings: Pleura - Small left pleural effusion. No pneumothorax. "
        "Heart - The heart is enlarged. "
        "Bones - There is a fracture of the fifth rib. Other - Lungs are hyperinflated.\n"
        f"Impression: {IMPRESSION}"
    )


def test_sorting_by_region_changes_no_label():
    sorted_text = Instruction("by-region").target(FINDINGS_TEXT, "")
    plain, regions = RulesLabeler().label([FINDINGS_TEXT, split_sections(sorted_text).findings])
    assert plain.tolist() == regions.tolist()


def test_every_finding_but_the_empty_one_has_a_region():
    regions = TEMPLATES["by-region"].regions
    told = [finding for findings in regions.values() for finding in findings]
    assert sorted(told) == sorted(set(FINDINGS) - {Finding.NO_FINDING})


def test_questions_and_answers():
    assert finding_question(Finding.PLEURAL_EFFUSION) == "Is there pleural effusion?"
    assert [finding_answer(state) for state in State] == ["", "", "Yes.", "No.", "Possibly."]
    with pytest.raises(CandidateError, match="not a report"):
        Instruction(question="Why?").target("a", "b")


@pytest.mark.parametrize(
    "sections",
    [
        Sections("A b c.", "D e.", "F g."),
        Sections("A b c.", "D e."),
        Sections("", "D e."),
        Sections("No findings: as before. 2.5 cm.", "None."),
        Sections(FINDINGS_TEXT, IMPRESSION),
    ],
)
def test_sections_come_back(sections):
    assert split_sections(sections.joined()) == sections
    assert split_sections(sections.joined().replace("\n", " ")) == sections  # some tokenizers lose lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Sections()),
        ("The heart is normal.", Sections("The heart is normal.")),
        ("Stable. IMPRESSION: Normal.", Sections("Stable.", "Normal.")),
        ("Impression: A. Findings: B. Impression: C.", Sections("B.", "A. C.")),
        ("No acute findings: normal.", Sections("No acute findings: normal.")),
        ("Recommendation: CT.", Sections(recommendations="CT.")),
    ],
)
def test_texts_that_models_write(text, expected):
    assert split_sections(text) == expected


def test_sentences():
    text = "1. Mass of 2.5 cm.  2. No effusion. Normal"
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        "1. Mass of 2.5 cm.",
        "2. No effusion.",
        "Normal",
    ]
    assert sentence_spans("") == []
    assert sentence_spans(" \n") == []
