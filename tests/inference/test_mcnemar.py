import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from harness.inference import clustered_mcnemar_test, mcnemar_test

METHODS = ["exact", "mid-p", "asymptotic", "continuity-corrected"]
CLUSTERED = ["obuchowski", "durkalski", "eliasziw-donner", "yang"]

table = st.lists(
    st.tuples(*[st.integers(0, 4)] * 4).filter(any),
    min_size=2,
    max_size=25,
)


@pytest.mark.parametrize(
    ("method", "p"),
    [  # Cavo 2012, in Fagerland, Lydersen & Laake, Statistical Analysis of Contingency Tables, 2017
        ("asymptotic", 0.033006),
        ("continuity-corrected", 0.055009),
        ("exact", 0.052479),
        ("mid-p", 0.034690),
    ],
)
def test_published(method, p):
    assert mcnemar_test(6, 16, method).p_value == pytest.approx(p, abs=5.1e-7)


@pytest.mark.parametrize(("b", "c"), [(0, 1), (3, 11), (9, 8), (150, 86), (0, 40)])
def test_agrees_with_statsmodels(b, c):
    for method, options in [
        ("exact", {"exact": True}),
        ("asymptotic", {"exact": False, "correction": False}),
        ("continuity-corrected", {"exact": False, "correction": True}),
    ]:
        expected = mcnemar([[5, b], [c, 7]], **options)
        found = mcnemar_test(b, c, method)
        assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from(METHODS))
def test_symmetric_and_a_probability(b, c, method):
    one, other = mcnemar_test(b, c, method), mcnemar_test(c, b, method)
    assert one == other
    assert 0 <= one.p_value <= 1


@given(st.integers(0, 200), st.integers(0, 200))
def test_exact_is_the_sign_test_and_mid_p_is_less(b, c):
    exact = mcnemar_test(b, c).p_value
    if b + c:
        assert exact == pytest.approx(binomtest(b, b + c).pvalue)
        assert mcnemar_test(b, c, "mid-p").p_value < exact


@pytest.mark.parametrize("method", METHODS)
def test_no_discordant_pairs_give_1(method):
    assert mcnemar_test(0, 0, method).p_value == 1


def test_mid_p_of_a_tie_takes_off_half_the_table():
    assert mcnemar_test(1, 1, "mid-p").p_value == pytest.approx(1 - 0.5 * 0.5)


@given(table, st.sampled_from(CLUSTERED), st.randoms())
def test_clustered_laws(rows, method, random):
    a, b, c, d = np.array(rows).T
    found = clustered_mcnemar_test(a, b, c, d, method)
    assert 0 <= found.p_value <= 1
    mirrored = clustered_mcnemar_test(a, c, b, d, method)
    assert mirrored.statistic == pytest.approx(found.statistic, abs=1e-9)
    shuffled = [*rows, (0, 0, 0, 0)]
    random.shuffle(shuffled)
    again = clustered_mcnemar_test(*np.array(shuffled).T, method)
    assert again.statistic == pytest.approx(found.statistic, abs=1e-9)


@given(table)
def test_eliasziw_donner_never_finds_more_than_mcnemar(rows):
    a, b, c, d = np.array(rows).T
    plain = mcnemar_test(int(b.sum()), int(c.sum()), "asymptotic")
    assert clustered_mcnemar_test(a, b, c, d, "eliasziw-donner").statistic <= plain.statistic + 1e-9


def test_where_every_pair_is_alike_a_cluster_counts_as_one_pair():
    found = clustered_mcnemar_test([0] * 5, [3] * 5, [0] * 5, [0] * 5, "eliasziw-donner")
    assert found.statistic == pytest.approx(5)


def test_one_pair_a_cluster_is_mcnemar():
    b, c = [1] * 4 + [0] * 16, [0] * 9 + [1] * 11
    rest = [1 - one - other for one, other in zip(b, c, strict=True)]
    zero, plain = [0] * 20, mcnemar_test(4, 11, "asymptotic").statistic
    assert clustered_mcnemar_test(rest, b, c, zero, "eliasziw-donner").statistic == pytest.approx(plain)
    assert clustered_mcnemar_test(rest, b, c, zero, "durkalski").statistic == pytest.approx(plain)
    assert clustered_mcnemar_test(rest, b, c, zero, "obuchowski").statistic == pytest.approx(plain * 19 / 20)


@pytest.mark.parametrize("method", CLUSTERED)
def test_degenerate_clusters(method):
    assert clustered_mcnemar_test([3, 2], [0, 0], [0, 0], [1, 1], method).p_value == 1
    assert clustered_mcnemar_test([3, 2], [1, 2], [1, 2], [1, 1], method).p_value == 1
    assert clustered_mcnemar_test([], [], [], [], method).p_value == 1
    single = clustered_mcnemar_test([3], [5], [0], [1], method)
    assert math.isnan(single.p_value)
    assert single.reason == "fewer than two clusters"


@pytest.mark.parametrize(
    "call",
    [
        lambda: mcnemar_test(-1, 2),
        lambda: mcnemar_test(1.5, 2),
        lambda: mcnemar_test(1, 2, "yates"),
        lambda: clustered_mcnemar_test([1], [1, 2], [1], [1]),
        lambda: clustered_mcnemar_test([1], [-1], [1], [1]),
        lambda: clustered_mcnemar_test([1], [math.nan], [1], [1]),
        lambda: clustered_mcnemar_test([1], [1], [1], [1], "exact"),
    ],
)
def test_refuses(call):
    with pytest.raises(ValueError, match="must be"):
        call()
