import json

import pytest

from harness.cli import main
from harness.cohorts.phantom import PhantomCohort
from harness.digests import processor
from harness.latency.suite import is_latency_suite
from latency_bench import suite_of
from runs import SUITES

REPORT = "The heart size is normal. No effusion."


@pytest.fixture(scope="module")
def finished(tmp_path_factory, phantom_root):
    """A real run, of a candidate that reads its reports from a file; its exit code and what it printed."""
    pytest.importorskip("weasyprint")
    folder = tmp_path_factory.mktemp("latency")
    ids = PhantomCohort(phantom_root, split="test").study_ids()
    lines = [json.dumps({"study_id": study, "report": REPORT}) for study in ids[1:]]  # one has no report
    (folder / "p.jsonl").write_text("\n".join(lines))
    steps = [{"load": 0.5, "studies": 10}, {"load": 5, "studies": 10}]
    text = suite_of(len(ids), steps, cohort={"split": "test"})
    (folder / "suite.yaml").write_text(text)
    words = ["latency", folder / "suite.yaml", "--candidate", f"predictions:{folder / 'p.jsonl'}",
             "--cohort", f"phantom:{phantom_root}", "--out", folder / "run"]  # fmt: skip
    return folder, list(map(str, words))


def test_on_this_machine_nothing_is_decided_of_the_target(finished, capsys):
    folder, words = finished
    assert main(words) == 3
    printed = capsys.readouterr().out
    assert f"Measured on {processor()}" in " ".join(printed.split())
    assert "These are not times of NVIDIA A10G" in printed
    assert "NOT EVALUATED" in printed
    assert "PASS" not in printed
    results = json.loads((folder / "run" / "results.json").read_text())
    assert results["device"]["kind"] == "processor"
    assert results["stages"][0]["failed"] == 1
    assert results["saturated_at_per_hour"]
    assert results["cold_start"]["load_s"] > 0
    assert results["peaks_bytes"]["host_peak_bytes"] > 10**7
    for name in ("latency.pdf", "latency.html"):
        assert (folder / "run" / "dossier" / name).stat().st_size > 1000


def test_gate_verify_and_report_take_the_folder(finished, capsys):
    folder, words = finished
    if not (folder / "run").exists():
        main(words)
    assert main(["gate", str(folder / "run")]) == 3
    assert json.loads((folder / "run" / "gate" / "verdict.json").read_text())["status"] == "NOT EVALUATED"
    assert 'errors="5"' in (folder / "run" / "gate" / "junit.xml").read_text()
    assert main(["verify", str(folder / "run")]) == 0
    assert main(["report", str(folder / "run"), "--out", str(folder / "page")]) == 0
    assert (folder / "page" / "latency.html").exists()
    assert "All holds" in capsys.readouterr().out


def test_a_quality_suite_is_refused(finished, capsys):
    _, words = finished
    assert main([words[0], str(SUITES / "ci.yaml"), *words[2:]]) == 2
    assert "is no latency suite" in capsys.readouterr().err
    assert not is_latency_suite(SUITES / "ci.yaml")
