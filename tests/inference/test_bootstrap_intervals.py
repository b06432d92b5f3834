import math

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from harness.inference import bca_interval
from harness.inference.bootstrap_intervals import interval_of_sorted

RNG = np.random.default_rng(0)
REPLICATES = np.sort(RNG.gamma(3, 1, 999))
LEFT_OUT = 3 + RNG.normal(0, 0.05, 40) ** 2


def interval(replicates=REPLICATES, method="percentile", side="two-sided", confidence=0.95, **options):
    arguments = {"estimate": 3.0, "left_out": LEFT_OUT} | options
    return interval_of_sorted(
        arguments["estimate"],
        np.asarray(replicates, dtype=float),
        arguments["left_out"],
        confidence,
        method,
        side,
    )


def test_percentile_is_the_25th_and_975th_of_999():
    found = interval()
    assert found.low == pytest.approx(REPLICATES[24])
    assert found.high == pytest.approx(REPLICATES[974])


def test_basic_is_percentile_turned_around():
    found = interval(method="basic")
    assert (found.low, found.high) == pytest.approx((6 - REPLICATES[974], 6 - REPLICATES[24]))
    lower = interval(method="basic", side="lower", confidence=0.975)
    assert (lower.low, lower.high) == (found.low, math.inf)
    upper = interval(method="basic", side="upper", confidence=0.975)
    assert (upper.low, upper.high) == (-math.inf, found.high)


def test_bca_is_efrons_formula():
    z0 = ndtri((REPLICATES < 3.0).mean())
    deviation = LEFT_OUT.mean() - LEFT_OUT
    a = (deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5)
    found = bca_interval(3.0, RNG.permutation(REPLICATES), LEFT_OUT)
    for end, z in ((found.low, -1.959963984540054), (found.high, 1.959963984540054)):
        level = ndtr(z0 + (z0 + z) / (1 - a * (z0 + z)))
        assert end == pytest.approx(np.quantile(REPLICATES, level, method="weibull"))


def test_bca_without_bias_or_skew_is_percentile():
    symmetric = np.arange(-500.0, 501.0)
    left_out = np.array([-1.0, 1.0, -2.0, 2.0])
    plain = interval(symmetric, estimate=0.0, left_out=left_out)
    found = interval(symmetric, "bca", estimate=0.0, left_out=left_out)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


def test_undefined_replicates_count_as_beyond_either_end():
    with_nan = np.r_[REPLICATES, [np.nan] * 20]
    found = interval(with_nan)
    low = np.sort(np.r_[REPLICATES, [-math.inf] * 20])
    high = np.sort(np.r_[REPLICATES, [math.inf] * 20])
    assert found.low == pytest.approx(np.quantile(low, 0.025, method="weibull"))
    assert found.high == pytest.approx(np.quantile(high, 0.975, method="weibull"))
    assert found.method == "percentile bootstrap, 1019 replicates, 20 of them undefined"
    assert found.low < interval().low
    assert found.high > interval().high


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"estimate": math.nan}, "undefined: 0/0"),
        ({"left_out": np.array([3.0])}, "fewer than two clusters"),
        ({"replicates": [math.nan] * 100}, "undefined in every resample"),
        ({"replicates": np.r_[REPLICATES, [math.nan] * 100]}, "undefined in 100 of 1099 resamples"),
        ({"replicates": np.r_[REPLICATES, math.inf]}, "infinite in some resamples"),
        ({"replicates": np.full(999, 3.0)}, "no variation between resamples"),
        ({"replicates": np.linspace(3.0, 3.0 + 1e-13, 999)}, "no variation between resamples"),
        ({"replicates": np.r_[1.0, np.full(998, 3.0)]}, "too little variation between resamples"),
        (
            {"replicates": REPLICATES[::40]},
            "the bound lies beyond the most extreme of 25 resamples; more are needed",
        ),
    ],
)
@pytest.mark.parametrize("method", ["percentile", "basic", "bca"])
def test_undefined_with_a_reason(options, reason, method):
    found = interval(method=method, **options)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"estimate": -1.0}, "every resample lies on one side of the estimate"),
        ({"estimate": 99.0}, "every resample lies on one side of the estimate"),
        ({"left_out": np.array([3.0, math.nan, 3.1])}, "undefined when one cluster is left out"),
        ({"left_out": np.array([3.0, 3.0, 3.0])}, "no variation when one cluster is left out"),
        (
            {
                "left_out": np.r_[0.0, np.full(400, 3.0)],
                "estimate": REPLICATES[900],
                "confidence": 1 - 1e-9,
                "side": "upper",
            },
            "the acceleration is too large for this confidence",
        ),
    ],
)
def test_bca_undefined_with_a_reason(options, reason):
    found = interval(method="bca", **options)
    assert math.isnan(found.low)
    assert found.reason == reason


def test_a_one_sided_bound_ignores_the_other_end():
    # All the trouble is above.
    skewed = np.r_[np.linspace(0, 1, 900), np.ones(99)]
    assert interval(skewed, side="lower", estimate=0.9).reason == ""
    assert interval(skewed, side="lower", estimate=0.9).high == math.inf
