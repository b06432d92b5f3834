import math
from dataclasses import replace

import numpy as np
import pytest
from comparison_runs import SUITE, make_run, pair

from harness.comparison.arms import read_run
from harness.comparison.differences import paired_differences, randomised_differences
from harness.inference import (
    Bootstrap,
    clustered_mcnemar_test,
    clustered_paired_difference_interval,
    paired_t_test,
    permutation_test,
    signed_rank_test,
)


def by_value(differences):
    return {(item.measure, item.value): item for item in differences}


@pytest.fixture
def two(tmp_path):
    rng = np.random.default_rng(3)
    old = rng.random(300) < 0.8
    return [read_run(folder) for folder in pair(tmp_path, old, old ^ (rng.random(300) < 0.15))]


def test_a_proportion_with_the_same_trials_has_tango_and_mcnemar_by_patient(two):
    old, new = two
    found = by_value(paired_differences(*two))["critical_sensitivity", "Pneumothorax"]
    place = old.suite.build_measures()["critical_sensitivity"].columns.index("Pneumothorax:tp")
    before, after = (run.rows["critical_sensitivity"][:, place].reshape(-1, 2) for run in (old, new))
    won = np.maximum(after - before, 0).sum(axis=1)
    lost = np.maximum(before - after, 0).sum(axis=1)
    both = (after & before).sum(axis=1)
    interval = clustered_paired_difference_interval(won, lost, np.full(150, 2))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx((won - lost).sum() / 300)
    mcnemar = clustered_mcnemar_test(both, won, lost, 2 - both - won - lost)
    assert found.tests["mcnemar"].p_value == pytest.approx(mcnemar.p_value)
    first, second = after.ravel().astype(float), before.ravel().astype(float)
    assert found.tests["t"] == paired_t_test(first, second, old.patients)
    assert found.tests["signed-rank"] == signed_rank_test(first, second, old.patients)


def test_everything_else_is_bootstrapped_and_permuted_on_the_suites_draw(two):
    old, new = two
    found = by_value(paired_differences(*two))["findings_f1", "micro-14"]
    measure = old.suite.build_measures()["findings_f1"]
    place, width = measure.values.index("micro-14"), len(measure.columns)
    tables = new.rows["findings_f1"], old.rows["findings_f1"]
    [[distribution]] = Bootstrap(old.patients, 2000, 1).distributions(
        [
            (
                np.concatenate(tables, axis=1),
                lambda t: measure.value(t[..., :width]) - measure.value(t[..., width:]),
            )
        ]
    )
    interval = distribution.interval(place)
    assert (found.low, found.high) == (interval.low, interval.high)
    swaps = permutation_test(*tables, measure.value, old.patients, 2000, 1)
    assert found.tests["permutation"] == swaps[place]
    assert "mcnemar" not in found.tests


def test_exchanging_the_runs_mirrors_everything(two):
    there, back = by_value(paired_differences(*two)), by_value(paired_differences(*reversed(two)))
    for name, item in there.items():
        other = back[name]
        if math.isnan(item.difference):
            continue
        assert item.difference == pytest.approx(-other.difference)
        if not math.isnan(item.low):
            assert (item.low, item.high) == pytest.approx((-other.high, -other.low), abs=1e-3)
        for test, result in item.tests.items():
            assert result.p_value == pytest.approx(other.tests[test].p_value, nan_ok=True), test


def test_the_order_of_studies_changes_nothing(two):
    order = np.random.default_rng(0).permutation(300)

    def shuffled(run):
        rows = {key: table[order] for key, table in run.rows.items()}
        names = {name: [getattr(run, name)[k] for k in order] for name in ("studies", "patients")}
        return type(run)(run.folder, run.identity, run.suite, rows=rows, **names)

    plain = [item.as_json() for item in paired_differences(*two)]
    assert [item.as_json() for item in paired_differences(*map(shuffled, two))] == plain


def test_different_trials_leave_no_pairs(tmp_path, two):
    old, new = two
    rows = dict(new.rows)
    rows["critical_sensitivity"] = new.rows["critical_sensitivity"].copy()
    rows["critical_sensitivity"][0] = 0
    other = type(new)(new.folder, new.identity, new.suite, new.studies, new.patients, rows)
    found = by_value(paired_differences(old, other))["critical_sensitivity", "Pneumothorax"]
    assert "mcnemar" not in found.tests
    assert "BCa" in found.method


def test_randomised_arms_have_newcombes_interval_and_cover_the_truth(tmp_path):
    rng = np.random.default_rng(5)
    runs = [
        read_run(make_run(tmp_path / name, rng.random(n) < rate, [f"{name}{k // 2}" for k in range(n)],
                          ids=[f"{name}{k:04d}" for k in range(n)]))
        for name, n, rate in (("a", 900, 0.7), ("b", 300, 0.9))
    ]  # fmt: skip
    found = by_value(randomised_differences(*runs))
    sensitivity = found["critical_sensitivity", "pooled"]
    assert sensitivity.method.startswith("square-and-add")
    assert sensitivity.low < 0.2 < sensitivity.high
    assert sensitivity.tests["permutation"].p_value < 0.01
    f1 = found["findings_f1", "micro-14"]
    assert f1.low < 2 * 0.9 / 1.9 - 2 * 0.7 / 1.7 < f1.high
    assert found["failure_rate", "value"].tests["permutation"].p_value == 1


def test_a_measure_of_weights_has_its_difference_and_interval(tmp_path):
    suite = SUITE.replace("findings_f1]", "findings_f1, degenerate_output]")
    rng = np.random.default_rng(7)
    runs = []
    for name, kinds in (("a", 40), ("b", 3)):
        patients = [f"p{k // 2}" for k in range(80)]
        run = read_run(make_run(tmp_path / name, np.ones(80, dtype=bool), patients, suite=suite))
        run.rows["degenerate_output"][:] = rng.integers(1, kinds, (80, 1))
        runs.append(run)
    values = runs[0].suite.build_measures()["degenerate_output"].values
    others = replace(runs[1], patients=[f"q{k}" for k in range(80)])
    for design, challenger in ((paired_differences, runs[1]), (randomised_differences, others)):
        found = [item for item in design(runs[0], challenger) if item.measure == "degenerate_output"]
        assert tuple(item.value for item in found) == values
        assert all(item.tests == {} for item in found)
        repeated = found[0]
        assert repeated.difference == pytest.approx(repeated.challenger - repeated.current)
        assert repeated.difference > 0
        assert repeated.low < repeated.difference < repeated.high
