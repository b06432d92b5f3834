import shutil

import numpy as np
import pytest
from PIL import Image

from error_runs import text_run
from harness.cohorts.phantom import PhantomCohort
from harness.error_analysis import analyse
from harness.error_analysis.quality import MEASURES
from harness.error_analysis.trends import CHANGED, NO_PICTURE, PREVALENCE, UNREADABLE, quarters
from harness.inference import adjust_p_values
from harness.testing import Damage, Saboteur
from runs import run, write_suite


def picture(path, noise, seed):
    rng = np.random.default_rng(seed)
    slope = np.add.outer(np.linspace(60, 150, 48), np.linspace(0, 40, 48))
    Image.fromarray(np.clip(slope + noise * rng.standard_normal(slope.shape), 0, 255).astype(np.uint8)).save(
        path
    )


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A candidate that misses the effusion where the picture is noisy, and claims fractures anywhere."""
    folder = tmp_path_factory.mktemp("noisy")
    draw = np.random.default_rng(1)
    rows = []
    for number in range(160):
        noise = float(draw.uniform(1, 25))
        picture(folder / f"{number}.png", noise, number)
        missed = draw.random() < noise / 25
        fracture = " Left rib fracture." if draw.random() < 0.3 else ""
        rows.append(
            {
                "patient": f"p{number // 2}",
                "findings": "Small left pleural effusion.",
                "report": ("No pleural effusion." if missed else "Small left pleural effusion.") + fracture,
                "labels": {"Pleural Effusion": "1", "Fracture": "0"},
                "images": [f"{number}.png"],
            }
        )
    rows += [{"findings": "Clear.", "report": "Clear.", "labels": {"Fracture": "0"}} for _ in range(5)]
    return text_run(folder, rows), folder


def test_a_planted_trend_is_found_and_no_other(noisy):
    analysis = analyse(noisy[0])
    trends = {(trend.outcome, trend.score): trend for trend in analysis.trends}
    found = trends["critical finding missed", "noise"]
    assert found.z > 4
    assert found.adjusted < 0.001
    assert trends["report with a hallucinated finding", "noise"].adjusted > 0.05
    assert trends["report with a hallucinated finding", "rotation"].adjusted > 0.05
    rates = [one.rates[0].estimate for m in analysis.quality.measures if m.name == "noise" for one in m.bins]
    assert rates == sorted(rates)
    assert len(rates) == 4


def test_all_tests_are_adjusted_together(noisy):
    trends = analyse(noisy[0]).trends
    assert len(trends) == 2 + 3 * len(MEASURES)
    p = [1.0 if np.isnan(trend.p_value) else trend.p_value for trend in trends]
    for trend, adjusted in zip(trends, adjust_p_values(p, "holm"), strict=True):
        if np.isnan(trend.p_value):
            assert trend.reason
            assert np.isnan(trend.adjusted)
        else:
            assert trend.adjusted == adjusted >= trend.p_value


def test_studies_without_the_judged_picture_are_left_out_and_said(noisy, tmp_path):
    run_folder, folder = noisy
    analysis = analyse(run_folder)
    assert (analysis.quality.measured, analysis.quality.left_out) == (160, {NO_PICTURE: 5})
    kept = {number: (folder / f"{number}.png").read_bytes() for number in (0, 1, 2)}
    try:
        (folder / "0.png").write_bytes(kept[0] + b" ")
        (folder / "1.png").unlink()
        picture(folder / "2.png", 3, 99)
        changed = analyse(run_folder).quality
        assert changed.left_out == {CHANGED: 2, UNREADABLE: 1, NO_PICTURE: 5}
        assert changed.measured == 157
    finally:
        for number, data in kept.items():
            (folder / f"{number}.png").write_bytes(data)


def test_every_bin_counts_each_measured_study_once(noisy):
    for measure in analyse(noisy[0]).quality.measures:
        assert sum(one.studies for one in measure.bins) == 160
        assert all(a.high <= b.low for a, b in zip(measure.bins, measure.bins[1:], strict=False))


def test_quarters_keep_equal_scores_together():
    score = np.array([0.0] * 10 + [1.0, 2.0, np.nan, 3.0])
    parts = quarters(score)
    assert sum(part.sum() for part in parts) == 13
    assert parts[0].sum() == 10
    assert quarters(np.full(3, np.nan)) == []
    assert [part.sum() for part in quarters(np.ones(7))] == [7]


def test_prevalence_trends_need_no_picture_and_a_damaged_picture_no_run(tmp_path, phantom_root):
    root = shutil.copytree(phantom_root, tmp_path / "cohort")
    saboteur = Saboteur(list(PhantomCohort(root)), Damage(miss=0.5, hallucinate=0.2))
    run(write_suite(tmp_path), root, saboteur, tmp_path / "run")
    shutil.rmtree(root)
    analysis = analyse(tmp_path / "run")
    assert analysis.quality.measured == 0
    assert analysis.quality.reason == f"{UNREADABLE} ({analysis.studies:,})"
    assert [trend.score for trend in analysis.trends] == [PREVALENCE] * 2
    assert all(trend.p_value <= 1 for trend in analysis.trends)
