import math
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import brunnermunzel, ttest_ind, ttest_rel

from harness.inference import paired_t_test
from harness.inference.two_way import (
    arm_weights,
    pair_weights,
    rank_difference,
    two_way_bootstrap,
    two_way_difference,
)


def pairs(first, second):
    """Values, sides and pairs of n pairs, as rows."""
    n = len(first)
    return np.concatenate([first, second]), np.arange(2 * n) < n, np.tile(np.arange(n), 2)


def crossed(rng, patients=120, readers=6, gain=0.0, patient_sd=0.5, reader_sd=0.0, paired=True):
    """Each patient read by two of the readers; who sees another gain differs by reader_sd."""
    keen = rng.normal(0, reader_sd, readers)
    strict = rng.normal(0, 0.5, readers)
    rows = []
    for patient in range(patients):
        level, own = rng.normal(0, 1), rng.normal(0, patient_sd)
        for reader in rng.permutation(readers)[:2]:
            for arm in (True, False) if paired else ((patient % 4 == 0),):
                value = level + strict[reader] + arm * (gain + own + keen[reader]) + rng.normal(0, 1)
                rows.append((value, arm, patient, reader, f"{patient}-{reader}"))
    value, arm, patient, reader, unit = (np.array(column) for column in zip(*rows, strict=True))
    weights = pair_weights(arm, unit, patient) if paired else arm_weights(arm)
    return value, weights, patient, reader, arm


def test_with_a_row_a_patient_it_is_welchs_test():
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.4, 1, 30), rng.normal(0, 2, 50)
    values = np.concatenate([first, second])
    found = two_way_difference(values, arm_weights(np.arange(80) < 30), np.arange(80))
    peer = ttest_ind(first, second, equal_var=False)
    assert found.test().statistic == pytest.approx(peer.statistic, rel=1e-12)
    assert found.test().p_value == pytest.approx(peer.pvalue, rel=1e-10)
    ends = peer.confidence_interval(0.9)
    assert (found.interval(0.9).low, found.interval(0.9).high) == pytest.approx((ends.low, ends.high))


def test_for_pairs_it_is_the_paired_t_test():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.4, 1, 30), rng.normal(0, 2, 30)
    values, side, unit = pairs(first, second)
    found = two_way_difference(values, pair_weights(side, unit, unit), unit, paired=True)
    peer = ttest_rel(first, second)
    assert found.test().p_value == pytest.approx(peer.pvalue, rel=1e-10)
    ends = peer.confidence_interval(0.95)
    assert (found.interval().low, found.interval().high) == pytest.approx((ends.low, ends.high))


def test_for_pairs_in_clusters_it_is_our_own_test_on_cluster_means():
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.4, 1, 60), rng.normal(0, 1, 60)
    patient = rng.integers(0, 25, 60)
    values, side, unit = pairs(first, second)
    patients = np.tile(patient, 2)
    found = two_way_difference(values, pair_weights(side, unit, patients), patients, paired=True)
    peer = paired_t_test(first, second, patient)
    assert found.test().p_value == pytest.approx(peer.p_value, rel=1e-10)


def test_ranks_of_single_rows_are_the_brunner_munzel_test():
    rng = np.random.default_rng(4)
    first, second = rng.integers(2, 6, 40), rng.integers(1, 6, 70)
    values = np.concatenate([first, second])
    found = rank_difference(values, np.arange(110) < 40, np.arange(110))
    assert found.test().p_value == pytest.approx(brunnermunzel(first, second).pvalue, rel=1e-10)
    share = np.mean(first[:, None] > second[None, :]) + np.mean(first[:, None] == second[None, :]) / 2
    assert found.estimate == pytest.approx(share - 0.5)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("reader_sd", [0.0, 0.5])
def test_error_is_that_of_a_mixed_model_with_crossed_effects(paired, reader_sd):
    """Patients, readers and readers' own gains as random effects, by restricted maximum likelihood."""
    ratios = []
    for seed in range(3):
        value, weights, patient, reader, arm = crossed(
            np.random.default_rng([5, seed]), 50, 8, 0.3, reader_sd=reader_sd, paired=paired
        )
        data = pd.DataFrame({"y": value, "a": arm.astype(float), "p": patient, "r": reader, "one": 1})
        parts = {"p": "0 + C(p)", "r": "0 + C(r)", "ra": "0 + C(r):a"}
        if paired:
            parts["pa"] = "0 + C(p):a"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a variance that is estimated as 0
            model = smf.mixedlm("y ~ a", data, groups="one", vc_formula=parts).fit()
        found = two_way_difference(value, weights, patient, reader, paired)
        assert found.estimate == pytest.approx(model.params["a"], abs=0.25)
        ratios.append(found.error / model.bse["a"])
    assert 0.85 < np.median(ratios) < 1.35


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_order_changes_no_digit_and_swapping_arms_changes_the_sign(seed, paired):
    rng = np.random.default_rng(seed)
    value, weights, patient, reader, _ = crossed(rng, 12, 3, paired=paired)
    found = two_way_difference(value, weights, patient, reader, paired)
    order = rng.permutation(len(value))
    assert two_way_difference(value[order], weights[order], patient[order], reader[order], paired) == found
    swapped = two_way_difference(value, -weights, patient, reader, paired)
    assert swapped.estimate == -found.estimate
    assert swapped.error == pytest.approx(found.error, rel=1e-9)
    assert swapped.test().p_value == pytest.approx(found.test().p_value, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_readers_never_make_it_surer(seed, paired):
    value, weights, patient, reader, _ = crossed(np.random.default_rng(seed), 12, 3, paired=paired)
    alone = two_way_difference(value, weights, patient, None, paired)
    both = two_way_difference(value, weights, patient, reader, paired)
    assert both.estimate == alone.estimate
    assert both.error >= alone.error * (1 - 1e-12)


def test_a_against_a_has_p_1():
    values, side, unit = pairs(np.arange(10.0), np.arange(10.0))
    found = two_way_difference(values, pair_weights(side, unit, unit), unit, paired=True)
    assert found.test().p_value == 1
    assert found.reason == "no variation"  # and so no interval of width 0
    assert math.isnan(found.interval().low)
    unpaired = two_way_difference(values, arm_weights(side), np.arange(20))
    assert unpaired.test().p_value == 1
    assert unpaired.interval().low < 0 < unpaired.interval().high


def test_constant_differences_and_single_patients_are_undefined():
    values, side, unit = pairs(np.arange(10.0) + 1, np.arange(10.0))
    found = two_way_difference(values, pair_weights(side, unit, unit), unit, paired=True)
    assert found.estimate == pytest.approx(1)
    assert math.isnan(found.test().p_value)
    one = two_way_difference([1.0, 2.0, 3.0], arm_weights([True, False, False]), [1, 2, 3])
    assert one.reason == "fewer than two patients in an arm"
    assert math.isnan(one.interval().low)


@pytest.mark.parametrize(
    ("values", "weights"),
    [([1.0, math.nan], [1, -1]), ([1.0, 2.0], [1, 1]), ([1.0], [1, -1]), ([1.0, 2.0], [0.5, -1])],
)
def test_bad_arguments_are_refused(values, weights):
    with pytest.raises(ValueError, match=r"value|weight"):
        two_way_difference(values, weights, list(range(len(values))))


def test_weights_need_both_arms_and_both_sides():
    with pytest.raises(ValueError, match="each arm"):
        arm_weights([True, True])
    with pytest.raises(ValueError, match="both of its sides"):
        pair_weights([True, False, True], ["a", "a", "b"], [1, 1, 2])


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("reader_sd", [0.0, 0.4])
def test_type_one_error_and_coverage_hold_with_few_readers(paired, reader_sd):
    """600 draws: 5 % declared, up to three standard errors; without the readers' part it is far above."""
    rejected = alone = 0
    draws = 600
    for seed in range(draws):
        data = crossed(np.random.default_rng([6, seed]), 60, 6, 0.0, reader_sd=reader_sd, paired=paired)
        value, weights, patient, reader, _ = data
        rejected += two_way_difference(value, weights, patient, reader, paired).test().p_value < 0.05
        alone += two_way_difference(value, weights, patient, None, paired).test().p_value < 0.05
    assert rejected / draws < 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)
    if reader_sd and paired:
        assert alone / draws > 0.12


def test_bootstrap_agrees_and_is_the_wider_one():
    value, weights, patient, reader, _ = crossed(np.random.default_rng(7), 200, 10, 0.3, reader_sd=0.3)
    found = two_way_difference(value, weights, patient, reader, True).interval(0.95)
    drawn = two_way_bootstrap(value, weights, patient, reader, replicates=1000)
    assert drawn.estimate == found.estimate
    assert 0.8 < (drawn.high - drawn.low) / (found.high - found.low) < 1.9
    order = np.random.default_rng(8).permutation(len(value))
    again = two_way_bootstrap(value[order], weights[order], patient[order], reader[order], replicates=1000)
    assert (again.low, again.high) == (drawn.low, drawn.high)
    few = two_way_bootstrap(value[reader < 2], weights[reader < 2], patient[reader < 2], reader[reader < 2])
    assert "three readers" in few.reason
