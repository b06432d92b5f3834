import re
import shutil
import subprocess
from html import unescape

import pytest

from harness.cohorts.phantom import PhantomCohort
from harness.dossier.model import build_model
from harness.dossier.plots import Row, bars, flow, forest
from harness.dossier.render import render_html, render_pdf, write_dossier
from harness.errors import LedgerError
from harness.testing import ConstantReport, Damage, Oracle, Saboteur
from runs import SUITE, run, write_suite

EVIL = (
    '<script>alert(1)</script> </td></table> "quoted" & {{ 7 * 7 }} url(file:///etc/passwd) '
    '<img src="file:///etc/passwd"> <style>@import url(http://example.org/x)</style>'
)


@pytest.fixture(scope="module")
def failing(tmp_path_factory, phantom_root):
    """A run with misses, inventions and crashes."""
    folder = tmp_path_factory.mktemp("failing")
    cases = list(PhantomCohort(phantom_root))
    damaged = Saboteur(cases, Damage(miss=0.5, fail=0.1, hallucinate=0.1))
    run(write_suite(folder), phantom_root, damaged, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def written(failing, tmp_path_factory):
    pdf, html = write_dossier(failing, tmp_path_factory.mktemp("dossier"))
    return pdf, html.read_text(encoding="utf-8")


def test_every_number_of_the_verdict_is_on_the_page(failing, written):
    html = unescape(written[1])
    model = build_model(failing)
    for decision in model["decisions"]:
        for shown in (decision["shown"], decision["interval"], decision["bound"], decision["counts"]):
            assert shown in html
        assert decision["item"].reason in html
    for digest in (model["results"]["ledger"], model["head"], model["identity"]["suite"]):
        assert digest in html
    for measure in model["measures"]:
        assert measure["signature"] in html


def test_every_missed_critical_finding_is_listed(failing, written):
    _, html = written
    missed = build_model(failing)["missed"]
    assert missed["total"] > 20
    assert f"{missed['total']} critical findings were missed" in html
    for finding in missed["findings"]:
        assert f"{finding['finding']}: {len(finding['studies'])} missed of {finding['positives']}" in html
        for study in finding["studies"]:
            assert study in html


def test_failures_are_shown_by_kind(written):
    _, html = written
    assert "RuntimeError at testing.py" in html


def test_the_page_is_self_contained(written):
    _, html = written
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert not re.findall(r"url\((?![\"']?data:)", html)
    assert "<script" not in html


def test_the_pdf_is_tagged_has_bookmarks_and_embedded_fonts(written):
    data = written[0].read_bytes()
    assert data.startswith(b"%PDF-1.7")
    if shutil.which("pdffonts"):
        fonts = subprocess.run(["pdffonts", written[0]], capture_output=True, text=True, check=True).stdout
        rows = fonts.splitlines()[2:]
        assert rows
        assert all(" yes " in row for row in rows), "every font is embedded"
    if shutil.which("pdfinfo"):
        info = subprocess.run(["pdfinfo", written[0]], capture_output=True, text=True, check=True).stdout
        assert re.search(r"Tagged:\s+yes", info)
        assert re.search(r"Title:\s+Validation dossier", info)


def test_two_renders_of_one_ledger_give_the_same_bytes(failing, tmp_path, written):
    pdf, html = write_dossier(failing, tmp_path)
    assert html.read_text(encoding="utf-8") == written[1]
    assert pdf.read_bytes() == written[0].read_bytes()


def test_report_text_cannot_reach_out_or_break_the_page(tmp_path, phantom_root):
    run(write_suite(tmp_path), phantom_root, ConstantReport(EVIL, "No effusion."), tmp_path / "run")
    html = render_html(build_model(tmp_path / "run"))
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "{{ 7 * 7 }}" in html
    assert '<img src="file:' not in html
    assert render_pdf(html).startswith(b"%PDF")


def test_a_report_of_10000_characters_is_rendered(tmp_path, phantom_root):
    run(write_suite(tmp_path), phantom_root, ConstantReport("word " * 2000, "x" * 10_000), tmp_path / "run")
    pdf, html = write_dossier(tmp_path / "run", tmp_path / "dossier")
    assert pdf.stat().st_size > 10_000
    assert "[20,001 characters in all]" in html.read_text(encoding="utf-8"), "a cut is said"


def test_nothing_missed_and_no_positives_are_said(tmp_path, phantom_root):
    oracle = Oracle(list(PhantomCohort(phantom_root)))
    run(write_suite(tmp_path), phantom_root, oracle, tmp_path / "run")
    html = render_html(build_model(tmp_path / "run"))
    assert "No critical finding of the reference was missed." in html
    assert "PASS" in html


def test_an_incomplete_run_has_no_dossier(tmp_path, failing):
    copy = shutil.copytree(failing, tmp_path / "run")
    (copy / "results.json").unlink()
    with pytest.raises(LedgerError, match="not complete"):
        write_dossier(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_picture_that_was_changed_since_is_not_shown(tmp_path, phantom_root):
    root = shutil.copytree(phantom_root, tmp_path / "cohort")
    run(write_suite(tmp_path, SUITE), root, ConstantReport("No effusion."), tmp_path / "run")
    for picture in root.glob("files/*/*/*/*.jpg"):
        picture.write_bytes(picture.read_bytes() + b"\0")
    html = render_html(build_model(tmp_path / "run"))
    assert "was changed since the run and is not shown" in html
    assert "data:image/jpeg" not in html


# Plots


def test_a_forest_plot_tells_its_numbers_in_words_too():
    rows = [Row("one", 0.5, 0.4, 0.6, "note", 0.55, "FAIL"), Row("two <b>", None, None, None)]
    svg = forest(rows, "Title & more")
    assert 'aria-label="Title &amp; more"' in svg
    assert "one: 0.500 (0.400 to 0.600); two &lt;b&gt;: undefined" in svg
    assert svg.count("<text") >= 10


def test_points_and_bars_lie_where_their_numbers_are():
    svg = forest([Row("a", 0.25, 0.0, 1.0)], "t")
    centre = float(re.search(r'<circle cx="([\d.]+)"', svg).group(1))
    assert centre == pytest.approx(210 + 0.25 * (640 - 210 - 128), abs=0.1)
    svg = bars([("a", (30, 10)), ("b", (20, 0))], ("positive", "uncertain"), "t")
    widths = [float(w) for w in re.findall(r'width="([\d.]+)" height="11"', svg)]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)
    assert widths[0] == pytest.approx(1.5 * widths[2], abs=0.2)
    assert bars([], ("positive",), "t").startswith("<svg")


def test_the_flow_diagram_names_everybody_who_left():
    svg = flow([("Eligible", 10, [("no picture", 3)]), ("Judged", 7, [])], "t")
    assert "3  no picture" in svg
    assert "7 studies" in svg
