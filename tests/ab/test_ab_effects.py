import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.proportion import proportions_ztest
from trials import PAIRED, RANDOMISED, Truth, reordered, trial

from harness.ab.design import HIGHER_IS_BETTER
from harness.ab.effects import effects as effects_of
from harness.ab.effects import (
    inverted_p_value,
    mean_effect,
    positives,
    sensitivity_effect,
    tables,
    worst_case,
)
from harness.inference import paired_difference_interval, paired_t_test


def effects(ratings, design):
    return effects_of(tables(ratings, design), positives(ratings))


@pytest.fixture(scope="module", params=["paired", "randomised"])
def some(request, tmp_path_factory):
    design = {"paired": PAIRED, "randomised": RANDOMISED}[request.param]
    studies = 120 if request.param == "paired" else 900
    return trial(tmp_path_factory.mktemp("t"), design, studies, 4, Truth(missing=0.02)), design


def same(one, other):
    return one == other or (math.isnan(one) and math.isnan(other))


def test_the_order_of_rows_changes_nothing(some):
    ratings, design = some
    order = np.random.default_rng(5).permutation(len(ratings))
    before, after = effects(ratings, design), effects(reordered(ratings, order), design)
    for name in before:
        assert before[name].difference == after[name].difference
        assert same(before[name].p_value, after[name].p_value)
        assert before[name].interval(confidence=0.9) == after[name].interval(confidence=0.9)


def test_exchanging_the_arms_changes_the_signs(some):
    ratings, design = some
    found = effects(ratings, design)
    swapped = effects(replace(ratings, challenger=~ratings.challenger), design)
    for name in found:
        assert swapped[name].difference == pytest.approx(-found[name].difference, abs=1e-15)
        assert swapped[name].p_value == pytest.approx(found[name].p_value, rel=1e-6)
        one, other = (effect.interval(confidence=0.95) for effect in (found[name], swapped[name]))
        assert (-other.high, -other.low) == pytest.approx((one.low, one.high), abs=1e-9)


def test_p_and_interval_say_the_same(some):
    for effect in effects(*some).values():
        if 1e-10 < effect.p_value < 0.999:
            end = effect.interval(confidence=1 - effect.p_value)
            assert min(abs(end.low), abs(end.high)) < 1e-3 * max(abs(end.low), abs(end.high))


def test_a_against_a_has_p_1(tmp_path):
    ratings = trial(tmp_path, PAIRED, 60, 6, Truth(missing=0))
    first = np.flatnonzero(~ratings.challenger)
    other = {(ratings.study[i], ratings.reader[i]): i for i in first}
    source = [other[ratings.study[i], ratings.reader[i]] for i in range(len(ratings))]
    assert set(source) == set(first.tolist())
    copy = reordered(ratings, np.array(source))
    copy = replace(copy, study=ratings.study, challenger=ratings.challenger)
    for effect in effects(copy, PAIRED).values():
        assert effect.difference == 0
        assert effect.p_value == 1


def test_of_one_reader_it_is_the_paired_t_test(tmp_path):
    ratings = trial(tmp_path, PAIRED, 80, 7, Truth(missing=0), readers=1)
    table = tables(ratings, PAIRED)["rating"]
    new, old = (table.values[table.challenger == arm] for arm in (True, False))
    patient = table.patient[table.challenger]
    effect = mean_effect("rating", table)
    assert effect.p_value == pytest.approx(paired_t_test(new, old, patient).p_value, rel=1e-9)
    assert effect.method == "paired t by patient"
    once = np.unique(patient, return_index=True)[1]
    table = table.select(np.isin(table.unit, table.unit[table.challenger][once]))
    new, old = (table.values[table.challenger == arm] for arm in (True, False))
    assert mean_effect("rating", table).p_value == pytest.approx(ttest_rel(new, old).pvalue, rel=1e-9)


def test_paired_sensitivity_of_single_findings_is_tangos_interval(tmp_path):
    found = positives(trial(tmp_path, PAIRED, 400, 8, Truth(sensitivity=(0.8, 0.9))))
    once = np.unique(found.patient, return_index=True)[1]
    found = replace(
        found, study=found.study[once], patient=found.patient[once],
        finding=tuple(found.finding[i] for i in once), challenger=found.challenger[once],
        current=found.current[once],
    )  # fmt: skip
    new, old = found.challenger == 1, found.current == 1
    table = [int(part.sum()) for part in (new & old, new & ~old, old & ~new, ~new & ~old)]
    peer = paired_difference_interval(*table)
    ends = sensitivity_effect(found, True).interval(confidence=0.95)
    assert (ends.low, ends.high) == pytest.approx((peer.low, peer.high), abs=1e-9)


def test_randomised_sensitivity_is_no_surer_than_the_z_test(tmp_path):
    found = positives(trial(tmp_path, RANDOMISED, 4000, 9, Truth(sensitivity=(0.9, 0.8))))
    effect = sensitivity_effect(found, False)
    new, old = (arm[np.isfinite(arm)] for arm in (found.challenger, found.current))
    _, peer = proportions_ztest([new.sum(), old.sum()], [len(new), len(old)])
    assert effect.difference == pytest.approx(new.mean() - old.mean())
    assert 0.3 * peer < effect.p_value < 200 * peer + 0.05


def test_a_finding_counts_once_however_many_readers(tmp_path):
    ratings = trial(tmp_path, PAIRED, 200, 10)
    found = positives(ratings)
    assert len(set(zip(found.study.tolist(), found.finding, strict=True))) == len(found.study)
    listed = dict(zip(ratings.study.tolist(), ratings.present, strict=True))
    assert len(found.study) == sum(len(there) for there in listed.values())


def test_without_findings_or_variation_it_is_undefined(tmp_path):
    ratings = trial(tmp_path, PAIRED, 30, 11)
    none = replace(ratings, present=(frozenset(),) * len(ratings), reported=(frozenset(),) * len(ratings))
    effect = effects(none, PAIRED)["critical_sensitivity"]
    assert effect.reason == "no adjudicated critical finding"
    assert math.isnan(effect.p_value)
    flat = replace(ratings, rating=np.full(len(ratings), 4.0))
    effect = effects(flat, PAIRED)["rating"]
    assert effect.reason.startswith("every value is 4: nothing was told apart")
    assert math.isnan(effect.interval(confidence=0.95).low)
    blank = replace(ratings, rating=np.where(ratings.challenger, math.nan, ratings.rating))
    assert effects(blank, PAIRED)["rating"].reason == "an arm without values"


def test_the_worst_case_is_the_worst_of_all_fillings(tmp_path):
    ratings = trial(tmp_path, PAIRED, 60, 12, Truth(missing=0.05))
    gone = ~(
        (ratings.study == ratings.study[0]) & ratings.challenger
    )  # a study without its challenger's side
    ratings = reordered(ratings, np.flatnonzero(gone))
    for name, table in tables(ratings, PAIRED).items():
        worst = worst_case(name, table).estimate
        sign = 1 if HIGHER_IS_BETTER[name] else -1
        assert sign * worst <= sign * table.complete().difference().estimate
    rating = tables(ratings, PAIRED)["rating"]
    rng = np.random.default_rng(13)
    whole = rating.select(~np.isin(rating.unit, [ratings.study[0] + "\x1f" + r for r in set(ratings.reader)]))
    worst = worst_case("rating", whole).estimate
    for _ in range(20):
        filled = np.where(np.isfinite(whole.values), whole.values, rng.integers(1, 6, len(whole.values)))
        assert replace(whole, values=filled).difference().estimate >= worst - 1e-12


def test_pairs_of_studies_when_different_readers_rate_the_sides(tmp_path):
    ratings = trial(tmp_path, PAIRED, 60, 14)
    # One reader a side: the first of the current model's, the other of the challenger's.
    first = {study: min(ratings.reader[ratings.study == study]) for study in set(ratings.study)}
    kept = [i for i in range(len(ratings))
            if (ratings.reader[i] == first[ratings.study[i]]) != ratings.challenger[i]]  # fmt: skip
    ratings = reordered(ratings, np.array(kept))
    by_study = effects(ratings, PAIRED.model_copy(update={"pairs": "study"}))["rating"]
    assert by_study.units > 50
    assert effects(ratings, PAIRED)["rating"].reason == "an arm without values"


def test_inverted_p_value_of_an_interval_that_never_excludes_0():
    assert (
        inverted_p_value(lambda confidence, side="two-sided": paired_difference_interval(0, 0, 0, 9), 0.0)
        == 1
    )
