import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import Table

from harness.inference import trend_test


def clustered(seed, clusters=60, slope=0.0, correlated=True):
    """Outcomes and scores of clusters of 1 to 6 trials; both alike within a cluster where correlated."""
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(clusters), rng.integers(1, 7, size=clusters))
    own = rng.normal(size=(2, clusters)) if correlated else np.zeros((2, clusters))
    x = own[0][names] + 0.3 * rng.normal(size=len(names))
    chance = 1 / (1 + np.exp(-(2.5 * own[1][names] + slope * x)))
    return (rng.random(len(names)) < chance).astype(int), x, names


@pytest.mark.parametrize("seed", range(4))
def test_is_the_generalised_score_test_of_a_marginal_model(seed):
    y, x, clusters = clustered(seed, slope=0.5)
    wide = sm.add_constant(x)
    family = sm.families.Binomial()
    large = sm.GEE(y, wide, groups=clusters, family=family)
    small = sm.GEE(y, wide[:, :1], groups=clusters, family=family).fit()
    theirs = large.compare_score_test(small)
    ours = trend_test(y, x, clusters)
    assert ours.statistic**2 == pytest.approx(float(np.squeeze(theirs["statistic"])), rel=1e-8)
    assert ours.p_value == pytest.approx(float(np.squeeze(theirs["p-value"])), rel=1e-8)


def test_of_single_trials_tends_to_cochran_and_armitage():
    counts = np.array([[900, 850, 800], [100, 150, 200]])
    y = np.repeat([0, 0, 0, 1, 1, 1], counts.ravel())
    x = np.repeat([0, 1, 2, 0, 1, 2], counts.ravel())
    theirs = Table(counts).test_ordinal_association(row_scores=np.arange(2), col_scores=np.arange(3))
    assert trend_test(y, x).statistic == pytest.approx(theirs.zscore, rel=0.02)
    assert trend_test(y, x).statistic > 0


def test_holds_its_level_where_the_plain_test_does_not():
    ours = theirs = 0
    for seed in range(300):
        y, x, clusters = clustered(seed)
        if y.min() == y.max():
            continue
        ours += trend_test(y, x, clusters).p_value < 0.05
        theirs += trend_test(y, x).p_value < 0.05
    assert ours / 300 < 0.085
    assert theirs / 300 > 0.15, "the clusters of this simulation matter"


trials = st.lists(
    st.tuples(st.booleans(), st.integers(-50, 50), st.sampled_from("abcdefgh")), min_size=4, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(trials, st.integers(1, 9), st.integers(-20, 20), st.randoms())
def test_laws(rows, scale, shift, random):
    y, x, clusters = (np.array(column) for column in zip(*rows, strict=True))
    plain = trend_test(y, x, clusters)
    if plain.reason:
        assert np.isnan([plain.statistic, plain.p_value]).all()
        return
    assert 0 <= plain.p_value <= 1
    assert trend_test(y, scale * x + shift, clusters).statistic == pytest.approx(plain.statistic)
    assert trend_test(~y, x, clusters).statistic == pytest.approx(-plain.statistic)
    assert trend_test(y, -x, clusters).p_value == pytest.approx(plain.p_value)
    order = list(range(len(y)))
    random.shuffle(order)
    renamed = np.char.add("patient ", clusters)
    assert trend_test(y[order], x[order], renamed[order]).statistic == pytest.approx(plain.statistic)
    doubled = trend_test(np.tile(y, 2), np.tile(x, 2), np.tile(clusters, 2))
    assert doubled.statistic == pytest.approx(plain.statistic), "the same again tells nothing"


@pytest.mark.parametrize(
    ("y", "x", "clusters", "why"),
    [
        ([], [], None, "no trials"),
        ([1, 1, 1], [1, 2, 3], None, "always"),
        ([0, 0, 0], [1, 2, 3], None, "never"),
        ([0, 1, 0], [2, 2, 2], None, "all scores are the same"),
        ([0, 1, 0, 1], [1, 2, 3, 5], ["a"] * 4, "fewer than two clusters"),
    ],
)
def test_is_undefined_with_a_reason(y, x, clusters, why):
    result = trend_test(y, x, clusters)
    assert np.isnan(result.p_value)
    assert why in result.reason


@pytest.mark.parametrize(
    ("y", "x", "clusters", "why"),
    [
        ([0, 1], [1, 2, 3], None, "needs a score"),
        ([0, 2], [1, 2], None, "0 or 1"),
        ([0, 1], [1, float("nan")], None, "finite"),
        ([0, 1], [1, 2], ["a"], "needs a cluster"),
    ],
)
def test_refuses(y, x, clusters, why):
    with pytest.raises(ValueError, match=why):
        trend_test(y, x, clusters)
