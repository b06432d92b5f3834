"""Planted events, each seen in time, and a quiet stream that stays quiet; with the example configuration."""

import json
from datetime import datetime

import numpy as np
import pytest

from harness.data_files import data_path
from harness.errors import HarnessError
from harness.monitoring import Monitor
from harness.monitoring.config import read_config
from harness.monitoring.simulate import EVENTS, Plan, make_pool, stream_records, write_stream
from harness.report import Finding

DAYS, ON_DAY = 20, 6
DELAYS = {
    "scanner": ("data-drift", 96),
    "recall": ("cusum-missed-pleural-effusion", 336),
    "surge": ("cusum-claimed-pneumothorax", 48),
    "latency": ("latency-p99", 2),
}
"""The detector that must see it, and within how many hours."""


@pytest.fixture(scope="module")
def pool():
    return make_pool(seed=1, size=200)


@pytest.fixture(scope="module")
def alerts(pool, tmp_path_factory):
    def run(event):
        root = tmp_path_factory.mktemp(event) / "demo"
        plan = Plan(DAYS, 200, 5, event, on_day=ON_DAY, reference_days=20)
        write_stream(root, plan, lambda: pool)
        with Monitor.opened(root / "monitor.yaml") as monitor:
            assert monitor.advance() > (DAYS - 2) * 24
            assert not monitor.fault_totals
        told = [json.loads(line) for line in (root / "monitor" / "alerts.jsonl").open()]
        told = [alert for alert in told if alert["event"] in ("raised", "cleared")]
        for alert in told:
            alert["delay_h"] = (datetime.fromisoformat(alert["time"]).timestamp() - plan.begins) / 3600
        return told

    return run


@pytest.mark.slow
@pytest.mark.parametrize("event", DELAYS)
def test_a_planted_event_is_seen_within_the_stated_delay_and_nothing_before_it(alerts, event):
    told = alerts(event)
    detector, hours = DELAYS[event]
    assert min(alert["delay_h"] for alert in told) > 0
    first = next(alert for alert in told if alert["id"] == detector)
    assert first["event"] == "raised"
    assert first["delay_h"] <= hours


@pytest.mark.slow
def test_a_quiet_stream_of_equal_length_raises_nothing(alerts):
    assert alerts("none") == []


def test_the_scanners_change_moves_embeddings_and_nothing_else(pool):
    assert not np.allclose(pool.embeddings, pool.changed, atol=0.1)
    quiet = list(stream_records(Plan(3, 50, 2), pool))
    changed = list(stream_records(Plan(3, 50, 2, "scanner", on_day=1), pool))
    assert len(quiet) == len(changed)
    for one, other in zip(quiet, changed, strict=True):
        differing = {key for key in one if one[key] != other[key]}
        assert differing <= {"embedding"}


def test_embeddings_are_what_the_classifier_reads(tmp_path):
    from PIL import Image

    from harness.candidates.vit import VitClassifier
    from harness.pixels import read_pixels

    model = VitClassifier(data_path("checkpoints") / "phantom-vit")
    pictures = [tmp_path / "0.png", tmp_path / "1.png"]
    for place, path in enumerate(pictures):
        grey = np.random.default_rng(place).integers(0, 255, (128, 128)).astype(np.uint8)
        Image.fromarray(grey).save(path)
    vectors = model.embeddings([read_pixels(path, 128) for path in pictures])
    head = model._model.classifier
    weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
    for path, vector in zip(pictures, vectors, strict=True):
        expected = 1 / (1 + np.exp(-(weight @ vector + bias)))
        assert list(model.probabilities(path).values()) == pytest.approx(expected, abs=1e-5)


def test_a_stream_is_a_function_of_its_plan(pool):
    plan = Plan(2, 60, 3, "surge", on_day=1)
    assert list(stream_records(plan, pool)) == list(stream_records(plan, pool))
    assert list(stream_records(plan, pool)) != list(stream_records(Plan(2, 60, 4, "surge", 1), pool))


def test_recall_falls_by_six_points_and_only_of_one_finding(pool):
    plan = Plan(80, 100, 1, "recall", on_day=0)
    found = {}
    for record in stream_records(plan, pool):
        for name in record.get("reference", []):
            found.setdefault(name, []).append(name in record["findings"])
    fallen = found.pop(Finding.PLEURAL_EFFUSION)
    assert np.mean(fallen) == pytest.approx(0.92, abs=0.03)
    found.pop(Finding.NO_FINDING)
    assert np.mean([seen for one in found.values() for seen in one]) == pytest.approx(0.98, abs=0.01)


def test_a_simulated_stream_is_of_the_past_and_the_example_is_live(tmp_path, pool):
    write_stream(tmp_path / "x", Plan(1, 20, 3, reference_days=1), lambda: pool)
    assert read_config(tmp_path / "x" / "monitor.yaml").stream.stale_after_h is None
    assert read_config(data_path("suites") / "monitoring" / "production.yaml").stream.stale_after_h == 3


def test_numbers_that_make_no_sense_and_folders_that_exist_are_refused(tmp_path, pool):
    assert set(EVENTS) == {"none", *DELAYS}
    with pytest.raises(HarnessError, match="days >= 1"):
        write_stream(tmp_path / "x", Plan(3, 50, 1, "surge"), lambda: pool)
    with pytest.raises(HarnessError, match="exists already"):
        write_stream(tmp_path, Plan(3, 50, 1), lambda: pool)
