import html as entities
import re

import numpy as np
import pytest

from error_runs import text_run
from harness.cohorts.phantom import PhantomCohort
from harness.dossier.error_page import build_error_model, render_errors, summary_rows, write_error_pages
from harness.dossier.error_plots import by_quality, confusion
from harness.error_analysis import ErrorClass, analyse
from harness.error_analysis.attention import Attention
from harness.error_analysis.examples import examples
from harness.report import CRITICAL
from harness.testing import Damage, Saboteur
from runs import run, write_suite

EVIL = '<script>alert(1)</script> <img src="file:///etc/passwd"> {{ 7 * 7 }} & no pneumothorax'


def plain(page):
    return entities.unescape(re.sub(r"<wbr>|\u200b", "", page))


@pytest.fixture(scope="module")
def made(tmp_path_factory, phantom_root):
    folder = tmp_path_factory.mktemp("errors")
    faults = Damage(miss=0.5, fail=0.05, hallucinate=0.1, swap_sides=0.4, change_severity=0.3)
    run(
        write_suite(folder), phantom_root, Saboteur(list(PhantomCohort(phantom_root)), faults), folder / "run"
    )
    analysis = analyse(folder / "run")
    return folder / "run", analysis, render_errors(folder / "run", analysis)


def test_every_count_is_on_the_page(made):
    _, analysis, page = made
    text = plain(page)
    for summary in (*analysis.critical, *analysis.overall):
        if summary.errors is not None:
            assert f"{summary.rate.estimate:.1%}" in text
            assert f"{summary.rate.low:.1%} to {summary.rate.high:.1%}" in text
    for row in analysis.findings:
        if row.missed.denominator:
            assert f"{row.missed.numerator:,} / {row.missed.denominator:,}" in text
    for trend in analysis.trends:
        assert trend.reason in text
        assert f"{trend.trials:,}" in text
    assert analysis.ledger in text


def test_every_example_shows_both_texts_the_marks_and_the_picture(made):
    folder, analysis, page = made
    model = build_error_model(folder, analysis)
    cards = [card for group in model["examples"] for card in group["cards"]]
    assert len(cards) == len(examples(analysis.errors))
    assert page.count('class="case"') == len(cards)
    assert page.count("data:image/jpeg;base64") == len(cards)
    for card in cards:
        assert card["facts"] or card["error"].error_class is ErrorClass.MISSED
    assert 'class="mention sentence"' in page
    assert "laterality sentence" in page


def test_the_page_reaches_nothing_outside(made):
    _, _, page = made
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert page.count("<img") == len(re.findall(r"<img[^>]* alt=", page))


def test_pdf_and_html_are_written_the_same_twice(tmp_path):
    rows = [{"findings": "Left rib fracture.", "report": "Clear.", "labels": {"Fracture": "1"}}] * 3
    folder = text_run(tmp_path / "small", rows)
    analysis = analyse(folder)
    pdf, html = write_error_pages(folder, analysis, tmp_path / "a")
    again, _ = write_error_pages(folder, analysis, tmp_path / "b")
    assert html.read_text(encoding="utf-8") == render_errors(folder, analysis)
    assert pdf.read_bytes() == again.read_bytes()
    assert pdf.read_bytes().startswith(b"%PDF")


def test_attention_is_laid_over_the_picture_or_its_absence_said(made, phantom_root):
    folder, analysis, _ = made
    chosen = examples(analysis.errors)
    keys = [(error.study_id, error.finding) for error in chosen]
    pictures = {case.study.study_id: case.study.images[0].path for case in PhantomCohort(phantom_root)}
    attention = Attention(
        maps={keys[0]: np.eye(7, dtype=np.float32)},
        pictures={keys[0]: pictures[keys[0][0]]},
        why=dict.fromkeys(keys[1:], "it gave no usable map of this finding"),
    )
    page = render_errors(folder, analysis, attention)
    assert page.count("Where the model looked for") == 1
    assert page.count("No attention map: it gave no usable map of this finding.") == len(set(keys)) - 1


def test_report_text_cannot_reach_out_or_break_the_page(tmp_path):
    rows = [
        {"findings": f"Left pneumothorax. {EVIL}", "report": EVIL * 60, "labels": {"Pneumothorax": "1"}}
    ] * 3
    folder = text_run(tmp_path / "evil", rows)
    page = render_errors(folder, analyse(folder))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.replace("<wbr>", "")
    assert "{{ 7 * 7 }}" in plain(page)
    assert '<img src="file:' not in page
    assert "The study has no picture." in page
    assert "characters in all]" in plain(page)


def test_what_was_not_evaluated_is_said_and_never_zero(tmp_path):
    rows = [{"findings": "", "report": "Clear.", "labels": {str(finding): "0" for finding in CRITICAL}}] * 3
    folder = text_run(tmp_path / "none", rows)
    analysis = analyse(folder)
    text = plain(render_errors(folder, analysis))
    assert text.count("not evaluated") >= 10
    assert "Not evaluated: the study has no picture (3)." in text
    assert all(row[1] == "–" and row[2] == "not evaluated" for row in summary_rows(analysis))


def test_plots_tell_their_numbers_in_words(made):
    _, analysis, _ = made
    svg = confusion(analysis.confusion, "Confusion")
    for row in analysis.confusion:
        assert f"{row.finding}: {row.detected} of {row.positives} detected" in svg
    for measure in analysis.quality.measures:
        plot = by_quality(analysis.quality, measure)
        for one in measure.bins:
            if one.rates[0].denominator:
                assert f"{one.rates[0].estimate:.3f}" in plot
