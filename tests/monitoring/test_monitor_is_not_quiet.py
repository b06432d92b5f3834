"""What must never look like an all-clear: streams that are late, lost, broken, past, or gone."""

import json
from datetime import datetime

import pytest

from harness.cli import main
from harness.errors import HarnessError
from harness.monitoring import Monitor
from harness.monitoring.config import read_config
from production import CONFIG, START, crashes_at_entries, entries, folder, lines, report, steady

RULES = [
    *CONFIG["rules"],
    {"id": "failures", "measure": "failure_rate", "above": 0.02, "over_h": 24, "action": "page"},
    {"id": "rejections", "measure": "rejection_rate", "above": 0.1, "over_h": 24, "action": "review"},
]
LIVE = {"stream": {"path": "production", "lateness_min": 10}}


def at(record):
    return datetime.fromisoformat(record["time"]).timestamp()


def told(root):
    alerts = [json.loads(line) for line in (root / "monitor" / "alerts.jsonl").open()]
    return [(alert["id"], alert["event"]) for alert in alerts]


def advance(path):
    with Monitor.opened(path) as monitor:
        monitor.advance()
        return monitor


def two_nodes(hours, slow):
    """Two nodes' records; the second is slow for some hours."""
    one, other = steady(hours, prefix="a"), steady(hours, prefix="b", seed=4)
    for record in other:
        if record.get("kind") != "reading" and slow[0] <= (at(record) - START) / 3600 < slow[1]:
            record["latency_s"] = 120.0
    return one, other


def without_places(found):
    """Entries without what depends on which file a record is in."""
    return [
        {key: value for key, value in entry.items() if key not in ("resume", "faults", "seen")}
        | {"looks": {name: look | {"moved": None} for name, look in entry["looks"].items()}}
        for entry in found
    ]


def test_two_nodes_files_are_judged_as_one_stream(tmp_path):
    one, other = two_nodes(40, (24, 30))
    path = folder(tmp_path / "two", one)
    (tmp_path / "two" / "production" / "b.jsonl").write_text(lines(other))
    advance(path)
    merged = sorted(one + other, key=lambda record: record["time"])
    advance(folder(tmp_path / "one", merged))
    assert ("p99", "raised") in told(tmp_path / "two")
    assert told(tmp_path / "two") == told(tmp_path / "one")
    found = entries(tmp_path / "two")
    assert without_places(found) == without_places(entries(tmp_path / "one"))
    assert not any("late" in entry["faults"] for entry in found)


def test_two_nodes_files_that_grew_during_a_pause_are_judged_as_one_stream(tmp_path):
    one, other = two_nodes(40, (24, 30))
    path = folder(tmp_path / "two", [])
    for hour in (4, 31, 40):
        for name, records in (("a", one), ("b", other)):
            before = [record for record in records if at(record) < START + 3600 * hour]
            (tmp_path / "two" / "production" / f"{name}.jsonl").write_text(lines(before))
        advance(path)
    advance(folder(tmp_path / "one", sorted(one + other, key=at)))
    assert ("p99", "raised") in told(tmp_path / "two")
    assert without_places(entries(tmp_path / "two")) == without_places(entries(tmp_path / "one"))


def test_a_crash_over_two_nodes_files_loses_and_repeats_nothing(tmp_path, monkeypatch):
    one, other = two_nodes(26, (12, 15))
    one.insert(80, report("mad", 9000))
    other[90] = other[90] | {"time": "no time"}
    other.insert(200, other[100] | {"findings": ["Fracture"]})

    def made(root):
        path = folder(root, one)
        (root / "production" / "b.jsonl").write_text(lines(other))
        return path

    advance(made(tmp_path / "whole"))
    path = made(tmp_path / "crash")
    places = ("before the entry", "after the entry")
    assert crashes_at_entries(monkeypatch, lambda: advance(path), places) > 3
    whole = entries(tmp_path / "whole")
    assert entries(tmp_path / "crash") == whole
    assert sum(entry["counts"].get("unplaced", 0) for entry in whole) == 1
    assert sum(entry["counts"].get("contradicted", 0) for entry in whole) == 1
    assert sum(entry["counts"].get("ahead", 0) for entry in whole) == 1


def test_a_node_whose_file_comes_when_its_hours_are_judged_is_not_quiet(tmp_path):
    one, other = two_nodes(40, (24, 30))
    path = folder(tmp_path, one)
    advance(path)
    (tmp_path / "production" / "b.jsonl").write_text(lines(other))
    monitor = advance(path)
    assert "came when their window was judged" in monitor.faulty()
    assert str(monitor.state()) != "QUIET"
    with (tmp_path / "production" / "a.jsonl").open("a") as stream:
        stream.write(lines(steady(3, prefix="c", first=40)))
    monitor = advance(path)
    assert monitor.judge.looks["stream"]["state"] == "NOT EVALUATED"
    assert ("stream", "not evaluated") in told(tmp_path)


def spoiled(records, every, change):
    """The same records, with every so manieth report changed."""
    found, number = [], 0
    for record in records:
        if record.get("kind") != "reading":
            number += 1
            if number % every == 0:
                record = change(record)
        found.append(record)
    return found


def zoneless(record):
    return record | {"time": record["time"].replace("+00:00", ""), "latency_s": None, "findings": None}


def nameless(record):
    return record | {"study_id": "", "latency_s": None}


def unlike(record):
    return record | {"kind": "autopsy"}


@pytest.mark.parametrize("change", [zoneless, nameless, unlike])
def test_failed_reports_that_cannot_be_placed_are_not_an_all_clear(tmp_path, capsys, change):
    path = folder(tmp_path, spoiled(steady(30, per_hour=24), 2, change), {"rules": RULES})
    assert main(["monitor", "--config", str(path)]) == 3
    assert "cannot be placed" in " ".join(capsys.readouterr().out.split())
    state = json.loads((tmp_path / "monitor" / "state.json").read_text())
    assert {"stream", "failures", "p99", "data-drift", "label-drift"} <= set(state["not_evaluated"])


def test_lines_that_are_not_json_are_counted_by_window_and_after_the_last_record_too(tmp_path):
    text = lines(steady(14))
    path = folder(tmp_path, [])
    (tmp_path / "production" / "a.jsonl").write_text(text + "{broken\n" * 40)
    monitor = advance(path)
    assert str(monitor.judge.state()) == "QUIET"
    assert str(monitor.state()) == "NOT EVALUATED"
    assert "40 cannot be placed" in monitor.faulty()


def test_a_single_unusable_record_is_no_fault_of_the_stream(tmp_path):
    records = steady(20)
    records[100] = zoneless(records[100])
    monitor = advance(folder(tmp_path, records))
    assert monitor.judge.looks["stream"]["state"] == "QUIET"
    assert told(tmp_path) == []


def test_reports_that_failed_and_left_their_fields_out_are_not_an_all_clear(tmp_path):
    def bare(record):
        return {key: record[key] for key in ("study_id", "time", "embedding")}

    path = folder(tmp_path, spoiled(steady(30, per_hour=24), 21, bare), {"rules": RULES})
    monitor = advance(path)
    assert monitor.judge.looks["failures"]["state"] == "NOT EVALUATED"
    assert str(monitor.state()) == "NOT EVALUATED"


def test_half_the_embeddings_broken_is_not_an_all_clear(tmp_path):
    broken = spoiled(steady(30, per_hour=24), 2, lambda record: record | {"embedding": [float("nan")] * 4})
    monitor = advance(folder(tmp_path, broken))
    assert monitor.judge.looks["data-drift"]["state"] == "NOT EVALUATED"
    assert "embeddings are broken" in monitor.judge.looks["data-drift"]["reason"]
    assert str(monitor.state()) == "NOT EVALUATED"


def test_embeddings_that_break_are_told_once_and_so_is_their_return(tmp_path):
    broken = steady(12, prefix="t", seed=2, first=12, embedding=None)
    whole = steady(12, prefix="u", seed=3, first=24)
    advance(folder(tmp_path, steady(12) + broken + whole))
    assert [event for name, event in told(tmp_path) if name == "data-drift"] == ["not evaluated", "evaluated"]


def test_rejections_that_come_later_are_not_dropped_in_silence(tmp_path):
    first = steady(30)
    later = [
        record | {"rejected": True}
        for record in first
        if record.get("kind") != "reading" and START + 3600 < at(record) < START + 3600 * 26
    ]
    records = [(at(record), record) for record in first] + [(at(record) + 7200, record) for record in later]
    in_order = [record for _, record in sorted(records, key=lambda one: one[0])]
    monitor = advance(folder(tmp_path, in_order, {"rules": RULES}))
    assert monitor.judge.looks["rejections"]["state"] == "NOT EVALUATED"
    assert str(monitor.state()) == "NOT EVALUATED"
    assert ("stream", "not evaluated") in told(tmp_path)
    assert monitor.fault_totals["says otherwise than an earlier record of its study"] > 100


def test_silence_is_told_by_default_once_and_null_must_be_written_out(tmp_path):
    path = folder(tmp_path, steady(30), LIVE)
    assert read_config(path).stream.stale_after_h == 3
    assert main(["monitor", "--config", str(path)]) == 3
    assert main(["monitor", "--config", str(path)]) == 3
    assert told(tmp_path) == [("silence", "not evaluated")]
    state = json.loads((tmp_path / "monitor" / "state.json").read_text())
    assert (state["state"], state["stale"]) == ("NOT EVALUATED", True)
    assert "the stream is silent: its time is 2026-01-02T" in state["silence"]
    (tmp_path / "monitor" / "alerts.jsonl").unlink()  # is made again from the log
    path.write_text(path.read_text().replace("lateness_min: 10", "lateness_min: 10\n  stale_after_h: null"))
    assert main(["monitor", "--config", str(path)]) == 0
    assert told(tmp_path) == [("silence", "not evaluated"), ("silence", "evaluated")]


def test_a_stream_that_never_began_and_one_of_the_future_are_not_quiet(tmp_path, monkeypatch):
    import harness.monitoring.monitor as module

    path = folder(tmp_path / "none", [], LIVE)
    advance(path)
    with Monitor.opened(path) as monitor:
        monitor.begun = "2026-01-01T00:00:00+00:00"
        assert "never had a record" in monitor.silence()
    ahead = folder(tmp_path / "ahead", steady(30, first=24 * 36500), LIVE)
    assert "far ahead" in advance(ahead).silence()
    assert module.UNKNOWN in (tmp_path / "ahead" / "monitor" / "alerts.jsonl").read_text()


def gone(stream):
    stream.rename(stream.with_name("elsewhere"))


def cut(stream):
    file = stream / "a.jsonl"
    file.write_text(file.read_text()[:200])


@pytest.mark.parametrize(("lose", "why"), [(gone, "no such file or folder"), (cut, "was cut")])
def test_a_stream_that_is_lost_never_leaves_the_last_quiet_state(tmp_path, capsys, lose, why):
    path = folder(tmp_path, steady(30))
    assert main(["monitor", "--config", str(path)]) == 0
    whole = (tmp_path / "production" / "a.jsonl").read_text()
    lose(tmp_path / "production")
    assert main(["monitor", "--config", str(path)]) == 3
    assert why in " ".join(capsys.readouterr().out.split())
    state = json.loads((tmp_path / "monitor" / "state.json").read_text())
    assert (state["state"], state["stale"]) == ("NOT EVALUATED", True)
    assert why in state["silence"]
    assert "harness_monitor_silent 1.0" in (tmp_path / "monitor" / "metrics.prom").read_text()
    assert "Silence is no all-clear" in (tmp_path / "monitor" / "status.html").read_text()
    (tmp_path / "production").mkdir(exist_ok=True)
    (tmp_path / "production" / "a.jsonl").write_text(whole)
    assert main(["monitor", "--config", str(path)]) == 0
    assert told(tmp_path) == [("silence", "not evaluated"), ("silence", "evaluated")]


@pytest.mark.parametrize("lose", [gone, cut])
def test_following_goes_on_where_the_stream_is_lost_and_comes_back(tmp_path, monkeypatch, lose):
    path = folder(tmp_path, steady(30))
    stream, states = tmp_path / "production", []
    whole = (stream / "a.jsonl").read_text()

    def sleep(_):
        states.append(json.loads((tmp_path / "monitor" / "state.json").read_text())["state"])
        if len(states) == 1:
            lose(stream)
        elif len(states) == 3:
            stream.mkdir(exist_ok=True)
            (stream / "a.jsonl").write_text(whole + lines(steady(3, prefix="t", first=30)))
        elif len(states) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    main(["monitor", "--config", str(path), "--follow", "1"])
    assert states == ["QUIET", "NOT EVALUATED", "NOT EVALUATED", "QUIET"]
    assert told(tmp_path) == [("silence", "not evaluated"), ("silence", "evaluated")]
    starts = [entry["start"] for entry in entries(tmp_path)]
    assert starts == sorted(set(starts))
    assert len(starts) == 32


def test_a_file_of_open_windows_that_was_removed_is_asked_for(tmp_path):
    one, other = two_nodes(20, (5, 6))
    path = folder(tmp_path, one)
    (tmp_path / "production" / "b.jsonl").write_text(lines(other))
    advance(path)
    (tmp_path / "production" / "b.jsonl").rename(tmp_path / "b.jsonl")
    with pytest.raises(
        HarnessError, match=r"b\.jsonl: gone, with records of windows that are not yet judged"
    ):
        advance(path)
    (tmp_path / "b.jsonl").rename(tmp_path / "production" / "b.jsonl")
    advance(path)


def test_no_rule_may_take_the_streams_own_id(tmp_path):
    rule = RULES[0] | {"id": "stream"}
    with pytest.raises(HarnessError, match="stream stands twice"):
        read_config(folder(tmp_path, [], {"rules": [rule]}))
