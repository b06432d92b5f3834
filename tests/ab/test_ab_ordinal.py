"""The proportional-odds model against statsmodels, and what it cannot estimate."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.miscmodels.ordinal_model import OrderedModel
from trials import PAIRED, Truth, trial

from harness.ab.effects import Table, tables
from harness.ab.ordinal import proportional_odds


def lone(values, arm):
    """A row a patient, one reader."""
    names = np.arange(len(values)).astype(str)
    reader = np.full(len(values), "r")
    return Table(np.asarray(values, dtype=float), np.asarray(arm, dtype=bool), names, reader, names, False)


def drawn(seed, n, shift):
    rng = np.random.default_rng(seed)
    arm = rng.random(n) < 0.3
    values = np.clip(np.rint(rng.logistic(3.3 + shift * arm, 0.6)), 1, 5)
    return values, arm


@pytest.mark.parametrize(("seed", "n", "shift"), [(1, 400, 0.4), (2, 60, -0.3), (3, 3000, 0.0)])
def test_estimate_and_error_are_those_of_statsmodels(seed, n, shift):
    values, arm = drawn(seed, n, shift)
    found = proportional_odds(lone(values, arm))
    peer = OrderedModel(values, arm[:, None].astype(float), distr="logit").fit(
        method="bfgs", disp=False, cov_type="HC0", gtol=1e-8
    )
    assert found.estimate == pytest.approx(peer.params[0], abs=2e-5)
    # HC0 divides by n, the sandwich by patients with n/(n-1) as for every cluster.
    assert found.error == pytest.approx(peer.bse[0] * math.sqrt(n / (n - 1)), rel=1e-3)


def test_of_two_values_it_is_logistic_regression_with_clustered_errors():
    rng = np.random.default_rng(4)
    patient = rng.integers(0, 80, 300)
    arm = patient % 2 == 0
    values = (rng.random(300) < 0.4 + 0.2 * arm) + 1.0
    table = Table(values, arm, patient.astype(str), np.full(300, "r"), np.arange(300).astype(str), False)
    peer = sm.GLM(values - 1, sm.add_constant(arm.astype(float)), sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": patient, "use_correction": False}
    )
    clusters = len(set(patient.tolist()))
    found = proportional_odds(table)
    assert found.estimate == pytest.approx(peer.params[1], abs=1e-6)
    assert found.error == pytest.approx(peer.bse[1] * math.sqrt(clusters / (clusters - 1)), rel=1e-6)


def test_pairs_make_it_surer_and_exchanged_arms_change_the_sign(tmp_path):
    table = tables(trial(tmp_path, PAIRED, 150, 5, Truth(missing=0)), PAIRED)["rating"]
    found = proportional_odds(table)
    swapped = Table(table.values, ~table.challenger, table.patient, table.reader, table.unit, True)
    other = proportional_odds(swapped)
    assert (other.estimate, other.error) == pytest.approx((-found.estimate, found.error), rel=1e-5)
    assert found.estimate > 0
    rows, one = np.arange(len(table.values)).astype(str), np.full(len(table.values), "r")
    paired = proportional_odds(Table(table.values, table.challenger, table.patient, one, table.unit, True))
    apart = proportional_odds(Table(table.values, table.challenger, rows, one, rows, False))
    assert paired.error < apart.error


@pytest.mark.parametrize(
    ("values", "arm", "reason"),
    [
        ([3, 3, 3, 3], [1, 1, 0, 0], "every value is the same"),
        ([1, 1, 2, 5, 5, 4], [0, 0, 0, 1, 1, 1], "do not overlap"),
        ([1, 2, 3], [0, 0, 0], "an arm without values"),
    ],
)
def test_what_has_no_odds_ratio_says_so(values, arm, reason):
    found = proportional_odds(lone(values, arm))
    assert reason in found.reason
    assert math.isnan(found.test().p_value)
