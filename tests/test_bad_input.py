"""Through the command line: whatever is put in, a wrong input never ends in 0 and never in a traceback."""

import csv
import json
import resource
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from harness.cli import main
from runs import REPORT_SUITES, SUITE, write_suite

TEXT_SUITE = SUITE.replace("cohort: {split: test}\n", "").replace("slices: [sex]\n", "")


class Desk:
    """A folder with a suite, a manifest of 40 studies and good predictions for them."""

    def __init__(self, root):
        self.root = root
        self.suite = write_suite(root, TEXT_SUITE)
        self.rows = [
            {
                "study_id": f"s{n:02}", "patient_id": f"p{n:02}", "Pneumothorax": n % 2, "Fracture": n % 2,
                "Lung Lesion": n % 2, "Pleural Effusion": n % 2,
                "findings": "Pneumothorax, rib fracture, lung mass, pleural effusion." if n % 2 else "Clear.",
            }
            for n in range(40)
        ]  # fmt: skip
        self.predictions = [{"study_id": row["study_id"], "report": row["findings"]} for row in self.rows]

    def cohort(self, rows=None):
        rows = self.rows if rows is None else rows
        path = self.root / "cohort.csv"
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self.rows[0] | {"images": "", "split": ""})
            writer.writeheader()
            writer.writerows(rows)
        return f"manifest:{path}"

    def candidate(self, rows=None):
        path = self.root / "predictions.jsonl"
        path.write_text(
            "".join(json.dumps(row) + "\n" for row in (self.predictions if rows is None else rows))
        )
        return f"predictions:{path}"

    def run(self, cohort=None, candidate=None, suite=None, *more):
        out = self.root / "run"
        cohort, candidate = cohort or self.cohort(), candidate or self.candidate()
        words = ["run", str(suite or self.suite), "--cohort", cohort, "--candidate", candidate,
                 "--out", str(out), "--workers", "1"]  # fmt: skip
        code = main([*words, *more])
        if code in (0, 1) or (out / "results.json").exists():
            assert main(["gate", str(out)]) == code, "run and gate never disagree"
        return code


@pytest.fixture
def desk(tmp_path, capsys):
    desk = Desk(tmp_path)
    desk.capsys = capsys
    return desk


def told(desk):
    captured = desk.capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out + captured.err


def test_good_input_passes(desk):
    assert desk.run() == 0
    assert "Verdict: PASS" in told(desk)


# Studies


def test_zero_studies(desk):
    assert desk.run(desk.cohort([])) == 2
    assert "holds no study" in told(desk)


def test_duplicate_study(desk):
    assert desk.run(desk.cohort([*desk.rows, desk.rows[3]])) == 2
    assert "cohort.csv:42: study_id stands twice, first on line 5" in told(desk)


def test_a_patient_in_two_splits(desk):
    rows = [{**row, "split": "a"} for row in desk.rows]
    rows[7] |= {"patient_id": "p01", "split": "b"}
    assert desk.run(desk.cohort(rows)) == 2
    assert "a patient must lie in one split" in told(desk)


def test_zero_positives_for_a_critical_finding(desk):
    suite = write_suite(desk.root, TEXT_SUITE.replace("value: pooled", "value: Fracture"))
    rows = [{**row, "Fracture": 0, "findings": "Clear."} for row in desk.rows]
    assert desk.run(desk.cohort(rows), suite=suite) == 3
    output = told(desk)
    assert "sensitivity: no trials: 0/0" in output
    assert "Verdict: NOT EVALUATED" in output


def test_too_few_positives_decide_nothing(desk):
    suite = write_suite(desk.root, TEXT_SUITE.replace("above: 0.9", "above: 0.98"))
    assert desk.run(suite=suite) == 3
    assert "too few: even a perfect result could not reach > 0.98" in told(desk)


def test_corrupt_picture(desk):
    (desk.root / "a.jpg").write_bytes(b"\xff\xd8 not a picture")
    rows = [{**row, "images": "PA:a.jpg"} for row in desk.rows]
    assert desk.run(desk.cohort(rows), "template") == 1
    output = told(desk)
    assert "40 / 40" in output, "each study failed, and is counted"


def test_a_picture_that_vanishes_before_the_run(desk):
    Image.new("L", (8, 8)).save(desk.root / "a.png")
    cohort = desk.cohort([{**row, "images": "a.png"} for row in desk.rows])
    (desk.root / "a.png").unlink()
    assert desk.run(cohort) == 2
    assert "no picture at" in told(desk)


def test_missing_and_truncated_tables(desk, phantom_root):
    root = shutil.copytree(phantom_root, desk.root / "cohort")
    suite = write_suite(desk.root)
    table = root / "mimic-cxr-2.0.0-metadata.csv.gz"
    table.write_bytes(table.read_bytes()[:-30])
    assert desk.run(f"mimic-cxr:{root}", suite=suite) == 2
    assert "cut short or damaged" in told(desk)
    table.unlink()
    assert desk.run(f"mimic-cxr:{root}", suite=suite) == 2
    assert "the download is not complete" in told(desk)


# Predictions


def test_extra_predictions(desk):
    assert (
        desk.run(candidate=desk.candidate([*desk.predictions, {"study_id": "zz", "report": "Clear."}])) == 2
    )
    assert "1 of its 41 predictions are for studies that the run does not ask for" in told(desk)


def test_missing_predictions_are_misses(desk):
    assert desk.run(candidate=desk.candidate(desk.predictions[:20])) == 1
    output = told(desk)
    assert "40 / 80" in output
    assert "20 / 40" in output


def test_reordered_rows_change_nothing_and_swapped_reports_fail(desk):
    assert desk.run(candidate=desk.candidate(desk.predictions[::-1])) == 0
    shutil.rmtree(desk.root / "run")
    shifted = [
        {"study_id": one["study_id"], "report": other["report"]}
        for one, other in zip(desk.predictions, desk.predictions[1:] + desk.predictions[:1], strict=True)
    ]
    assert desk.run(candidate=desk.candidate(shifted)) == 1


@pytest.mark.parametrize(
    "report",
    ["", "   \n\t ", None, 7, ["a list"], {"findings": [{"finding": "Fracture", "confidence": float("nan")}]},
     {"unknown": 1}],
    ids=["empty", "whitespace", "null", "number", "list", "nan", "unknown field"],
)  # fmt: skip
def test_what_is_no_report_is_a_failed_study(desk, report):
    rows = [{**row, "report": report} if n < 10 else row for n, row in enumerate(desk.predictions)]
    assert desk.run(candidate=desk.candidate(rows)) == 1
    output = told(desk)
    assert "10 / 40" in output
    assert "70 / 80" not in output
    assert "60 / 80" in output, "its findings were missed"


def test_the_wrong_file(desk):
    assert (
        desk.run(candidate=desk.candidate([{"study_id": f"x{n}", "report": "Clear."} for n in range(9)])) == 2
    )
    assert "is it the right file?" in told(desk)
    assert desk.run(candidate=f"predictions:{desk.root / 'absent.csv'}") == 2
    assert desk.run(candidate="templat") == 2


# Suites and run folders


@pytest.mark.parametrize(
    ("old", "new"),
    [("above: 0.9", "above: 98"), ("above: 0.9", "abuv: 0.9"), ("version: 1", "version: 1\nversion: 2"),
     ("criteria:", "criteria: []\nothers:"), ("name: small", "nome: small")],
)  # fmt: skip
def test_bad_suites(desk, old, new):
    assert desk.run(suite=write_suite(desk.root, TEXT_SUITE.replace(old, new))) == 2
    assert "suite.yaml:" in told(desk)
    assert not (desk.root / "run").exists()


def test_a_run_folder_of_another_suite(desk):
    assert desk.run() == 0
    stricter = write_suite(desk.root, TEXT_SUITE.replace("below: 0.1", "below: 0.09"))
    words = ["run", str(stricter), "--cohort", desk.cohort(), "--candidate", desk.candidate(),
             "--out", str(desk.root / "run")]  # fmt: skip
    assert main(words) == 2
    assert "holds another run; different: suite" in told(desk)


def test_gate_and_report_on_what_is_no_run(desk):
    for verb in ("gate", "report"):
        assert main([verb, str(desk.root / "absent")]) == 2
        assert "no run here" in told(desk)
    assert desk.run() == 0
    assert main(["gate", str(desk.root)]) == 2, "a folder above the run folder"
    assert f"did you mean {desk.root / 'run'}?" in told(desk)


def test_a_slice_that_the_cohort_does_not_tell_is_said(desk):
    suite = write_suite(desk.root, TEXT_SUITE.replace("criteria:", "slices: [gender]\ncriteria:"))
    assert desk.run(suite=suite) == 0
    assert "The cohort does not tell gender; it tells age, race, sex, view." in told(desk)


def test_a_failed_criterion_says_why_on_the_terminal_and_in_the_summary(desk):
    assert desk.run(candidate=desk.candidate(desk.predictions[:20])) == 1
    assert "bound 0.3" in told(desk)
    assert "- sensitivity: lower 95% bound" in (desk.root / "run" / "gate" / "summary.md").read_text()


def test_a_file_named_without_its_kind(desk):
    path = desk.candidate().removeprefix("predictions:")
    assert desk.run(candidate=path) == 2
    assert f"such as predictions:{path}" in told(desk)
    assert desk.run(cohort=desk.cohort().removeprefix("manifest:")) == 2
    assert "such as manifest:" in told(desk)


def test_a_full_disk_while_writing(desk):
    """A real limit on file sizes: writing stops in the middle, and the same command goes on later."""
    words = ["run", str(desk.suite), "--cohort", desk.cohort(), "--candidate", desk.candidate(),
             "--out", str(desk.root / "run"), "--workers", "1"]  # fmt: skip
    full = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
    )
    assert full.returncode == 3, full.stderr
    assert "cannot be written" in full.stderr
    assert "Traceback" not in full.stderr
    assert main(words) == 0


def test_suites_shipped_never_pass_a_silent_candidate(desk):
    for path in REPORT_SUITES:
        shutil.rmtree(desk.root / "run", ignore_errors=True)
        silent = desk.candidate([{"study_id": row["study_id"], "report": ""} for row in desk.rows])
        cohort = desk.cohort([{**row, "split": "test"} for row in desk.rows])
        assert desk.run(cohort, silent, path) in (1, 3)
