import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from statsmodels.stats.proportion import confint_proportions_2indep

from harness.inference import difference_interval, paired_difference_interval
from harness.inference.differences import paired_score, unpaired_score

sample = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
table = st.tuples(*[st.integers(0, 60)] * 4).filter(any)
unpaired = st.sampled_from(["newcombe", "miettinen-nurminen"])
paired = st.sampled_from(["tango", "newcombe"])


def ends(interval):
    return interval.low, interval.high


@pytest.mark.parametrize(
    ("counts", "method", "expected"),
    [  # Newcombe, Stat Med 1998;17:873-890, table II
        ((5, 56, 0, 29), "miettinen-nurminen", (-0.0326, 0.1933)),
        ((5, 56, 0, 29), "newcombe", (-0.0381, 0.1926)),
        ((9, 10, 3, 10), "newcombe", (0.1705, 0.8090)),
        ((9, 10, 3, 10), "miettinen-nurminen", (0.1700, 0.8406)),
        ((6, 7, 2, 7), "newcombe", (0.0582, 0.8062)),
        ((6, 7, 2, 7), "miettinen-nurminen", (0.0342, 0.8534)),
        ((56, 70, 48, 80), "miettinen-nurminen", (0.0528, 0.3382)),
        ((0, 10, 0, 20), "newcombe", (-0.1611, 0.2775)),
        ((0, 10, 0, 10), "newcombe", (-0.2775, 0.2775)),
        ((10, 10, 0, 10), "newcombe", (0.6075, 1.0)),
    ],
)
def test_published_differences(counts, method, expected):
    assert ends(difference_interval(*counts, method=method)) == pytest.approx(expected, abs=5.1e-5)


@pytest.mark.parametrize(
    ("counts", "confidence", "method", "expected"),
    [
        ((59, 6, 16, 80), 0.95, "tango", (-0.1240, -0.0054)),  # Cavo 2012, in Fagerland et al. 2014
        ((59, 6, 16, 80), 0.95, "newcombe", (-0.1186, -0.0046)),
        # Newcombe, Stat Med 1998;17:2635-2650, table II
        ((36, 12, 2, 0), 0.95, "newcombe", (0.0569, 0.3404)),
        ((18, 12, 2, 18), 0.95, "newcombe", (0.0562, 0.3290)),
        ((36, 12, 2, 0), 0.95, "tango", (0.0611, 0.3447)),
        ((54, 0, 0, 0), 0.95, "newcombe", (-0.0664, 0.0664)),
        ((43, 0, 1, 0), 0.90, "tango", (-0.096, 0.037)),  # Tango 1998
        ((53, 16, 8, 9), 0.95, "tango", (-0.020, 0.207)),  # Agresti & Min 2005
    ],
)
def test_published_paired_differences(counts, confidence, method, expected):
    interval = paired_difference_interval(*counts, confidence=confidence, method=method)
    assert ends(interval) == pytest.approx(expected, abs=6e-4)


def test_newcombe_agrees_with_statsmodels():
    for counts in [(7, 34, 1, 34), (120, 150, 80, 140), (3, 10, 9, 11), (1, 7, 30, 300)]:
        expected = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
        assert ends(difference_interval(*counts)) == pytest.approx(expected, abs=1e-9)


@given(sample, sample, unpaired)
def test_exchange_of_samples_mirrors(first, second, method):
    one = difference_interval(*first, *second, method=method)
    other = difference_interval(*second, *first, method=method)
    assert ends(one) == pytest.approx((-other.high, -other.low), abs=1e-6)


@given(table, paired)
def test_exchange_of_pairs_mirrors(counts, method):
    a, b, c, d = counts
    one = paired_difference_interval(a, b, c, d, method=method)
    other = paired_difference_interval(a, c, b, d, method=method)
    assert ends(one) == pytest.approx((-other.high, -other.low), abs=1e-8)


@given(table, paired)
def test_exchange_of_success_and_failure_mirrors(counts, method):
    a, b, c, d = counts
    one = paired_difference_interval(a, b, c, d, method=method)
    other = paired_difference_interval(d, c, b, a, method=method)
    assert ends(one) == pytest.approx((-other.high, -other.low), abs=1e-8)


@given(sample, sample, unpaired, st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_nests_in_confidence(first, second, method, level, other):
    wide = difference_interval(*first, *second, confidence=max(level, other), method=method)
    narrow = difference_interval(*first, *second, confidence=min(level, other), method=method)
    assert -1 <= wide.low <= narrow.low + 1e-6
    assert narrow.high - 1e-6 <= wide.high <= 1


@given(table, paired, st.floats(0.5, 0.99))
def test_paired_holds_the_estimate_and_has_width(counts, method, confidence):
    interval = paired_difference_interval(*counts, confidence=confidence, method=method)
    assert -1 <= interval.low <= interval.estimate <= interval.high <= 1
    assert interval.low < interval.high


@given(sample, sample, st.floats(-0.95, 0.95))
def test_unpaired_score_is_at_the_maximum_likelihood(first, second, delta):
    (x1, n1), (x2, n2) = first, second
    low, high = max(0.0, delta), min(1.0, 1 + delta)

    def surprise(p):
        q = min(max(p - delta, 1e-15), 1 - 1e-15)
        p = min(max(p, 1e-15), 1 - 1e-15)
        return -(
            x1 * math.log(p) + (n1 - x1) * math.log1p(-p) + x2 * math.log(q) + (n2 - x2) * math.log1p(-q)
        )

    best = minimize_scalar(surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-10}).x
    best = min((low, best, high), key=surprise)
    q = best - delta
    variance = (best * (1 - best) / n1 + q * (1 - q) / n2) * (n1 + n2) / (n1 + n2 - 1)
    assert unpaired_score(x1, n1, x2, n2, delta)[1] ** 2 == pytest.approx(variance, rel=1e-4, abs=1e-6)


@given(table, st.floats(-0.95, 0.95))
def test_paired_score_is_at_the_maximum_likelihood(counts, delta):
    a, b, c, d = counts
    n = a + b + c + d

    def surprise(second):  # P(second only); P(first only) is delta more
        cells = (second + delta, b), (second, c), (1 - 2 * second - delta, a + d)
        return -sum(count * math.log(max(p, 1e-300)) for p, count in cells if count)

    low, high = max(0.0, -delta), (1 - delta) / 2
    best = minimize_scalar(surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-10}).x
    best = min((low, best, high), key=surprise)
    expected = max(0.0, (2 * best + delta * (1 - delta)) / n)
    assert float(paired_score(b, c, n, delta)[1]) ** 2 == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_without_discordant_pairs_tango_is_closed_form():
    z2 = 1.959963984540054**2
    interval = paired_difference_interval(40, 0, 0, 10)
    assert ends(interval) == pytest.approx((-z2 / (50 + z2), z2 / (50 + z2)), abs=1e-8)


def test_extremes():
    assert ends(difference_interval(10, 10, 0, 20, method="miettinen-nurminen"))[1] == 1
    assert ends(paired_difference_interval(0, 12, 0, 0))[1] == 1
    wide = difference_interval(0, 10, 0, 10, method="miettinen-nurminen")
    assert wide.low == pytest.approx(-wide.high, abs=1e-8)
    assert 0.2 < wide.high < 0.4


def test_nothing_is_undefined_with_a_reason():
    for interval in (difference_interval(0, 0, 3, 4), paired_difference_interval(0, 0, 0, 0)):
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert interval.reason.endswith("0/0")


@pytest.mark.parametrize(
    "call",
    [
        lambda: difference_interval(5, 4, 1, 2),
        lambda: difference_interval(-1, 4, 1, 2),
        lambda: difference_interval(1.5, 4, 1, 2),
        lambda: difference_interval(1, 4, 1, 2, confidence=1),
        lambda: difference_interval(1, 4, 1, 2, method="wald"),
        lambda: paired_difference_interval(1, -2, 3, 4),
        lambda: paired_difference_interval(1, np.nan, 3, 4),
        lambda: paired_difference_interval(1, 2, 3, 4, method="wald"),
    ],
)
def test_refuses(call):
    with pytest.raises(ValueError, match=r"must"):
        call()
