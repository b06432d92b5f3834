import json

import pytest

from harness.cli import main
from harness.cohorts.phantom import PhantomCohort
from harness.testing import Damage, Saboteur
from runs import SUITE, run, write_suite

COMPARED = (
    SUITE.replace("replicates: 200", "replicates: 1000")
    + """\
comparison:
  family: [{measure: findings_f1, value: micro-14}]
  guardrails: [{measure: failure_rate, margin: 0.05}]
"""
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, phantom_root):
    """Runs of a good and a bad saboteur."""
    folder = tmp_path_factory.mktemp("compared")
    suite, cases = write_suite(folder, COMPARED), list(PhantomCohort(phantom_root))
    for name, damage in (
        ("good", Damage(miss=0.02, hallucinate=0.02)),
        ("bad", Damage(miss=0.8, hallucinate=0.6)),
    ):
        run(suite, phantom_root, Saboteur(cases, damage), folder / name)
    return folder


def test_promotes_the_better_and_not_the_worse(folders, capsys):
    good, bad = str(folders / "good"), str(folders / "bad")
    assert main(["compare", bad, good]) == 0
    out = capsys.readouterr().out
    assert "Promotion: PASS" in out
    assert "findings_f1.micro-14" in out
    assert main(["compare", good, bad]) == 1
    assert "Promotion: FAIL" in capsys.readouterr().out
    told = json.loads((folders / "bad" / "compare" / "comparison.json").read_text())
    assert told["family"][0]["finding"] == "worse"
    assert (folders / "looks.jsonl").exists()


def test_one_run_against_itself_shows_no_difference(folders, capsys):
    assert main(["compare", str(folders / "good"), str(folders / "good"), "--out", str(folders / "aa")]) == 1
    assert "no difference shown" in capsys.readouterr().out
    told = json.loads((folders / "aa" / "comparison.json").read_text())
    assert all(item["difference"] in (0, None) for item in told["differences"])


def test_runs_of_other_studies_are_bad_usage(folders, tmp_path, phantom_root, capsys):
    cohort = {"split": "validate"}
    cases = list(PhantomCohort(phantom_root, split="validate"))
    suite = write_suite(tmp_path, COMPARED)
    run(suite, phantom_root, Saboteur(cases, Damage()), tmp_path / "other", cohort=cohort)
    assert main(["compare", str(folders / "good"), str(tmp_path / "other")]) == 2
    assert "not the same studies" in capsys.readouterr().err
