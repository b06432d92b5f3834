import os
import signal
import threading
import time
from pathlib import Path

import pytest

from harness.engines.local import Worker
from harness.errors import CandidateError
from harness.outcome import Status
from harness.service.pool import NoWorker, Pool
from harness.study import Study
from harness.testing import Faulty
from services import Batched, Scripted


class Unchecked(Batched):
    """Answers odd studies with what no report may hold, and late ones with their own time limit."""

    def report(self, study):
        if study.study_id.startswith("late"):
            raise TimeoutError
        report = super().report(study)
        odd = {"processing_time_ms": float("nan"), "impression": ["SECRET words"]}
        return report.model_copy(update=odd if study.study_id.startswith("odd") else {})


class Long(Scripted):
    """Its answer does not fit into the pipe: the rest waits until the first part is read."""

    def report(self, study):
        return super().report(study).model_copy(update={"impression": "No effusion. " * 70_000})


class SlowAgain(Batched):
    """Loads at once the first time, and then takes its time."""

    def __init__(self, flag):
        super().__init__()
        self.flag = str(flag)

    def prepare(self):
        if Path(self.flag).exists():
            time.sleep(4)
        Path(self.flag).touch()


class Halting:
    """A connection whose other end is halted once its answer has begun to come."""

    def __init__(self, worker):
        self.connection, self.pid = worker.connection, worker.process.pid

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def poll(self, timeout):
        begun = self.connection.poll(timeout)
        time.sleep(0.2)
        os.kill(self.pid, signal.SIGSTOP)
        return begun


def studies(*names):
    return [Study(name, ()) for name in names]


@pytest.fixture
def pool_of():
    pools = []

    def make(candidate, **options):
        pool = Pool(candidate, **options)
        pools.append(pool)
        pool.start()
        return pool

    yield make
    for pool in pools:
        pool.stop()


def test_one_bad_study_in_a_batch_fails_alone(pool_of):
    pool = pool_of(Batched(), timeout_s=60)
    outcomes = pool.ask(studies("1", "raise-2", "3", "empty-4"))
    assert [outcome.study_id for outcome in outcomes] == ["1", "raise-2", "3", "empty-4"]
    assert [outcome.status for outcome in outcomes] == [Status.OK, Status.RAISED, Status.OK, Status.EMPTY]
    assert outcomes[2].report.report_id == "r-3"
    assert "SECRET" not in outcomes[1].error


def test_one_that_kills_its_process_fails_alone_and_the_worker_is_replaced(pool_of):
    pool = pool_of(Batched(), timeout_s=60)
    outcomes = pool.ask(studies("1", "die-2", "3"))
    assert [outcome.status for outcome in outcomes] == [Status.OK, Status.DIED, Status.OK]
    assert pool.ask(studies("4"))[0].report.report_id == "r-4"


def test_one_that_hangs_is_late_and_the_worker_is_replaced(pool_of):
    pool = pool_of(Scripted(), timeout_s=3)
    (outcome,) = pool.ask(studies("hang-1"))
    assert outcome.status is Status.LATE
    pool.timeout_s = 60
    assert pool.ask(studies("2"))[0].status is Status.OK
    assert pool.up == 1


def test_one_that_halts_in_the_middle_of_its_answer_is_late_and_replaced(pool_of):
    pool = pool_of(Long(), timeout_s=2)
    (worker,) = pool._workers
    rescue = threading.Timer(40, worker.process.kill)  # so that waiting without end is a failure
    rescue.start()
    worker.connection = Halting(worker)
    assert pool.ask(studies("1"))[0].status is Status.LATE
    rescue.cancel()
    pool.timeout_s = 60
    assert pool.ask(studies("2"))[0].status is Status.OK


def test_a_report_that_nothing_has_checked_fails_alone_and_is_not_quoted(pool_of, capfd):
    pool = pool_of(Unchecked(), timeout_s=60)
    for names in (["1", "odd-2", "3"], ["odd-4"], ["5"]):
        outcomes = pool.ask(studies(*names))
        expected = [Status.INVALID if name.startswith("odd") else Status.OK for name in names]
        assert [outcome.status for outcome in outcomes] == expected
        assert "SECRET" not in "".join(outcome.error for outcome in outcomes)
    assert "SECRET" not in "".join(capfd.readouterr())


def test_a_worker_comes_back_whatever_happens_while_it_is_asked(pool_of, monkeypatch):
    pool = pool_of(Scripted(), timeout_s=60)

    def defect(*_):
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "ask", defect)
        with pytest.raises(RuntimeError, match="a defect"):
            pool.ask(studies("1"))
    with monkeypatch.context() as patch:  # its answer cannot be read: it cannot be asked as it is
        patch.setattr("harness.engines.local.read", defect)
        with pytest.raises(RuntimeError, match="a defect"):
            pool.ask(studies("2"))
    assert pool.ask(studies("3"))[0].report.report_id == "r-3"
    assert pool.up == 1


def test_a_candidate_that_says_it_is_late_keeps_its_worker(pool_of):
    pool = pool_of(Unchecked(), timeout_s=60)
    process = pool._workers[0].process
    assert [o.status for o in pool.ask(studies("late-1", "2"))] == [Status.LATE, Status.OK]
    assert pool._workers[0].process is process


def test_a_worker_that_loads_for_longer_than_a_study_may_take_costs_no_other_study(pool_of, tmp_path):
    pool = pool_of(SlowAgain(tmp_path / "loaded"), timeout_s=2)
    outcomes = pool.ask(studies("1", "die-2"))
    assert [outcome.status for outcome in outcomes] == [Status.OK, Status.DIED]


def test_who_waits_for_a_worker_is_told_when_the_pool_stops(pool_of):
    pool = pool_of(Scripted(), timeout_s=600)
    pool._idle.get()  # the only one is away
    found = []

    def ask():
        try:
            pool.ask(studies("1"))
        except NoWorker as error:
            found.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    pool.stop()
    for thread in threads:
        thread.join(30)
    assert len(found) == 2


def test_a_template(pool_of):
    pool = pool_of(Batched(), timeout_s=60)
    assert [o.report.recommendations for o in pool.ask(studies("1", "2"), "brief")] == ["brief", "brief"]
    assert pool.ask(studies("1"))[0].report.recommendations == "standard"
    plain = pool_of(Scripted(), timeout_s=60)  # knows none: an answer, and its worker lives
    assert [outcome.status for outcome in plain.ask(studies("1", "2"), "brief")] == [Status.RAISED] * 2
    assert plain.ask(studies("1"))[0].status is Status.OK


def test_many_at_once_each_get_their_own(pool_of):
    pool = pool_of(Scripted(pause_s=0.01), workers=2, timeout_s=60)
    found = {}

    def ask(name):
        found[name] = pool.ask(studies(name))[0].report.report_id

    threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {str(number): f"r-{number}" for number in range(20)}


def test_a_candidate_that_does_not_load():
    with pytest.raises(CandidateError, match="does not load"):
        Pool(Faulty("not ready")).start()


def test_stopping_leaves_no_process_behind(pool_of):
    pool = pool_of(Scripted(), timeout_s=60)
    processes = [worker.process for worker in pool._workers]
    pool.stop()
    until = time.monotonic() + 30
    while any(process.is_alive() for process in processes) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(process.is_alive() for process in processes)
