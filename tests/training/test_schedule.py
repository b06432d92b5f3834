import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training.schedule import rate_at


@given(
    st.integers(1, 500), st.floats(1e-6, 0.5), st.floats(0, 1), st.integers(0, 499)
)  # fmt: skip
def test_every_rate_is_above_0_and_at_most_the_highest(steps, highest, warmup, step):
    assert 0 < rate_at(min(step, steps - 1), steps, highest, warmup) <= highest


def test_it_rises_linearly_and_falls_on_a_cosine():
    rates = [rate_at(step, 100, 2.0, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
    assert rates[10:] == pytest.approx([1 + math.cos(math.pi * n / 90) for n in range(90)])


def test_without_warm_up_it_is_torchs_cosine():
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.3)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for step in range(40):
        assert rate_at(step, 40, 0.3, 0) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()
