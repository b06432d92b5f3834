"""What the dossier prints of a promotion that was decided beside its run."""

import json
from html import unescape

import pytest

from harness.digests import digest_value
from harness.dossier.model import build_model
from harness.dossier.render import render_html
from harness.gate import judge
from harness.testing import ConstantReport
from runs import SUITE, run, write_suite


@pytest.fixture
def judged(tmp_path, phantom_root):
    run(write_suite(tmp_path, SUITE), phantom_root, ConstantReport("No pneumothorax."), tmp_path / "run")
    return tmp_path / "run"


def written(run, **changes):
    """A decision beside the run."""
    waiver = {"condition": "regulatory.severity", "by": "Ann <Lead>", "reason": "Readers grade it.",
              "granted": "2026-01-01", "expires": "2026-02-01"}  # fmt: skip
    record = {
        "format": 1, "status": "PASS", "headline": "PASS with 1 waiver", "exit_code": 0, "candidate": "c",
        "ledger": judge(run)[0]["ledger"], "policy": {"name": "promotion", "version": 3, "digest": "d"},
        "decided_on": "2026-01-15",
        "conditions": [
            {"id": "evidence.run", "section": "", "status": "PASS", "word": "PASS", "reason": "all holds",
             "waiver": None},
            {"id": "regulatory.severity", "section": "regulatory", "status": "FAIL", "word": "WAIVED",
             "reason": "lower 95% bound 0.8 is not > 0.9", "waiver": waiver},
        ],
        "waivers": [
            {**waiver, "applied": True, "told": "in force until 2026-02-01"},
            {**waiver, "condition": "latency", "applied": False, "told": "does nothing: it expired"},
        ],
        "evidence": [],
        **changes,
    }  # fmt: skip
    (run / "gate").mkdir(exist_ok=True)
    path = run / "gate" / "promotion.json"
    path.write_text(json.dumps({**record, "digest": digest_value(record)}))
    return path


def page(run):
    return " ".join(unescape(render_html(build_model(run))).split())


def test_without_a_decision_nothing_is_printed(judged):
    assert "Promotion and waivers" not in page(judged)


def test_waivers_are_printed_with_name_days_reason_and_effect(judged):
    written(judged)
    html = page(judged)
    assert "PASS with 1 waiver" in html
    assert "1 of 2 conditions are met by evidence" in html
    assert html.count('<span class="status open">WAIVED</span>') == 2
    assert "Ann <Lead>, 2026-01-01, 2026-02-01" in html
    assert "Ann <Lead>" not in render_html(build_model(judged)), "escaped"
    for told in ("Readers grade it.", "in force until 2026-02-01", "does nothing: it expired", "version 3"):
        assert told in html


def test_a_decision_without_waivers_says_so(judged):
    written(judged, waivers=[])
    assert "<h3>Waivers</h3> <p>None.</p>" in page(judged)


def test_a_decision_that_was_changed_or_is_of_other_evidence_is_not_printed(judged):
    path = written(judged, ledger="0" * 64)
    assert "was decided on other evidence" in page(judged)
    path.write_text(path.read_text().replace("Readers", "Nobody"))
    html = page(judged)
    assert "was changed after it was written" in html
    assert "Nobody grade it" not in html
