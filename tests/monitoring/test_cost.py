import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.monitoring.cost import CostPart, notes, seconds_of, table, work_out


def test_the_stated_saving_follows_and_the_stated_return_needs_a_cost_of_150_385():
    part = CostPart()
    cost = work_out(part)
    assert cost.handled == 345_000
    assert cost.gross_saving_usd == 5_865_000
    assert cost.compute_usd == pytest.approx(4 * 3.20 * 8760) == pytest.approx(112_128)
    told = " ".join(notes(part, cost))
    assert "USD 5.9 M follows: the gross saving is USD 5,865,000" in told
    assert "39× does not follow" in told
    assert "USD 150,385" in told
    assert f"USD {5_865_000 / 39 - 112_128:,.0f} for storage and retraining" in told


def test_the_stated_return_follows_where_the_assumptions_make_it():
    part = CostPart(megabytes_per_study=0, retrainings_per_year=1, gpu_hours_per_retraining=38_257 / 3.2)
    assert work_out(part).gross_return == pytest.approx(39, abs=0.01)
    assert "39× follows" in " ".join(notes(part, work_out(part)))


def test_other_prices_do_not_repeat_the_claim():
    part = CostPart(usd_per_study_before=15)
    assert "USD 5.9 M does not follow" in notes(part, work_out(part))[1]
    dear = CostPart(gpus=40)
    assert "less than compute alone" in notes(dear, work_out(dear))[2]


def test_capacity_comes_from_measured_use():
    windows = [
        {"service": {"gpu_use_mean": 0.5}, "counts": {"reports": 100}},
        {"service": {"gpu_use_mean": 0.25}, "counts": {"reports": 50}},
        {"service": {"gpu_use_mean": None}, "counts": {"reports": 999}},
    ]
    seconds = seconds_of(windows, 1.0, 4)
    assert seconds == pytest.approx(4 * 0.75 * 3600 / 150)
    cost = work_out(CostPart(), seconds)
    assert cost.capacity_per_hour == pytest.approx(200)  # 150 studies in 0.75 hours of all GPUs
    rows = {name: figure for name, figure, _ in table(CostPart(), cost)}
    assert rows["Capacity"] == "200 studies/h"
    assert rows["GPUs that would do"] == "3"  # 118 an hour at the peak, 50 a GPU


def test_unmeasured_capacity_is_not_evaluated():
    assert seconds_of([], 1.0, 4) is None
    rows = {name: figure for name, figure, _ in table(CostPart(), work_out(CostPart()))}
    assert rows["Capacity"] == "NOT EVALUATED"


@given(st.floats(1, 1e7), st.floats(0.01, 1), st.floats(0, 100), st.floats(0, 100), st.integers(1, 50))
def test_parts_add_up(studies, share, before, after, gpus):
    part = CostPart(
        studies_per_year=studies, handled_share=share, usd_per_study_before=before,
        usd_per_study_after=after, gpus=gpus,
    )  # fmt: skip
    cost = work_out(part)
    assert cost.total_usd == pytest.approx(cost.compute_usd + cost.storage_usd + cost.retraining_usd)
    assert cost.net_saving_usd == pytest.approx(cost.gross_saving_usd - cost.total_usd)
    assert cost.usd_per_study * cost.handled == pytest.approx(cost.total_usd)
    assert math.isfinite(cost.net_return)
    assert len(notes(part, cost)) == 4


def test_too_few_gpus_for_the_busiest_hour_are_told_with_what_enough_cost():
    part = CostPart()
    cost = replace(work_out(part), capacity_per_hour=60.0)
    (short,) = [line for line in notes(part, cost) if "do not suffice" in line]
    assert short.startswith("4 GPUs do not suffice: 8 would, and compute would be USD 224,256.")
    assert not any("suffice" in line for line in notes(part, replace(cost, capacity_per_hour=200.0)))
