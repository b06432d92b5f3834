"""The labeler against people's labels of real reports, where these lie beside the repository."""

import sys
from pathlib import Path

import numpy as np
import pytest

import real_reports
from harness.annotators.accuracy import read_accuracy, shipped_accuracy
from harness.annotators.rules import RulesLabeler
from harness.report import INDEX, Finding, State

pytestmark = pytest.mark.skipif(not real_reports.FOLDER.is_dir(), reason=real_reports.WHY_NOT)
FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def sample():
    labels = {row["filename"].removeprefix("CXR"): row for row in real_reports.read("human_labels.csv")}
    reports = real_reports.read("reports.csv")
    truth = [real_reports.human_labels(report, labels[report["uid"]]) for report in reports]
    return reports, {name: np.array([row[name] == "1" for row in truth]) for name in truth[0]}


def macro_f1(texts, truth, states):
    labels = RulesLabeler().label(texts)
    scores = {}
    for name, there in truth.items():
        said = np.isin(labels[:, INDEX[Finding(name)]], states)
        scores[name] = 2 * (said & there).sum() / (said.sum() + there.sum())
    assert len(scores) == 9
    return np.mean(list(scores.values())), scores


POLICIES = pytest.mark.parametrize(
    "states", [(State.POSITIVE, State.UNCERTAIN), (State.POSITIVE,)], ids=["uncertain+", "uncertain-"]
)


@POLICIES
def test_findings_and_impression(sample, states):
    reports, truth = sample
    texts = [f"{report['findings']}\n{report['impression']}" for report in reports]
    macro, scores = macro_f1(texts, truth, states)
    assert macro >= 0.82
    assert min(scores.values()) > 0.55


@POLICIES
def test_findings_alone_where_a_report_has_findings(sample, states):
    reports, truth = sample
    there = np.array([bool(report["findings"].strip()) for report in reports])
    texts = [report["findings"] for report in reports if report["findings"].strip()]
    macro, _ = macro_f1(texts, {name: row[there] for name, row in truth.items()}, states)
    assert macro >= 0.72


def test_the_shipped_figures_come_from_this_sample(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FIXTURES))
    import measure_labeler

    target = tmp_path / "accuracy.json"
    assert measure_labeler.run(real_reports.FOLDER, target, "findings", "impression") == 0
    assert read_accuracy(target) == shipped_accuracy()
    del sys.modules["measure_labeler"]
