"""Stopping a run and going on must not turn FAIL into PASS."""

import pytest

from harness.candidates.base import Candidate
from harness.errors import LedgerError
from harness.gate import judge
from harness.latency import run as run_module
from harness.latency.device import ELSEWHERE
from latency_bench import (
    FakeClock,
    FakeProbe,
    FakeServer,
    Nothing,
    Simulated,
    stage,
    statuses,
    suite_of,
    timed,
)


class Killed(FakeServer):
    """Works 20 s on request `until` and is then interrupted; None: never."""

    until = None

    def ask(self, study):
        if self.asked == self.until:
            self.clock.time += 20
            raise KeyboardInterrupt
        return super().ask(study)


def begun(folder, text, until, service=lambda number: 1.0, clock=None):
    clock = clock or FakeClock()
    server = Killed(clock, service)
    server.until = until
    with pytest.raises(KeyboardInterrupt):
        timed(folder, None, text, clock=clock, server=server)
    return clock


def test_a_study_that_stalls_and_is_interrupted_counts_as_without_a_report(tmp_path):
    text = suite_of(300)
    clock = begun(tmp_path, text, until=100)
    ledger = timed(tmp_path, 1.0, text, clock=clock)
    assert statuses(ledger)["maximum"] == "FAIL"
    assert (stage(ledger, "closed")["failed"], stage(ledger, "closed")["interrupted"]) == (1, 1)
    _, verdict = judge(ledger.root)
    assert all("interrupted once" in item.reason for item in verdict.decisions)
    assert not (ledger.root / "asked.jsonl").exists()


def test_a_late_study_stays_late_where_the_restart_after_it_is_interrupted(tmp_path):
    class Restart(FakeServer):
        def start(self):
            if self.starts == 1:
                raise KeyboardInterrupt
            super().start()

    clock, text = FakeClock(), suite_of(300)
    server = Restart(clock, lambda number: 99.0 if number == 100 else 1.0)
    with pytest.raises(KeyboardInterrupt):
        timed(tmp_path, None, text, clock=clock, server=server)
    ledger = timed(tmp_path, 1.0, text, clock=clock)
    assert stage(ledger, "closed")["statuses"] == {"ok": 299, "late": 1}
    assert statuses(ledger)["maximum"] == "FAIL"
    judge(ledger.root)


CRITERIA = [
    {"id": "p99", "value": "p99", "below_s": 15.5, "at": 200},
    {"id": "maximum", "value": "maximum", "below_s": 30, "at": 200},
]


def test_an_interrupted_queue_is_not_emptied(tmp_path):
    """The queue of a device that is busy for 14 s of every 18 s, begun again by a quick one."""
    text = suite_of(20, [{"rate_per_hour": 200, "studies": 420}], CRITERIA)
    clock = begun(tmp_path, text, until=3 + 20 + 60, service=lambda number: 14.0)
    ledger = timed(tmp_path, 1.0, text, clock=clock)
    found = stage(ledger, "open-1")
    assert (found["studies"], found["attempts"]) == (420, 2)
    assert found["slowest_s"] > 30  # of the first attempt
    assert found["interrupted"] >= 2  # the one that was asked, and what stood behind it
    assert statuses(ledger) == {"p99": "FAIL", "maximum": "FAIL"}
    judge(ledger.root)


def test_without_the_journal_it_does_not_go_on(tmp_path):
    text = suite_of(300)
    clock = begun(tmp_path, text, until=100)
    (tmp_path / "run" / "asked.jsonl").unlink()
    with pytest.raises(LedgerError, match="which studies had been asked"):
        timed(tmp_path, 1.0, text, clock=clock)


def test_a_stage_of_studies_seen_before_passes_nothing(tmp_path):
    criteria = [{"id": "p50", "value": "p50", "below_s": 5, "at": 200}]
    text = suite_of(20, [{"rate_per_hour": 200, "studies": 20}], criteria)
    assert statuses(timed(tmp_path / "a", 1.0, text, studies=43)) == {"p50": "PASS"}
    ledger = timed(tmp_path / "b", 1.0, text, studies=42)
    assert statuses(ledger) == {"p50": "NOT EVALUATED"}
    assert "repeat studies" in ledger.results()["verdict"]["decisions"][0]["reason"]
    assert stage(ledger, "open-1")["repeats"] == 1
    nothing_new = timed(tmp_path / "c", 1.0, suite_of(20, warm_up=20), studies=20)
    assert set(statuses(nothing_new).values()) == {"NOT EVALUATED"}


def test_a_candidate_that_answers_elsewhere_is_on_no_known_device(tmp_path, monkeypatch):
    assert not Candidate.remote
    monkeypatch.setattr(Simulated, "remote", True)
    ledger = timed(tmp_path, 1.0, suite_of(300))
    assert set(statuses(ledger).values()) == {"NOT EVALUATED"}
    assert ledger.results()["device"]["name"] == ELSEWHERE.name
    reason = ledger.results()["verdict"]["decisions"][0]["reason"]
    assert "the service runs elsewhere; nobody measured on which device" in reason


def test_what_is_timed_is_asked_afresh(tmp_path, monkeypatch):
    seen, other, clock = [], Simulated(), FakeClock()

    def server(candidate, *limits):
        seen.append(candidate)
        return FakeServer(clock, lambda number: 1.0)

    monkeypatch.setattr(Simulated, "afresh", lambda self: other)
    monkeypatch.setattr(run_module, "ProcessServer", server)
    (tmp_path / "suite.yaml").write_text(suite_of(20))
    request = run_module.LatencyRequest(
        tmp_path / "suite.yaml", Nothing(50), "nothing:", Simulated(), "simulated", tmp_path / "run"
    )
    run_module.execute(request, instruments=run_module.Instruments(clock=clock, probe=FakeProbe()))
    assert seen == [other]


def test_a_pass_of_the_maximum_says_of_how_many(tmp_path):
    decisions = timed(tmp_path, 1.0, suite_of(300)).results()["verdict"]["decisions"]
    (reason,) = (item["reason"] for item in decisions if item["id"] == "maximum")
    assert "fewer than 1.00% of all studies" in reason
