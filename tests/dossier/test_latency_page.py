import pytest

from harness.dossier.latency_page import page_model, write_latency_page
from harness.dossier.render import COMMON, render_template
from latency_bench import H100, suite_of, timed

STEPS = [{"rate_per_hour": 200, "studies": 420}, {"load": 0.8, "studies": 40}, {"load": 1.2, "studies": 40}]
CRITERIA = [
    {"id": "p50", "value": "p50", "at": 200, "below_s": 5},
    {"id": "p99", "value": "p99", "below_s": 15},
    {"id": "throughput", "value": "throughput", "at_least_per_hour": 200},
]


def page(folder, **options):
    pytest.importorskip("jinja2")
    ledger = timed(folder, options.pop("service", 2.0), suite_of(320, STEPS, CRITERIA, **options))
    return page_model(ledger.root)


def html(model):
    return render_template("latency.html.j2", model, (COMMON, "ab.css", "latency.css"))


def test_on_the_target_the_limits_stand_with_their_values(tmp_path):
    model = page(tmp_path)
    text = html(model)
    assert "every limit is kept" in text
    assert "P50 limit" in text
    assert [row["status"].value for row in model["decisions"]] == ["PASS"] * 3
    assert model["decisions"][1]["bound"] == "2.00 s"
    assert "not evidence" in text


def test_on_another_device_no_value_stands_beside_a_limit_and_no_limit_in_a_plot(tmp_path):
    pytest.importorskip("jinja2")
    ledger = timed(tmp_path, 2.0, suite_of(320, STEPS, CRITERIA), device=H100)
    model = page_model(ledger.root)
    text = html(model)
    assert "P50 limit" not in text
    assert {row["estimate"] for row in model["decisions"]} == {"–"}
    assert f"What was measured on {H100.name}" in text
    assert "not of NVIDIA A10G" in text
    assert "Nothing is decided of NVIDIA A10G" in text


def test_what_a_suite_says_is_escaped(tmp_path):
    text = html(page(tmp_path, title="<script>alert(1)</script>"))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_candidate_without_any_report_has_a_page(tmp_path):
    from harness.outcome import Status

    model = page(tmp_path, service=lambda number: (1.0, Status.RAISED))
    text = html(model)
    assert "No report was given" in text
    assert "no report" in text
    assert {row["status"].value for row in model["decisions"]} == {"FAIL"}


def test_both_files_are_written(tmp_path):
    pytest.importorskip("weasyprint")
    ledger = timed(tmp_path, 2.0, suite_of(320, STEPS, CRITERIA))
    paths = write_latency_page(ledger.root, tmp_path / "out")
    assert [path.name for path in paths] == ["latency.pdf", "latency.html"]
    assert paths[0].read_bytes().startswith(b"%PDF")


def test_the_page_says_whether_the_run_was_interrupted(tmp_path):
    assert "not interrupted; every study asked once" in html(page(tmp_path))
