from html import unescape

import pytest

from harness.cohorts.phantom import PhantomCohort
from harness.dossier.model import build_model
from harness.dossier.render import render_html
from harness.testing import Damage, Saboteur
from runs import run, write_suite

SUITE = """\
name: groups
version: 1
cohort: {split: test}
inference: {replicates: 300, seed: 1}
measures:
  - critical_sensitivity
  - {measure: findings_detection, options: {findings: critical}}
  - findings_f1
  - hallucination_rate
slices: [sex, edge_case, "sex*age"]
fairness: {measure: findings_detection, minimum_trials: 20}
criteria:
  - {id: worst, measure: critical_sensitivity, value: pooled, above: 0.8, over: [sex, edge_case],
     statistic: worst, minimum_trials: 20}
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory, phantom_root):
    """Pneumothorax is missed in women alone."""
    folder = tmp_path_factory.mktemp("planted")
    saboteur = Saboteur(list(PhantomCohort(phantom_root)), Damage(miss=1.0, within=("sex", "F")))
    run(write_suite(folder, SUITE), phantom_root, saboteur, folder / "run")
    return folder / "run"


def test_the_group_that_is_served_worse_is_named(planted):
    [decision] = build_model(planted)["verdict"].decisions
    assert decision.status.value == "FAIL"
    assert decision.slice == "sex=F"
    assert "sex=F (" in decision.reason.partition("not evaluated")[0]
    assert {group.group for group in decision.groups} >= {"sex=F", "sex=M", "edge_case=none"}


def test_every_group_is_on_the_page_with_interval_and_counts(planted):
    model = build_model(planted)
    html = unescape(render_html(model))
    assert 'id="fairness"' in html
    for item in model["results"]["estimates"]:
        if item["measure"] == "critical_sensitivity" and item["value"] == "pooled" and item["slice"]:
            assert item["slice"].partition("=")[2] in html
            if item["denominator"]:
                assert f"{item['numerator']:,} / {item['denominator']:,}" in html
    for group in model["verdict"].decisions[0].groups:
        assert group.reason in html
    assert "Equalized-odds difference" in html


def test_a_planted_disparity_is_measured(planted):
    found = {(item["value"], item["slice"]): item for item in build_model(planted)["results"]["estimates"]}
    odds = found["equalized-odds difference", "sex"]
    assert odds["estimate"] > 0.15
    assert odds["low"] > 0.05


def test_a_suite_that_does_not_ask_has_no_such_page(tmp_path, phantom_root):
    plain = "\n".join(line for line in SUITE.splitlines() if not line.startswith("fairness"))
    plain = (
        plain.partition("criteria:")[0]
        + "criteria: [{id: f, measure: findings_f1, value: micro-14, above: 0.1}]\n"
    )
    run(write_suite(tmp_path, plain), phantom_root, Saboteur(list(PhantomCohort(phantom_root)), Damage()),
        tmp_path / "run")  # fmt: skip
    assert build_model(tmp_path / "run")["fairness"] is None
