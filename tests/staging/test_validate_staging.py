"""Error rates by simulation, a small run of what `benchmarks/validate_staging.py` does at length."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from harness.data_files import data_path
from harness.staging.config import read_shadow_config, read_watch_config

SUITES = data_path("suites") / "staging"
RUNS = 2000


@pytest.fixture(scope="module")
def validate():
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "validate_staging.py"))


def test_an_equal_model_is_stopped_no_more_often_than_declared(validate):
    config = read_shadow_config(SUITES / "shadow.yaml")
    found = validate["shadows"](config, RUNS, 0.0, np.random.default_rng(1))
    assert 0 < (found > 0).mean() <= config.harm.alpha


def test_six_points_of_pneumothorax_are_stopped_early_in_most_windows(validate):
    config = read_shadow_config(SUITES / "shadow.yaml")
    found = validate["shadows"](config, RUNS, 0.06, np.random.default_rng(2))
    assert ((found > 0) & (found <= len(config.looks))).mean() > 0.8


def test_a_version_at_every_limit_is_rolled_back_no_more_often_than_declared(validate):
    config, rng = read_watch_config(SUITES / "watch.yaml"), np.random.default_rng(3)
    rates = [(validate["watches"](config, rule, rule.limit, RUNS, rng) > 0).mean() for rule in config.rules]
    assert sum(rates) <= config.false_rollbacks


def test_a_version_beyond_its_limit_is_rolled_back_within_minutes(validate):
    config = read_watch_config(SUITES / "watch.yaml")
    latency = next(rule for rule in config.rules if rule.measure == "latency")
    found = validate["watches"](config, latency, 0.2, RUNS, np.random.default_rng(4))
    assert ((found > 0) & (found <= 3)).mean() > 0.9


def test_at_any_limit_it_is_kept_no_more_often_than_declared(validate):
    config, rng = read_watch_config(SUITES / "watch.yaml"), np.random.default_rng(5)
    for rule in (rule for rule in config.rules if rule.keeps == "shown"):
        asked = validate["ends"](config, validate["HEALTHY"] | {rule.measure: rule.limit}, RUNS, rng)
        kept = (asked[config.rules.index(rule)] == validate["KEEP"]).mean()
        assert 0 < kept <= 1 - config.keep_confidence + 0.015


def test_a_healthy_version_is_kept_in_most_windows_and_one_that_misses_in_hardly_any(validate):
    config = read_watch_config(SUITES / "watch.yaml")
    asked = validate["ends"](config, validate["HEALTHY"], RUNS, np.random.default_rng(6))
    assert (asked[:4].max(axis=0) == validate["KEEP"]).mean() > validate["STATED_KEPT"]
    assert (asked.max(axis=0) == validate["KEEP"]).mean() > 0.8
    misses = {**validate["HEALTHY"], "critical_misses": 0.29}
    asked = validate["ends"](config, misses, RUNS, np.random.default_rng(7))
    assert (asked.max(axis=0) == validate["KEEP"]).mean() < 0.03
