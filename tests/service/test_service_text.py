from datetime import UTC, datetime

import pytest

from harness.errors import ServiceError
from harness.service.text import text_renderer
from services import asked, listed, report_of

pytest.importorskip("jinja2")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_the_template_that_comes_along():
    request = asked(clinical_context={"age": 63, "sex": "F", "indication": "Cough & fever <38."})
    report = report_of(
        "s1", "There is a pneumothorax.", [listed("Pneumothorax", 0.8)], impression="Pneumothorax.",
        recommendations="Repeat.", model_version="m-1",
    )  # fmt: skip
    text = text_renderer()(request, report, NOW)
    assert text == (
        "CHEST X-RAY REPORT\nStudy: s1\nPatient: 63 years, female\nIndication: Cough & fever <38.\n\n"
        "FINDINGS\nThere is a pneumothorax.\n\nIMPRESSION\nPneumothorax.\n\nRECOMMENDATIONS\nRepeat.\n\n"
        "LISTED FINDINGS\n  Pneumothorax (0.80) CRITICAL\n\n"
        "Draft written by m-1 on 2026-01-31T12:00:00+00:00; not read by a radiologist.\n"
    )
    marked = report.model_copy(update={"requires_radiologist_review": True, "review_reason": "a; b"})
    assert "A RADIOLOGIST MUST REVIEW" in text_renderer()(request, marked, NOW)
    assert "  - a\n  - b\n" in text_renderer()(request, marked, NOW)


def test_words_of_a_report_are_data(tmp_path):
    text = text_renderer()(asked(), report_of("s1", "{{ 7 * 7 }} {% raw %}"), NOW)
    assert "{{ 7 * 7 }} {% raw %}" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("{{ report.imprssion }} {{ reasons }}", "imprssion"),
        ("{% if %}", "house.txt.j2:1: "),
        ("{{ report.impression }}", "does not show that a radiologist must review"),
        ("{{ reasons.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{% include '../secret.txt' %}{{ reasons }}", "secret"),
    ],
)
def test_a_broken_template_is_told_before_the_first_patient(tmp_path, words, told):
    path = tmp_path / "house.txt.j2"
    path.write_text(words)
    (tmp_path.parent / "secret.txt").write_text("secret")
    with pytest.raises(ServiceError, match=told):
        text_renderer(path)


def test_a_hospital_s_own(tmp_path):
    path = tmp_path / "house.txt"
    path.write_text("{{ study_id }}|{{ report.impression }}|{{ reasons | join(', ') }}")
    report = report_of("s1", impression="Fine.", review_reason="a; b", requires_radiologist_review=True)
    assert text_renderer(path)(asked(), report, NOW) == "s1|Fine.|a, b"
    with pytest.raises(ServiceError, match="no such template"):
        text_renderer(tmp_path / "none")
