import numpy as np
import pytest
from scipy.stats import kstest

from harness.latency.clock import SystemClock, Watch
from harness.latency.schedule import gaps, order, stages_of
from harness.latency.suite import LatencySuite
from latency_bench import FakeClock, suite_of


def test_arrivals_are_a_poisson_process():
    between = gaps("open-1", 20_000, 200, seed=3)
    assert kstest(between, "expon", args=(0, 18.0)).pvalue > 0.001
    assert between.mean() == pytest.approx(18.0, rel=0.03)
    assert abs(np.corrcoef(between[:-1], between[1:])[0, 1]) < 0.03


def test_arrivals_depend_on_seed_and_stage_and_on_nothing_else():
    first = gaps("open-1", 50, 200, 3)
    assert np.array_equal(first, gaps("open-1", 80, 200, 3)[:50])
    assert np.allclose(first, 2 * gaps("open-1", 50, 400, 3))
    assert not np.array_equal(first, gaps("open-2", 50, 200, 3))
    assert not np.array_equal(first, gaps("open-1", 50, 200, 4))


def test_the_order_of_studies_is_a_function_of_their_names():
    names = [f"s{k}" for k in range(100)]
    found = [names[place] for place in order(names, 1)]
    assert sorted(found) == sorted(names)
    assert found == [names[::-1][place] for place in order(names[::-1], 1)]
    assert found != [names[place] for place in order(names, 2)]


def test_stages_follow_one_another():
    import yaml

    text = suite_of(30, [{"load": 0.5, "studies": 10}, {"rate_per_hour": 200, "studies": 5}])
    stages = stages_of(LatencySuite.model_validate(yaml.safe_load(text)))
    assert [(stage.name, stage.first) for stage in stages] == [("closed", 0), ("open-1", 30), ("open-2", 40)]
    assert [stage.rate(1000.0) for stage in stages[1:]] == [500.0, 200]
    assert stages[2].study(3, 20) == 3


def test_a_set_wall_clock_is_seen_once():
    clock = FakeClock()
    watch = Watch(clock)
    clock.time += 100
    assert watch.look() is None
    clock.offset -= 7.25
    assert watch.look() == {"wall_jumped_s": -7.25}
    assert watch.look() is None


def test_the_machines_clock_runs_forward():
    clock = SystemClock()
    first = clock.now()
    clock.sleep(0.01)
    assert clock.now() - first >= 0.009
    assert abs(clock.wall() - __import__("time").time()) < 5
    assert "resolution" in clock.name
