import threading
import time

import pytest

from harness.errors import CandidateError
from harness.outcome import Status
from harness.service.pool import Pool
from harness.study import Study
from harness.testing import Faulty
from services import Batched, Scripted


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
