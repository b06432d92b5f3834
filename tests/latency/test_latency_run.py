import json
import math
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import CandidateError, CohortError, LedgerError
from harness.gate import judge, write_summaries
from harness.latency.decide import find
from harness.latency.evidence import read_latency
from harness.latency.run import Instruments, LatencyRequest, execute
from harness.latency.samples import Asked, StageTimes, Times
from harness.latency.schedule import Stage, gaps
from harness.latency.suite import LatencySuite
from harness.ledger import Ledger
from harness.outcome import Status
from latency_bench import (
    A10G,
    H100,
    FakeClock,
    FakeProbe,
    FakeServer,
    Nothing,
    Simulated,
    edited_log,
    stage,
    statuses,
    suite_of,
    timed,
)  # fmt: skip

OPEN = [{"load": 0.3, "studies": 1500}, {"load": 0.6, "studies": 2000}, {"load": 0.8, "studies": 4000}]


def waits(ledger, name):
    """Seconds each study of a stage waited, in the order of arrival."""
    entries = [entry for entry in ledger.log.entries() if entry["event"] == "times"]
    return np.array(
        [item["began_s"] - item["due_s"] for e in entries if e["stage"] == name for item in e["records"]]
    )


def lindley(service, between):
    """Waits of a single queue: W[k + 1] = max(0, W[k] + S[k] - A[k + 1]) (Lindley, 1952)."""
    found = [0.0]
    for worked, gap in zip(service[:-1], between[1:], strict=True):
        found.append(max(0.0, found[-1] + worked - gap))
    return np.array(found)


def test_waits_with_constant_service_are_those_of_an_m_d_1_queue(tmp_path):
    """Pollaczek-Khinchine: mean wait = load * service / (2 (1 - load)); and each wait by Lindley."""
    service = 0.02
    ledger = timed(tmp_path, service, suite_of(closed=10, steps=OPEN))
    for place, load in ((1, 0.3), (2, 0.6), (3, 0.8)):
        found = waits(ledger, f"open-{place}")
        assert found.mean() == pytest.approx(load * service / (2 * (1 - load)), rel=0.3), (
            load
        )  # three standard errors
        between = gaps(f"open-{place}", len(found), load * 3600 / service, seed=7)
        assert np.allclose(found, lindley([service] * len(found), between), atol=1e-4)
        assert stage(ledger, f"open-{place}")["load"] == pytest.approx(load)


def test_waits_with_exponential_service_are_those_of_an_m_m_1_queue(tmp_path):
    """P(wait > t) = load * exp(-(1 - load) t / service); a third of all find the device idle at 2/3."""
    draws = np.random.default_rng(3).exponential(0.01, 5000)
    steps = [{"rate_per_hour": 240_000, "studies": 4000}]
    ledger = timed(tmp_path, draws, suite_of(closed=400, steps=steps))
    found, load = waits(ledger, "open-1"), 2 / 3
    service = draws[3 + 400 :][: len(found)]  # after warm-up and closed loop
    assert np.allclose(found, lindley(service, gaps("open-1", len(found), 240_000, seed=7)), atol=1e-4)
    for seconds in (1e-5, 0.01, 0.03):
        wanted = load * math.exp(-(1 - load) * seconds / 0.01)
        assert (found > seconds).mean() == pytest.approx(wanted, abs=0.06)


def test_a_stall_is_seen_by_every_study_that_should_have_arrived(tmp_path):
    """A closed loop would tell of one slow study; arrivals go on while it lasts."""
    rate = 3600.0  # one a second
    steps = [{"rate_per_hour": rate, "studies": 200}]
    stalled = 3 + 20 + 50
    ledger = timed(tmp_path, lambda number: 10.0 if number == stalled else 0.05, suite_of(20, steps))
    entries = [entry for entry in ledger.log.entries() if entry["event"] == "times"]
    records = [item for e in entries if e["stage"] == "open-1" for item in e["records"]]
    slow = records[50]
    assert slow["ended_s"] - slow["began_s"] == pytest.approx(10.0)
    behind = [item for item in records if slow["began_s"] < item["due_s"] < slow["ended_s"]]
    assert len(behind) >= 5
    assert all(item["began_s"] >= slow["ended_s"] - 1e-6 for item in behind)
    assert all(item["ended_s"] - item["due_s"] > slow["ended_s"] - item["due_s"] for item in behind)
    late = sum(item["ended_s"] - item["due_s"] > 1.0 for item in records)
    assert late >= 0.8 * len(behind)
    assert stage(ledger, "open-1")["queue_most"] >= 5


def test_it_stops_at_the_step_that_saturates_and_says_so(tmp_path):
    steps = [{"load": load, "studies": 60} for load in (1.5, 0.5, 1.1)]
    ledger = timed(tmp_path, 1.0, suite_of(20, steps))
    results = ledger.results()
    assert [item["stage"] for item in results["stages"]] == ["closed", "open-2", "open-3"]
    assert results["saturated_at_per_hour"] == pytest.approx(1.1 * 3600)
    assert results["skipped"] == ["1.5 of capacity"]
    assert results["capacity_per_hour"] == pytest.approx(3600)
    waited = waits(ledger, "open-3")
    assert waited[-20:].mean() > waited[:20].mean()


def test_a_rate_beyond_saturation_is_not_reached_and_fails(tmp_path):
    text = suite_of(
        320,
        [{"load": 1.1, "studies": 30}, {"rate_per_hour": 500, "studies": 320}],
        [{"id": "p50", "value": "p50", "at": 500, "below_s": 1e6}],
    )
    ledger = timed(tmp_path, 10.0, text)
    (decision,) = ledger.results()["verdict"]["decisions"]
    assert decision["status"] == "FAIL"
    assert "saturated" in decision["reason"]


def test_all_in_order_passes_on_the_target_alone(tmp_path):
    steps = [{"rate_per_hour": 200, "studies": 420}]
    criteria = [
        {"id": "p99-open", "value": "p99", "at": 200, "below_s": 15},
        {"id": "throughput", "value": "throughput", "at_least_per_hour": 200},
    ]
    text = suite_of(320, steps, criteria)
    assert statuses(timed(tmp_path / "a", 2.0, text)) == {"p99-open": "PASS", "throughput": "PASS"}
    other = timed(tmp_path / "b", 2.0, text, device=H100)
    assert set(statuses(other).values()) == {"NOT EVALUATED"}
    results, verdict = judge(other.root)
    assert verdict.status.exit_code == 3
    assert results["device"]["name"] == H100.name
    assert all(item.estimate is None and item.bound is None for item in verdict.decisions)
    assert all(H100.name in item.reason for item in verdict.decisions)
    assert results["stages"][0]["quantiles"]["p50"]["estimate"] == pytest.approx(2.0)


@pytest.mark.parametrize(("studies", "status"), [(298, "NOT EVALUATED"), (299, "PASS")])
def test_p99_takes_299_studies(tmp_path, studies, status):
    found = statuses(timed(tmp_path, 2.0, suite_of(studies)))
    assert found["p99"] == found["maximum"] == status
    assert found["p50"] == "PASS"


def test_the_same_studies_again_are_no_more_studies(tmp_path):
    ledger = timed(tmp_path, 2.0, suite_of(400), studies=100)
    assert statuses(ledger)["p99"] == "NOT EVALUATED"
    assert stage(ledger, "closed")["worth"] == 97  # three have warmed it up
    assert statuses(ledger)["p50"] == "NOT EVALUATED"  # the others may be remembered answers


def test_studies_that_waited_behind_one_another_count_as_one(tmp_path):
    steps = [{"rate_per_hour": 900, "studies": 320}]
    text = suite_of(20, steps, [{"id": "p99", "value": "p99", "at": 900, "below_s": 60}])
    ledger = timed(tmp_path, 2.0, text)
    assert stage(ledger, "open-1")["worth"] < 160  # a load of a half makes them worth a quarter
    assert statuses(ledger)["p99"] == "NOT EVALUATED"


@pytest.mark.parametrize("fault", [Status.RAISED, Status.EMPTY, Status.INVALID, Status.MISSING, Status.DIED])
def test_a_study_without_a_report_is_later_than_any_limit(tmp_path, fault):
    def service(number):
        return (0.01, fault) if number == 100 else 1.0

    criteria = [
        {"id": "maximum", "value": "maximum", "below_s": 1e6},
        {"id": "p50", "value": "p50", "below_s": 5},
    ]
    ledger = timed(tmp_path, service, suite_of(300, criteria=criteria))
    assert statuses(ledger) == {"maximum": "FAIL", "p50": "PASS"}
    found = stage(ledger, "closed")
    assert (found["studies"], found["failed"]) == (300, 1)
    assert found["statuses"][fault.value] == 1


def test_a_timeout_counts_as_no_report_and_its_restart_as_time(tmp_path):
    clock = FakeClock()
    server = FakeServer(clock, lambda number: 1e9 if number == 10 else 1.0, load_s=40.0)
    ledger = timed(tmp_path, None, suite_of(300), clock=clock, server=server)
    assert server.starts == 2
    assert statuses(ledger)["maximum"] == "FAIL"
    assert stage(ledger, "closed")["statuses"] == {"ok": 299, "late": 1}
    assert ledger.results()["capacity_per_hour"] == pytest.approx(3600 * 300 / (299 + 30 + 40))


def test_failures_make_throughput_worse_not_better(tmp_path):
    """A candidate that gives up at once is fast and useless."""
    ledger = timed(tmp_path, lambda number: (0.01, Status.RAISED), suite_of(300))
    assert statuses(ledger) == dict.fromkeys(("p50", "p99", "maximum", "throughput"), "FAIL")


def test_warm_up_is_logged_and_not_counted(tmp_path):
    ledger = timed(tmp_path, lambda number: 20.0 if number < 3 else 1.0, suite_of(300))
    results = ledger.results()
    assert [step["seconds"] for step in results["cold_start"]["warm_up"]] == [20.0, 20.0, 20.0]
    assert results["cold_start"]["load_s"] == 2.0
    assert results["stages"][0]["slowest_s"] == pytest.approx(1.0)


def test_stages_ask_for_different_studies(tmp_path):
    clock = FakeClock()
    server = FakeServer(clock, lambda number: 1.0)
    text = suite_of(50, [{"load": 0.5, "studies": 60}])
    timed(tmp_path, None, text, clock=clock, server=server, studies=150)
    assert len(set(server.seen)) == len(server.seen) == 3 + 50 + 60


def test_phases_tokens_memory_and_cost(tmp_path):
    results = timed(tmp_path, 2.0, suite_of(300)).results()
    assert results["phases_s"]["decoding"]["mean"] == pytest.approx(1.0)
    assert results["phases_s"]["elsewhere"]["mean"] == pytest.approx(0.1)
    assert results["tokens"] == {"read": 100.0, "written": 50.0, "written_per_s": pytest.approx(50.0)}
    assert results["peaks_bytes"] == {"host_peak_bytes": 10**9, "gpu_used_bytes": 5 * 10**9}
    assert results["usd_per_study_at_capacity"] == pytest.approx(3.20 / 1800)


def test_a_wall_clock_that_is_set_is_told_and_changes_no_time(tmp_path):
    clock = FakeClock()

    def service(number):
        if number == 50:
            clock.offset += 3600
        return 1.0

    ledger = timed(tmp_path, service, suite_of(300), clock=clock)
    results = ledger.results()
    assert results["clock_jumps_s"] == [3600.0]
    assert results["stages"][0]["slowest_s"] == pytest.approx(1.0)
    assert statuses(ledger)["p99"] == "PASS"


def test_a_device_that_changes_during_the_run_decides_nothing(tmp_path):
    class Throttled(FakeProbe):
        looks = 0

        def device(self, pid, account):
            self.looks += 1
            return A10G if self.looks == 1 else replace(A10G, power_limit_w=150.0)

    clock = FakeClock()
    (tmp_path / "suite.yaml").write_text(suite_of(300))
    request = LatencyRequest(
        tmp_path / "suite.yaml", Nothing(400), "n:", Simulated(), "simulated", tmp_path / "run"
    )
    ledger = execute(request, instruments=Instruments(FakeServer(clock, lambda _: 1.0), clock, Throttled()))
    assert set(statuses(ledger).values()) == {"NOT EVALUATED"}
    assert "150 W" in ledger.results()["mismatches"][0]


def test_a_candidate_that_cannot_start_again_leaves_its_failure_in_the_log(tmp_path):
    class Broken(FakeServer):
        def start(self):
            super().start()
            if self.starts == 2:
                raise CandidateError("does not load")

    clock = FakeClock()

    def service(number):
        return (1.0, Status.DIED) if number == 10 else 1.0

    with pytest.raises(CandidateError, match="does not load"):
        timed(tmp_path, None, suite_of(300), clock=clock, server=Broken(clock, service))
    ledger = timed(tmp_path, 1.0, suite_of(300), clock=clock)
    assert stage(ledger, "closed")["statuses"] == {"ok": 299, "died": 1}
    assert statuses(ledger)["maximum"] == "FAIL"


# What a run leaves behind


def test_the_gate_derives_everything_again_and_writes_for_ci(tmp_path):
    ledger = timed(tmp_path, 2.0, suite_of(300))
    results, verdict = judge(ledger.root)
    assert verdict.status is verdict.status.PASS
    paths = write_summaries(tmp_path / "gate", results, verdict)
    assert 'failures="0"' in paths[1].read_text()
    assert "| p99 |" in paths[2].read_text()


def test_evidence_names_candidate_device_and_verdict(tmp_path):
    found = read_latency(timed(tmp_path, 2.0, suite_of(300)).root)
    assert (found.status.value, found.candidate, found.on_target) == ("PASS", "5" * 64, True)
    assert found.device == "NVIDIA A10G, 24.1 GB, driver 535.183.01, power limit 300 W"
    assert found.target == "NVIDIA A10G"
    other = read_latency(timed(tmp_path / "b", 2.0, suite_of(300), device=H100).root)
    assert (other.status.value, other.on_target) == ("NOT EVALUATED", False)
    assert other.mismatches == ("the device is NVIDIA H100 80GB HBM3",)


def test_evidence_of_another_kind_or_unfinished_is_refused(tmp_path):
    with Ledger.writing(tmp_path / "other", {"format": 1}, b"name: other\n"):
        pass
    with pytest.raises(LedgerError, match="no latency run"):
        read_latency(tmp_path / "other")
    ledger = timed(tmp_path, 2.0, suite_of(20))
    (ledger.root / "results.json").unlink()
    with pytest.raises(LedgerError, match="not complete"):
        read_latency(ledger.root)


def test_a_changed_time_breaks_the_chain_and_changed_results_do_not_follow(tmp_path):
    ledger = timed(tmp_path, 40.0 / 2, suite_of(300))
    assert statuses(ledger)["p99"] == "FAIL"
    log = ledger.root / "log.jsonl"
    kept = log.read_text()
    log.write_text(kept.replace('"status":"ok"', '"status":"OK"', 1))
    with pytest.raises(LedgerError, match="changed after"):
        judge(ledger.root)
    log.write_text(kept)
    results = ledger.results()
    results["verdict"]["decisions"][1]["status"] = "PASS"
    ledger.write_results(results)
    with pytest.raises(LedgerError, match="does not follow from the times"):
        judge(ledger.root)


def five_seconds_later(record):
    for name in ("due_s", "began_s", "ended_s", "ready_s"):
        record[name] += 5


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (five_seconds_later, "seed says"),
        (lambda record: record.update(ended_s=record["began_s"] - 1), "run backwards"),
        (lambda record: record.update(number=0), "missing or stand twice"),
    ],
)
def test_a_log_that_was_forged_whole_still_has_to_add_up(tmp_path, forge, told):
    ledger = timed(tmp_path, 1.0, suite_of(20, [{"load": 0.5, "studies": 20}]))
    with edited_log(ledger) as entries:
        times = [entry for entry in entries if entry["event"] == "times" and entry["stage"] == "open-1"]
        forge(times[-1]["records"][-1])
    with pytest.raises(LedgerError, match=told):
        judge(ledger.root)


def test_the_log_names_no_study(tmp_path):
    ledger = timed(tmp_path, 1.0, suite_of(20, [{"load": 0.5, "studies": 20}]))
    assert "s000" not in (ledger.root / "log.jsonl").read_text()


def test_an_empty_cohort_is_refused(tmp_path):
    with pytest.raises(CohortError, match="no study"):
        timed(tmp_path, 1.0, studies=0)


# Interruptions


def test_interrupted_it_goes_on_and_loses_no_time_that_was_written(tmp_path):
    class Interrupted(FakeServer):
        def ask(self, study):
            if self.asked == self.until:
                raise KeyboardInterrupt
            return super().ask(study)

    text = suite_of(50, [{"load": 0.5, "studies": 60}])
    clock = FakeClock()
    for until in (20, 40, 1000):
        server = Interrupted(clock, lambda number: 1.0)
        server.until = until
        if until < 1000:
            with pytest.raises(KeyboardInterrupt):
                timed(tmp_path, None, text, clock=clock, server=server)
        else:
            ledger = timed(tmp_path, None, text, clock=clock, server=server)
    results = ledger.results()
    assert results["sessions"] == 3
    assert [item["studies"] for item in results["stages"]] == [50, 60]
    judge(ledger.root)
    again = timed(tmp_path, None, text, clock=clock, server=Interrupted(clock, None))
    assert again.results() == results  # a finished run is only read


class Slow:
    """Real seconds, little ones, for a process that is to be killed."""

    def __call__(self, number):
        time.sleep(0.02)
        return 1.0


def run_slowly(folder):
    timed(folder, Slow(), suite_of(150, [{"load": 0.5, "studies": 50}]))


def test_killed_it_goes_on(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=run_slowly, args=(tmp_path,))
    process.start()
    log = tmp_path / "run" / "log.jsonl"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not (log.exists() and '"event":"times"' in log.read_text()):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    before = sum(len(line["records"]) for line in lines if line["event"] == "times")
    assert 0 < before < 150
    ledger = timed(tmp_path, 1.0, suite_of(150, [{"load": 0.5, "studies": 50}]))
    assert ledger.results()["sessions"] == 2
    assert [item["studies"] for item in ledger.results()["stages"]] == [150, 50]
    kept = [e for e in ledger.log.entries() if e["event"] == "times" and e["session"] == 0]
    assert before <= sum(len(entry["records"]) for entry in kept) < 150  # the journal held the rest
    judge(ledger.root)


def test_another_suite_does_not_go_on_in_the_same_folder(tmp_path):
    timed(tmp_path, 1.0, suite_of(20))
    with pytest.raises(LedgerError, match="holds another run; different: suite"):
        timed(tmp_path, 1.0, suite_of(21))


# Laws

RANK = {"FAIL": 0, "NOT EVALUATED": 1, "PASS": 2}


@settings(max_examples=40, deadline=None)
@given(
    base=st.lists(st.floats(0.1, 29), min_size=1, max_size=12),
    repeats=st.integers(1, 40),
    place=st.integers(0, 10_000),
    slower=st.floats(0, 40),
)
def test_a_slower_study_never_improves_any_status(base, repeats, place, slower):
    """Neither one that takes longer than it did, nor a further one that takes as long as no limit allows."""
    suite = LatencySuite.model_validate(yaml.safe_load(suite_of()))
    seconds = base * repeats

    def found(values):
        asked = tuple(
            Asked(k, k, 0, 0.0, 0.0, min(s, 30.0), min(s, 30.0), "ok" if s < 30 else "late")
            for k, s in enumerate(values)
        )
        times = Times((StageTimes(Stage("closed", len(asked), 0), None, asked),), (), (), (), {}, {})
        return [RANK[find(item, times, suite).status.value] for item in suite.criteria]

    now, at = found(seconds), place % len(seconds)
    replaced = [*seconds[:at], seconds[at] + slower, *seconds[at + 1 :]]
    assert all(after <= before for before, after in zip(now, found(replaced), strict=True))
    assert all(after <= before for before, after in zip(now, found([*seconds, 30.0]), strict=True))
