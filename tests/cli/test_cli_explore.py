import json
import re

import pytest

from harness.cli import main


def test_explore_writes_three_files_and_a_table(phantom_root, capsys, tmp_path):
    assert main(["explore", f"phantom:{phantom_root}", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "explore.json",
        "explore.html",
        "explore.pdf",
    }
    assert re.search(r"300 studies of \d+ patients, \d+ pictures \(train \d+, validate \d+, test 127\)", told)
    record = json.loads((tmp_path / "out" / "explore.json").read_text())
    assert record["studies"] == 300
    assert len(record["sample_ids"]) == 9
    page = (tmp_path / "out" / "explore.html").read_text()
    assert page.count("data:image/jpeg;base64") == 9
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)


def test_texts_with_html_and_none_at_all(capsys, tmp_path):
    path = tmp_path / "studies.csv"
    path.write_text(
        "study_id,patient_id,findings,Pneumothorax\n"
        'a,p,"<script>alert(1)</script> {{ 7 * 7 }} & left pneumothorax.",1\n'
        f"b,p,{'x' * 10_000},0\nc,q,,1\n"
    )
    assert main(["explore", f"manifest:{path}", "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "explore.html").read_text().replace("<wbr>", "")
    assert "<script>alert" not in page
    assert "{{ 7 * 7 }}" in page
    assert "The study has no picture." in page
    assert "characters in all]" in page
    assert "alert" not in (tmp_path / "out" / "explore.json").read_text()


@pytest.mark.parametrize(
    ("locator", "why"),
    [
        ("phantom", "KIND:PATH"),
        ("phantom:", "KIND:PATH"),
        ("nosuch:x", "no such cohort"),
        ("manifest:absent.csv", "absent.csv"),
    ],
)
def test_bad_input_is_told_without_a_traceback(locator, why, capsys, tmp_path):
    assert main(["explore", locator, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert why in told
    assert "Traceback" not in told
    assert not (tmp_path / "out").exists()


def test_an_empty_manifest_is_refused(capsys, tmp_path):
    path = tmp_path / "studies.csv"
    path.write_text("study_id,patient_id,findings\n")
    assert main(["explore", f"manifest:{path}", "--out", str(tmp_path / "out")]) == 2
    assert "holds no study" in capsys.readouterr().err
