import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from harness.inference.cusum import (
    average_run_length,
    design_cusum,
    population_stability_index,
)


def normal_run_length(shift, reference, limit, fine=50):
    """A CUSUM of normal steps, in steps of 1/fine: score + x - reference, signal above the limit."""
    grid = np.arange(-8 * fine, 9 * fine)
    edges = (np.r_[grid, grid[-1] + 1] - 0.5) / fine
    chances = np.diff(norm.cdf(edges + reference - shift))
    # Rounding to the lattice lets the score reach the limit up to a step early.
    return average_run_length(grid, chances / chances.sum(), limit * fine + 1)


@pytest.mark.parametrize(
    ("limit", "shift", "published"),
    [(4, 0, 168), (4, 1, 8.38), (4, 2, 3.34), (5, 0, 465), (5, 0.5, 38.0), (5, 1, 10.4), (5, 2, 4.01)],
)
def test_published_run_lengths_of_the_normal_chart(limit, shift, published):
    """Montgomery, Introduction to Statistical Quality Control, table 9.3 (two-sided, k = 1/2)."""
    up, down = (normal_run_length(sign * shift, 0.5, limit) for sign in (1, -1))
    assert 1 / (1 / up + 1 / down) == pytest.approx(published, rel=0.012)


def test_with_a_limit_of_one_the_first_event_signals():
    assert average_run_length([-1, 5], [0.9, 0.1], 1) == pytest.approx(10)


def test_two_events_in_three_trials_by_hand():
    # gain 2, limit 3: from 0 an event leads to 2, a miss back to 0; from 2 an event signals, a miss
    # leads to 1, where an event signals and a miss leads to 0.
    p = 0.3
    q = 1 - p
    by_hand = (1 + p * (1 + q)) / (1 - q - p * q * q)
    assert average_run_length([-1, 2], [q, p], 3) == pytest.approx(by_hand, rel=1e-12)


@given(p=st.floats(0.02, 0.4), gain=st.integers(1, 8), limit=st.integers(1, 30), data=st.data())
@settings(max_examples=40, deadline=None)
def test_run_length_is_the_fundamental_matrix_of_the_chain(p, gain, limit, data):
    start = data.draw(st.integers(0, limit - 1))
    chain = np.zeros((limit, limit))
    for state in range(limit):
        chain[state, max(0, state - 1)] += 1 - p
        if state + gain < limit:
            chain[state, state + gain] += p
    found = average_run_length([-1, gain], [1 - p, p], limit, start)
    if np.linalg.cond(np.eye(limit) - chain) > 1e9:  # nothing to compare with in double precision
        assert found > 1e6
    else:
        dense = np.linalg.inv(np.eye(limit) - chain).sum(axis=1)[start]
        assert found == pytest.approx(dense, rel=1e-6)


def test_declared_run_length_holds_in_simulation():
    chart = design_cusum(0.05, 0.12, 800)
    rng = np.random.default_rng(5)
    for rate, expected in ((0.05, chart.run_length), (0.12, chart.delay)):
        lengths = []
        for _ in range(600):
            score, trials = 0, 0
            while score < chart.limit:
                score = max(0, score + (chart.gain if rng.random() < rate else -1))
                trials += 1
            lengths.append(trials)
        error = np.std(lengths) / math.sqrt(len(lengths))
        assert abs(np.mean(lengths) - expected) < 4 * error


@given(usual=st.floats(0.005, 0.3), more=st.floats(1.3, 3), length=st.floats(50, 20_000))
@settings(max_examples=25, deadline=None)
def test_design_has_the_lowest_limit_that_keeps_the_declared_length(usual, more, length):
    chart = design_cusum(usual, min(0.95, usual * more), length)
    assert chart.run_length >= length
    assert chart.delay <= chart.run_length
    if chart.limit > 1:
        shorter = average_run_length([-1, chart.gain], [1 - usual, usual], chart.limit - 1)
        assert shorter < length


@given(events=st.lists(st.booleans(), max_size=60), cut=st.integers(0, 60))
def test_scores_go_on_where_they_stopped(events, cut):
    chart = design_cusum(0.1, 0.3, 300)
    whole = chart.scores(events)
    head = chart.scores(events[:cut])
    assert head + chart.scores(events[cut:], head[-1] if head else 0) == whole
    assert all(0 <= score <= chart.limit for score in whole)


def test_without_upward_steps_it_never_signals():
    assert average_run_length([-1, 0], [0.5, 0.5], 3) == math.inf


@pytest.mark.parametrize("rates", [(0.2, 0.2), (0.3, 0.2), (0.0, 0.5), (0.5, 1.0)])
def test_rates_out_of_order_are_refused(rates):
    with pytest.raises(ValueError, match="usual < raised"):
        design_cusum(*rates, 100)


@pytest.mark.parametrize(
    "arguments", [([1, 2], [1.0], 3), ([0.5], [1.0], 3), ([1], [0.5], 3), ([1], [1.0], 0), ([1], [1.0], 3, 3)]
)
def test_bad_chains_are_refused(arguments):
    with pytest.raises(ValueError, match=r"steps|chances|limit"):
        average_run_length(*arguments)


def test_psi_by_hand():
    p, q = np.array([30.5, 70.5]) / 101, np.array([10.5, 90.5]) / 101
    assert population_stability_index([30, 70], [10, 90]) == pytest.approx(((p - q) * np.log(p / q)).sum())


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=10))
def test_psi_is_symmetric_and_never_negative(pairs):
    a, b = zip(*pairs, strict=True)
    if not any(a) or not any(b):
        assert math.isnan(population_stability_index(a, b))
    else:
        psi = population_stability_index(a, b)
        assert psi >= 0
        assert psi == pytest.approx(population_stability_index(b, a))
        assert population_stability_index(a, a) == pytest.approx(0)


def test_psi_refuses_counts_that_are_none():
    with pytest.raises(ValueError, match="0 or more"):
        population_stability_index([1, -1], [1, 1])
