import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, poisson

from harness.inference import bootstrap_weights
from harness.inference.keyed_random import cluster_keys, keyed_bits
from harness.inference.resampling_weights import fill_multinomial

names = st.lists(st.text(max_size=8), min_size=1, max_size=12, unique=True)


def splitmix64(state, draws):
    """The published algorithm, one number at a time in Python integers."""
    out, mask = [], 2**64 - 1
    for _ in range(draws):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(z ^ (z >> 31))
    return out


def test_bits_are_splitmix64():
    # The first outputs for seed 1234567, as widely published for this generator.
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert splitmix64(1234567, 3) == known
    assert keyed_bits(np.array([1234567], dtype=np.uint64), 0, 3).ravel().tolist() == known


def test_a_weight_is_the_inverse_cdf_of_its_own_word():
    weights = bootstrap_weights(["a", "b"], 500, seed=3)
    for column, name in enumerate("ab"):
        digest = hashlib.blake2b(name.encode(), digest_size=8, key=(3).to_bytes(16, "little")).digest()
        words = splitmix64(int.from_bytes(digest, "little"), 500)
        assert weights[:, column].tolist() == poisson.ppf(np.array(words) / 2**64, 1).tolist()


def test_extreme_words_settle():
    # The table by leading bits, against the thresholds themselves, where it is in doubt.
    rng = np.random.default_rng(0)
    weights = bootstrap_weights([str(k) for k in rng.integers(0, 1 << 40, 2000)], 2000, 0)
    assert weights.min() == 0
    assert weights.max() >= 8


@given(names, st.integers(0, 2**64), st.integers(1, 20), st.integers(0, 20), st.randoms())
def test_a_draw_depends_on_nothing_but_seed_name_and_replicate(clusters, seed, replicates, start, random):
    every = bootstrap_weights(clusters, start + replicates, seed)
    assert every.dtype == np.int64
    order = list(range(len(clusters)))
    random.shuffle(order)
    some = order[: random.randint(1, len(order))]
    block = bootstrap_weights([clusters[k] for k in some], replicates, seed, start)
    np.testing.assert_array_equal(block, every[start:, some])


def test_seeds_and_purposes_are_unrelated():
    draws = [bootstrap_weights(["a"], 4000, seed).ravel() for seed in (0, 1, 2**64)]
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 0.06
    assert cluster_keys(["a"], 0) != cluster_keys(["a"], 0, "permutation")


def test_counts_are_poisson_and_independent():
    weights = bootstrap_weights([f"patient-{k}" for k in range(400)], 2500, 11)
    observed = np.bincount(weights.ravel(), minlength=8)
    observed = np.r_[observed[:7], observed[7:].sum()]
    expected = weights.size * np.r_[poisson.pmf(np.arange(7), 1), poisson.sf(6, 1)]
    assert chi2.sf(((observed - expected) ** 2 / expected).sum(), 7) > 1e-3
    between_clusters = np.corrcoef(weights.T)[np.triu_indices(400, 1)]
    between_replicates = np.corrcoef(weights)[np.triu_indices(2500, 1)]
    assert between_clusters.std() == pytest.approx(1 / np.sqrt(2500), rel=0.05)
    assert between_replicates.std() == pytest.approx(1 / np.sqrt(400), rel=0.05)


def test_multinomial_draws_as_many_as_there_are():
    weights = np.empty((20_000, 7))
    fill_multinomial(cluster_keys(["draw"], 0), 0, weights)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.03)
    covariance = np.cov(weights.T)
    assert np.diag(covariance) == pytest.approx(np.full(7, 6 / 7), abs=0.04)
    assert covariance[0, 1:] == pytest.approx(np.full(6, -1 / 7), abs=0.03)


def test_multinomial_blocks_join():
    key = cluster_keys(["draw"], 5)
    whole, first, rest = np.empty((9, 5)), np.empty((4, 5)), np.empty((5, 5))
    fill_multinomial(key, 0, whole)
    fill_multinomial(key, 0, first)
    fill_multinomial(key, 4, rest)
    np.testing.assert_array_equal(whole, np.concatenate([first, rest]))


def test_nothing():
    assert bootstrap_weights([], 3, 0).shape == (3, 0)
    assert bootstrap_weights(["a"], 0, 0).shape == (0, 1)


@pytest.mark.parametrize("arguments", [(-1, 0), (1, -1), (1, 0, -1), (1, 2**128)])
def test_refuses(arguments):
    with pytest.raises(ValueError, match=r"must not be negative|seed must lie"):
        bootstrap_weights(["a"], *arguments)
