import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cohorts.sections import parse_sections


def test_the_usual_report():
    text = (
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n \n"
        " INDICATION:  ___ year old woman with fever\n \n COMPARISON:  ___\n \n"
        " FINDINGS: \n \n Heart size is normal.\n The lungs are clear.\n \n IMPRESSION: \n \n No pneumonia.\n"
    )
    assert parse_sections(text) == {
        "findings": "Heart size is normal. The lungs are clear.",
        "impression": "No pneumonia.",
        "indication": "___ year old woman with fever",
        "comparison": "___",
    }


@pytest.mark.parametrize(
    ("text", "findings", "impression"),
    [
        ("FINDINGS: Clear. IMPRESSION: Normal.", "Clear.", "Normal."),
        ("Findings: Clear.\nImpression: Normal.", "Clear.", "Normal."),
        ("FINDINGS:\r\n Clear.\r\nCONCLUSION:\r\n Normal.\r\n", "Clear.", "Normal."),
        ("IMPRESSION: Normal.", "", "Normal."),
        ("FINDINGS AND IMPRESSION: All normal.", "All normal.", ""),
        ("FINDINGS\nClear.\nIMPRESSION\nNormal.", "Clear.", "Normal."),
        # Of several sections of one name, the first that says something.
        ("FINDINGS: \nIMPRESSION: One.\n FINDINGS: Clear.\nIMPRESSION: Two.", "Clear.", "One."),
        # Without headings, the last paragraph.
        ("CHEST, TWO VIEWS\n\n Compared to the prior, no change.", "Compared to the prior, no change.", ""),
        ("INDICATION: Cough.\n\nThe lungs are clear.", "The lungs are clear.", ""),
        ("INDICATION: Cough.\n", "", ""),
        ("EXAMINATION: Chest\n\n INDICATION: Cough.\n\n", "", ""),
        ("", "", ""),
        # "findings" within a sentence is no heading.
        ("IMPRESSION: These findings: two nodules, suggest sarcoidosis.", "",
         "These findings: two nodules, suggest sarcoidosis."),
        ("IMPRESSION:\n Findings were discussed.\n NOTIFICATION:  By phone.", "", "Findings were discussed."),
    ],
)  # fmt: skip
def test_other_layouts(text, findings, impression):
    found = parse_sections(text)
    assert (found["findings"], found["impression"]) == (findings, impression)


def test_what_is_taken_for_findings_is_not_told_as_indication():
    """The indication is shown to the candidate; the reference must never be in it."""
    found = parse_sections("INDICATION: Cough.\n\nThere is a large left pneumothorax.")
    assert found["findings"] == "There is a large left pneumothorax."
    assert found["indication"] == "Cough."


@given(st.text(max_size=400))
def test_any_text_gives_four_sections_of_joined_lines(text):
    found = parse_sections(text)
    assert set(found) == {"findings", "impression", "indication", "comparison"}
    for section in found.values():
        assert section == " ".join(section.split())


def test_a_report_of_10_mb_is_parsed():
    text = "FINDINGS: " + "No effusion.\n" * 800_000 + "IMPRESSION: Normal."
    assert parse_sections(text)["impression"] == "Normal."
