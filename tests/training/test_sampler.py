import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training.sampler import Sampler, dealt


def sampler(n=101, batch=4, group=3, seed=1):
    return Sampler(np.random.default_rng(0).integers(10, 900, n), batch, group, seed)


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3))
def test_every_step_is_full_and_no_study_comes_twice_where_there_are_enough(n, batch, group, epoch):
    steps = sampler(n, batch, group).epoch(2, epoch)
    assert len(steps) == max(1, n // (batch * group))
    assert {len(step) for step in steps} == {group}
    assert {len(part) for step in steps for part in step} == {batch}
    drawn = np.concatenate([part for step in steps for part in step])
    assert set(drawn.tolist()) <= set(range(n))
    if n >= batch * group:
        assert len(set(drawn.tolist())) == len(drawn)


def test_an_epoch_is_a_function_of_seed_stage_and_epoch():
    def drawn(seed, stage, epoch):
        return np.array(sampler(seed=seed).epoch(stage, epoch)).tolist()

    first = drawn(1, 1, 0)
    assert first == drawn(1, 1, 0)
    assert first not in (drawn(2, 1, 0), drawn(1, 2, 0), drawn(1, 1, 1))


@pytest.mark.parametrize("processes", [1, 2, 3, 6])
def test_processes_share_a_step_without_overlap(processes):
    step = sampler(group=6).epoch(1, 0)[0]
    parts = [part for process in range(processes) for part in dealt(step, process, processes)]
    assert sorted(np.concatenate(parts)) == sorted(np.concatenate(step))


def test_texts_of_like_length_come_together():
    many = sampler(n=640, batch=8, group=1)
    spread = np.mean([np.ptp(many.lengths[part]) for step in many.epoch(1, 0) for part in step])
    assert spread < 0.3 * np.ptp(many.lengths)
