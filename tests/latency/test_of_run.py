import math

import pyarrow as pa
import pytest

from harness.latency import measure_latency

TARGET = {"device": "Server", "processor": "CPU X"}


def measure(times, failed=0, measured_on="CPU X", **options):
    names = [f"s{k:05d}" for k in range(len(times) + failed)]
    timings = pa.table({"study_id": names, "latency_s": [*times, *([0.001] * failed)]})
    statuses = ["ok"] * len(times) + ["raised"] * failed
    return measure_latency(timings, pa.table({"study_id": names, "status": statuses}), measured_on, **options)


def test_quantiles_and_curve():
    found = measure([k / 1000 for k in range(1, 1001)])
    assert found["quantiles"]["p50"]["estimate"] == 0.5
    assert found["quantiles"]["p99"]["low"] < 0.99 < found["quantiles"]["p99"]["high"]
    assert found["curve"][0] == [0.001, 0.001]
    assert found["curve"][-1] == [1.0, 1.0]
    shares = [share for _, share in found["curve"]]
    assert shares == sorted(shares)


def test_studies_without_a_report_are_infinitely_late():
    found = measure([1.0] * 90, failed=10)
    assert found["failed"] == 10
    assert found["quantiles"]["p99"]["estimate"] is None
    assert found["curve"][-1][1] == 0.9


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        ({}, "NOT EVALUATED", "no target device"),
        ({**TARGET}, "NOT EVALUATED", "no limit"),
        ({**TARGET, "p99_below_s": 2.0}, "PASS", "is below 2 s"),
        ({**TARGET, "p99_below_s": 0.5}, "FAIL", "is not below 0.5 s"),
        (
            {**TARGET, "p99_below_s": 2.0, "measured_on": "CPU Y"},
            "NOT EVALUATED",
            "those of CPU Y, not of Server",
        ),
    ],
)
def test_only_the_target_device_decides(options, status, told):
    found = measure([1.0] * 500, **options)
    assert found["status"] == status
    assert told in found["reason"]


def test_too_few_times_decide_nothing_and_failures_fail():
    few = measure([1.0] * 50, **TARGET, p99_below_s=2.0)
    assert few["status"] == "NOT EVALUATED"
    assert "299" in few["reason"]
    assert measure([1.0] * 900, failed=100, **TARGET, p99_below_s=2.0)["status"] == "FAIL"


def test_no_report_at_all_has_no_curve():
    found = measure([], failed=5)
    assert found["curve"] == []
    assert all(math.isfinite(value) for value in (found["n"], found["failed"]))
