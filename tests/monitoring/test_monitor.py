"""The monitor as a whole: bad streams, crashes at every step, kill -9, damage."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from harness.errors import HarnessError, LedgerError
from harness.monitoring import Monitor
from harness.monitoring.judge import Judge
from harness.monitoring.page import render_page
from production import crashes_at_entries, entries, folder, lines, reading, report, steady


def advance(path):
    with Monitor.opened(path) as monitor:
        return monitor.advance()


@pytest.fixture(scope="module")
def messy():
    """A stream with every fault there is, as lines."""
    records = [json.dumps(record) for record in steady(30, seed=1)]
    rng = random.Random(4)
    for _ in range(12):
        records.insert(rng.randrange(len(records)), rng.choice(records))  # duplicates, some of them late
    for _ in range(12):
        place = rng.randrange(len(records) - 60)
        records.insert(place + rng.randrange(5, 60), records.pop(place))  # clocks that go back, and late
    for number, time_ in enumerate(("2027-05-05T00:00:00Z", "2019-01-01T00:00:00+02:00")):
        mad = json.dumps(report(f"mad{number}", 0) | {"time": time_})
        records.insert(100 + 40 * number, mad)
    records.insert(50, "{broken")
    records.insert(60, json.dumps(report("nan", 3.5, embedding=[float("nan")] * 4)))
    records.insert(70, json.dumps(report("drifted", 4.5, confidence_v2=0.9)))
    return records


def log_of(tmp_path, messy):
    root = tmp_path / "whole"
    path = folder(root, [])
    (root / "production" / "a.jsonl").write_text("\n".join(messy) + "\n")
    judged = advance(path)
    return judged, entries(root)


def test_every_record_of_a_messy_stream_is_judged_once_or_counted(tmp_path, messy):
    _, found = log_of(tmp_path, messy)
    faults = Counter()
    for entry in found:
        faults.update({kind: told["count"] for kind, told in entry["faults"].items()})
    assert faults["not JSON"] == 1
    assert faults["ahead of the stream's time"] == 1
    assert faults["embedding holds NaN or infinity"] == 1
    assert faults["unknown field confidence_v2"] == 1
    assert faults["late"] >= 1
    assert faults["clock went back"] >= 1
    assert faults["duplicate"] >= 10
    with Monitor.opened(tmp_path / "whole" / "monitor.yaml") as monitor:
        assert monitor.advance() == 0
        faults.update(monitor.faults.counts)
        waiting = [
            record
            for window, records in monitor.windows.open.items()
            if window >= monitor.windows.next
            for record in records
        ]
    judged = sum(entry["counts"].get("reports", 0) + entry["counts"].get("readings", 0) for entry in found)
    assert judged + len(waiting) + faults["duplicate"] + faults["not JSON"] == len(messy)
    assert [entry["window"] for entry in found] == list(range(found[0]["window"], found[-1]["window"] + 1))


def test_stopping_anywhere_gives_the_same_windows(tmp_path, messy):
    """The stream grows by pieces, lines cut in the middle; each pass is a new process's worth of state."""
    judged, whole = log_of(tmp_path, messy)
    text = "\n".join(messy) + "\n"
    root = tmp_path / "pieces"
    path = folder(root, [])
    rng = random.Random(7)
    cuts = [*sorted(rng.sample(range(len(text)), 12)), len(text)]
    total = 0
    for cut in cuts:
        (root / "production" / "a.jsonl").write_text(text[:cut])
        total += advance(path)
    assert total == judged
    assert entries(root) == whole


@pytest.mark.parametrize("where", ["before the entry", "half an entry", "after the entry"])
def test_a_crash_at_any_step_loses_and_repeats_nothing(tmp_path, messy, monkeypatch, where):
    _, whole = log_of(tmp_path, messy)
    root = tmp_path / "crash"
    path = folder(root, [])
    (root / "production" / "a.jsonl").write_text("\n".join(messy) + "\n")
    assert crashes_at_entries(monkeypatch, lambda: advance(path), (where,)) > 2
    assert entries(root) == whole
    shipped = [json.loads(line) for line in (root / "monitor" / "windows.jsonl").read_text().splitlines()]
    assert [window["start"] for window in shipped] == [entry["start"] for entry in whole]
    alerts = (root / "monitor" / "alerts.jsonl").read_text().splitlines()
    assert len(alerts) == sum(len(entry["alerts"]) for entry in whole)


def test_kill_minus_nine_loses_and_repeats_nothing(tmp_path, messy):
    _, whole = log_of(tmp_path, messy)
    root = tmp_path / "killed"
    path = folder(root, [])
    (root / "production" / "a.jsonl").write_text("\n".join(messy) + "\n")
    code = "import sys; from harness.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "monitor", "--config", str(path)]
    log, kills = root / "monitor" / "log.jsonl", 0
    for target in (2_000, 20_000, 50_000):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None and (not log.exists() or log.stat().st_size < target):
            time.sleep(0.001)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    advance(path)
    assert entries(root) == whole


def test_an_empty_window_is_judged_and_says_so(tmp_path):
    records = steady(3, seed=2) + steady(3, seed=3, prefix="t", first=5)
    path = folder(tmp_path, records)
    advance(path)
    empty = entries(tmp_path)[3]
    assert empty["counts"] == {}
    assert {empty["looks"][name]["state"] for name in ("p99", "hallucination")} == {"NOT EVALUATED", "QUIET"}
    assert empty["looks"]["p99"]["reason"] == "no trials"
    assert empty["service"]["latency"]["p99"] == [None, None, None]


def test_nothing_to_read_is_not_evaluated(tmp_path):
    path = folder(tmp_path, [])
    with Monitor.opened(path) as monitor:
        assert monitor.advance() == 0
        assert str(monitor.judge.state()) == "NOT EVALUATED"


def test_a_silent_stream_is_not_evaluated(tmp_path):
    path = folder(tmp_path, steady(30), {"stream": {"path": "production", "stale_after_h": 2.0}})
    with Monitor.opened(path) as monitor:
        monitor.advance()
        assert str(monitor.judge.state()) == "QUIET"
        assert str(monitor.state()) == "NOT EVALUATED"
        assert "The stream is silent" in render_page(monitor)


def test_embeddings_of_nan_make_drift_not_evaluated_and_the_state_too(tmp_path):
    path = folder(tmp_path, steady(14, embedding=[float("nan")] * 4))
    with Monitor.opened(path) as monitor:
        monitor.advance()
        assert monitor.judge.looks["data-drift"]["state"] == "NOT EVALUATED"
        assert monitor.judge.looks["hallucination"]["state"] == "QUIET"
        assert str(monitor.judge.state()) == "NOT EVALUATED"


def test_a_field_that_disappears_makes_its_rule_not_evaluated(tmp_path):
    records = steady(8) + [
        {key: value for key, value in record.items() if key != "detected"}
        for record in steady(14, seed=5, prefix="t", first=8)
    ]
    path = folder(tmp_path, records)
    with Monitor.opened(path) as monitor:
        monitor.advance()
        found = monitor.judge.looks["hallucination"]
        assert found["state"] == "NOT EVALUATED"
        assert "lack findings or detected" in found["reason"]


def test_no_study_and_no_text_is_in_the_folder(tmp_path):
    records = steady(14, prefix="PATIENT-SMITH-")
    records[20]["findings"] = ["Pneumothorax in Mr. Smith"]
    path = folder(tmp_path, records)
    with Monitor.opened(path) as monitor:
        monitor.advance()
    for file in (tmp_path / "monitor").iterdir():
        assert b"SMITH" not in file.read_bytes().upper()


def test_a_damaged_log_is_refused(tmp_path):
    path = folder(tmp_path, steady(14))
    advance(path)
    log = tmp_path / "monitor" / "log.jsonl"
    log.write_text(log.read_text().replace('"reports":12', '"reports":11', 1))
    with pytest.raises(LedgerError, match="was changed after it was written"):
        advance(path)


def test_two_monitors_on_one_folder_are_refused(tmp_path):
    path = folder(tmp_path, steady(3))
    with Monitor.opened(path), pytest.raises(LedgerError, match="another monitor is running"):
        advance(path)


def test_windows_of_another_length_are_refused_and_other_limits_are_taken_up(tmp_path):
    path = folder(tmp_path, steady(14))
    advance(path)
    text = path.read_text()
    path.write_text(text.replace("window_h: 1", "window_h: 0.5"))
    with pytest.raises(HarnessError, match="was begun with windows of 1 h"):
        advance(path)
    path.write_text(text.replace("above: 0.05", "above: 0.04"))
    advance(path)
    events = [json.loads(line)["event"] for line in (tmp_path / "monitor" / "log.jsonl").open()]
    assert events.count("configured") == 2


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ([], "holds no report"),
        ([reading("a", 0)], "holds no report"),
        ([report("a", 0), report("a", 0)], "most often: duplicate"),
        ([report("a", 0, embedding=[1.0]), report("b", 0, embedding=[1.0, 2.0])], "different lengths"),
        ([report("a", 0, latency_s="x")], "latency_s is no number"),
    ],
)
def test_a_faulty_reference_is_refused(tmp_path, reference, told):
    path = folder(tmp_path, [], reference=reference)
    with pytest.raises(HarnessError, match=told):
        advance(path)


def test_an_alert_is_raised_once_and_cleared_once(tmp_path):
    slow = [record | {"latency_s": 90.0} if "latency_s" in record else record
            for record in steady(3, seed=6, prefix="t", first=6)]  # fmt: skip
    records = steady(6) + slow + steady(60, seed=7, prefix="u", first=9)
    path = folder(tmp_path, records)
    advance(path)
    alerts = [json.loads(line) for line in (tmp_path / "monitor" / "alerts.jsonl").open()]
    assert [(alert["id"], alert["event"]) for alert in alerts] == [("p99", "raised"), ("p99", "cleared")]
    assert alerts[0]["time"] == "2026-01-01T07:00:00Z"
    # 299 reports without a slow one are needed to show P99 kept: 25 windows of 12.
    assert alerts[1]["time"] == "2026-01-02T10:00:00Z"


def test_recall_gives_back_what_judge_remembered(tmp_path):
    path = folder(tmp_path, steady(40))
    with Monitor.opened(path) as monitor:
        monitor.advance()
        again = Judge(monitor.config, monitor.judge.reference)
        for entry in monitor.journal.windows():
            again.recall(entry)
        assert again.looks == monitor.judge.looks
        assert again.alarms == monitor.judge.alarms
        assert all(again._sums[key].sum == value.sum for key, value in monitor.judge._sums.items())


def test_the_stream_may_be_a_folder_that_gets_new_files(tmp_path):
    records = steady(20)
    path = folder(tmp_path, records[:100])
    first = advance(path)
    (tmp_path / "production" / "b.jsonl").write_text(lines(records[100:]))
    second = advance(path)
    other = tmp_path / "one"
    whole = advance(folder(other, records))
    assert first + second == whole
    strip = [{key: value for key, value in entry.items() if key != "resume"} for entry in entries(tmp_path)]
    assert [entry["counts"] for entry in strip] == [entry["counts"] for entry in entries(other)]
