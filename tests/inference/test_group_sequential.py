import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from harness.inference import crossing_probabilities, spending_boundaries

looks = st.lists(st.integers(1, 99), min_size=0, max_size=5, unique=True).map(
    lambda chosen: np.array([*sorted(chosen), 100]) / 100
)


@pytest.mark.parametrize(
    ("fractions", "spending", "expected"),
    [  # Reboussin, DeMets, Kim & Lan, Control Clin Trials 2000;21:190-207, and Jennison & Turnbull 2000
        ([0.2, 0.4, 0.6, 0.8, 1.0], "pocock", [2.4380, 2.4268, 2.4102, 2.3966, 2.3859]),
        ([0.5, 1.0], "obrien-fleming", [2.9626, 1.9686]),
        ([1 / 3, 2 / 3, 1.0], "obrien-fleming", [3.7103, 2.5114, 1.9930]),
        ([0.25, 0.5, 0.75, 1.0], "obrien-fleming", [4.3326, 2.9631, 2.3590, 2.0141]),
        ([0.5, 1.0], "pocock", [2.1570, 2.2010]),
    ],
)
def test_published_boundaries(fractions, spending, expected):
    assert spending_boundaries(fractions, 0.05, spending) == pytest.approx(expected, abs=2e-4)


@settings(deadline=None, max_examples=25)
@given(looks, st.sampled_from(["obrien-fleming", "pocock"]), st.floats(0.001, 0.2))
def test_spends_alpha(fractions, spending, alpha):
    boundaries = spending_boundaries(fractions, alpha, spending)
    assert crossing_probabilities(fractions, boundaries).sum() == pytest.approx(alpha, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
def test_one_look_is_the_normal_quantile(alpha, spending):
    assert spending_boundaries([1.0], alpha, spending) == pytest.approx([norm.isf(alpha / 2)])


def test_agrees_with_simulation():
    rng = np.random.default_rng(0)
    fractions = np.array([0.25, 0.5, 0.9, 1.0])
    boundaries = spending_boundaries(fractions)
    steps = rng.normal(size=(400_000, 4)) * np.sqrt(np.diff(fractions, prepend=0))
    z = np.abs(steps.cumsum(axis=1)) / np.sqrt(fractions)
    assert (z >= boundaries).any(axis=1).mean() == pytest.approx(0.05, abs=0.0015)


def test_looks_close_together():
    found = crossing_probabilities([0.5, 0.50001, 1.0], spending_boundaries([0.5, 0.50001, 1.0]))
    assert found.sum() == pytest.approx(0.05, abs=1e-6)


def test_a_look_too_early_to_spend_anything_has_no_boundary():
    assert spending_boundaries([0.0005, 1.0]) == pytest.approx([np.inf, norm.isf(0.025)])


@pytest.mark.parametrize("fractions", [[], [0.5, 0.5], [0.6, 0.5], [0.0, 1.0], [0.5, 1.1], [np.nan], 0.5])
def test_refuses_fractions(fractions):
    with pytest.raises(ValueError, match="fractions must rise"):
        spending_boundaries(fractions)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: spending_boundaries([1.0], 0), "alpha must lie"),
        (lambda: spending_boundaries([1.0], spending="linear"), "spending must be one of"),
        (lambda: crossing_probabilities([1.0], [2.0, 3.0]), "each look needs a boundary"),
        (lambda: crossing_probabilities([1.0], [-1.0]), "each look needs a boundary"),
    ],
)
def test_refuses(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
