import json

import numpy as np
from comparison_runs import pair

from harness.comparison import compare
from harness.comparison.summary import markdown, write_comparison


def test_both_files_say_what_was_found(tmp_path):
    rng = np.random.default_rng(1)
    old = rng.random(300) < 0.8
    found = compare(*pair(tmp_path, old, old | (rng.random(300) < 0.7)), tmp_path / "looks.jsonl")
    paths = {path.name: path for path in write_comparison(tmp_path / "out", found)}
    told = json.loads(paths["comparison.json"].read_text())
    assert told["status"] == found.status.value
    assert told["exit_code"] == found.status.exit_code
    assert [item["id"] for item in told["family"]] == [item.id for item in found.family]
    assert told["look"]["number"] == 1
    assert len(told["differences"]) == len(found.differences)
    page = paths["comparison.md"].read_text()
    assert page.startswith(f"## Promotion: {found.status}")
    for item in (*found.family, *found.guardrails):
        assert f"| {item.id} |" in page
    assert "better" in page


def test_the_page_says_where_both_are_one_candidate(tmp_path):
    current, _ = pair(tmp_path, np.ones(50, dtype=bool), np.ones(50, dtype=bool))
    page = markdown(compare(current, current, tmp_path / "looks.jsonl"))
    assert "one and the same candidate" in page
    assert "no difference shown" in page
