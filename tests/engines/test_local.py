import os
import signal
import threading
import time

import pytest

from harness.candidates.base import Candidate, count_tokens, phase
from harness.engines.local import Worker, default_workers, run_local
from harness.errors import CandidateError
from harness.outcome import Status
from harness.report import Finding, Report, ReportedFinding
from harness.study import Study
from harness.testing import ConstantReport, Faulty

STUDIES = [Study(str(number), ()) for number in range(7)]


class Chatty(Candidate):
    """Prints on standard output, where results must not get mixed in."""

    name = "chatty"

    def digest(self):
        return "0" * 64

    def report(self, study):
        print("I am thinking", flush=True)
        return Report(report_id=study.study_id, impression=f"No effusion in {study.study_id}.")


class Sometimes(Candidate):
    """Fails in another way on each study."""

    name = "sometimes"

    def digest(self):
        return "0" * 64

    def report(self, study):
        fault = ("none", "raises", "dies", "hangs", "wrong type", "silent", "none")[int(study.study_id)]
        if fault == "none":
            return Report(report_id=study.study_id, impression="No effusion.")
        return Faulty(fault).report(study)


class Surrogate(Candidate):
    """Answers with text that no encoding can carry, and with a confidence of NaN."""

    name = "surrogate"

    def digest(self):
        return "0" * 64

    def report(self, study):
        if study.study_id == "0":
            return Report(report_id="0", impression="No effusion \ud800.")
        return Report.model_validate(
            {"report_id": "1", "findings": [{"finding": "Fracture", "confidence": float("nan")}]}
        )


@pytest.mark.parametrize("workers", [1, 3])
def test_every_study_gets_one_outcome(workers):
    outcomes = list(run_local(ConstantReport("No effusion."), STUDIES, workers=workers))
    assert sorted(outcome.study_id for outcome in outcomes) == [study.study_id for study in STUDIES]
    assert {outcome.status for outcome in outcomes} == {Status.OK}
    assert all(
        outcome.report.findings_text == "No effusion." and outcome.latency_s > 0 for outcome in outcomes
    )


class Timed(Candidate):
    """Tells where its time goes."""

    name = "timed"

    def digest(self):
        return "0" * 64

    def report(self, study):
        with phase("preprocessing"):
            count_tokens(read=int(study.study_id), written=1)
        return Report(report_id=study.study_id, impression="No effusion.")


def test_an_outcome_carries_what_the_worker_tells_of_its_study_alone():
    outcomes = {o.study_id: o for o in run_local(Timed(), STUDIES[:3])}
    for number, outcome in outcomes.items():
        assert outcome.account["tokens"] == {"read": int(number), "written": 1}
        assert set(outcome.account["phases_s"]) == {"preprocessing"}
        assert outcome.account["host_peak_bytes"] > 10**7
    assert "phases_s" not in next(iter(run_local(Chatty(), STUDIES[:1]))).account


def test_each_fault_is_its_own_status_and_the_others_go_on():
    outcomes = {o.study_id: o for o in run_local(Sometimes(), STUDIES, workers=2, timeout_s=3)}
    assert [outcomes[str(number)].status for number in range(7)] == [
        Status.OK, Status.RAISED, Status.DIED, Status.LATE, Status.INVALID, Status.EMPTY, Status.OK,
    ]  # fmt: skip
    assert all((outcome.report is None) == (outcome.status is not Status.OK) for outcome in outcomes.values())
    assert outcomes["2"].error == "exit code 9"
    assert 3 <= outcomes["3"].latency_s < 10


def test_an_error_names_type_and_line_and_never_its_message():
    outcome = next(iter(run_local(Faulty("raises"), STUDIES[:1])))
    assert outcome.error.startswith("RuntimeError at testing.py:")
    assert "planted" not in outcome.error


def test_what_cannot_be_a_report_is_invalid():
    statuses = {o.study_id: o.status for o in run_local(Surrogate(), STUDIES[:2])}
    assert statuses == {"0": Status.INVALID, "1": Status.INVALID}


class Extended(Report):
    """Has a field that a report has not."""

    SECRET_words: int = 3


class Unchecked(Candidate):
    """Mends its reports by what checks nothing; the study names how."""

    name = "unchecked"

    def digest(self):
        return "0" * 64

    def report(self, study):
        report = Report(report_id=study.study_id, findings_text="SECRET words", impression="No effusion.")
        sure = ReportedFinding.model_construct(finding=Finding.FRACTURE, confidence=1.0000001)
        changes = {
            "nan": {"processing_time_ms": float("nan")},
            "list": {"recommendations": ["SECRET words"]},
            "text is a list": {"impression": ["SECRET words"]},
            "no text": {"findings_text": None, "impression": None},
            "too sure": {"findings": (sure,)},
            "long": {"impression": "SECRET words " * 100_000},
        }
        if study.study_id == "extended":
            return Extended(report_id="1", impression="SECRET words")
        return report.model_copy(update=changes.get(study.study_id, {}))


def test_a_report_that_nothing_has_checked_is_invalid_alone_and_is_not_quoted(capfd):
    reasons = {
        "nan": "ValidationError: processing_time_ms",
        "list": "ValidationError: recommendations",
        "text is a list": "ValidationError: impression",
        "no text": "ValidationError: findings_text, impression",
        "too sure": "ValidationError: findings",
        "extended": "ValidationError: not a report",
        "long": "more than 1048576 bytes as JSON",
    }
    names = ["first", *reasons, "last"]
    outcomes = list(run_local(Unchecked(), [Study(name, ()) for name in names]))
    assert [outcome.study_id for outcome in outcomes] == names
    statuses = [outcome.status for outcome in outcomes]
    assert statuses == [Status.OK, *[Status.INVALID] * len(reasons), Status.OK]
    assert {outcome.study_id: outcome.error for outcome in outcomes[1:-1]} == reasons
    assert "SECRET" not in "".join(capfd.readouterr())


class Long(Chatty):
    """Its answer does not fit into the pipe: the rest waits until the first part is read."""

    def report(self, study):
        return Report(report_id=study.study_id, impression="No effusion. " * 70_000)


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [(signal.SIGKILL, Status.DIED, "exit code -9"), (signal.SIGSTOP, Status.LATE, "")],
)
def test_a_worker_that_ends_or_halts_in_the_middle_of_its_answer(sent, status, error):
    worker = Worker(Long())
    worker.start(60)
    rescue = threading.Timer(40, worker.process.kill)  # so that waiting without end is a failure
    rescue.start()
    try:
        assert worker.give(STUDIES[0], 2)
        assert worker.connection.poll(30)
        time.sleep(0.2)
        os.kill(worker.process.pid, sent)
        outcome = worker.take(late=False)
        assert (outcome.status, outcome.error, worker.lost) == (status, error, True)
        worker.restart(60)
        assert worker.give(STUDIES[1], 60)
        outcome = worker.take(late=False)
        assert (outcome.status, outcome.study_id, worker.lost) == (Status.OK, "1", False)
    finally:
        rescue.cancel()
        worker.stop()


def test_an_answer_given_in_time_is_read_whole_after_the_deadline():
    worker = Worker(Long())
    worker.start(60)
    try:
        assert worker.give(STUDIES[0], 60)
        assert worker.connection.poll(60)
        worker.deadline = time.monotonic()
        time.sleep(0.1)  # this process was at something else meanwhile
        assert worker.take(late=False).status is Status.OK
    finally:
        worker.stop()


class Napping(ConstantReport):
    """Answers after a while."""

    def report(self, study):
        time.sleep(0.4)
        return super().report(study)


def test_an_answer_given_too_late_is_late_however_late_it_is_read():
    worker = Worker(Napping("No effusion."))
    worker.start(60)
    try:
        assert worker.give(STUDIES[0], 0.2)
        assert worker.connection.poll(60)
        outcome = worker.take(late=False)
        assert (outcome.status, outcome.report, worker.lost) == (Status.LATE, None, False)
        assert outcome.latency_s > 0.4
    finally:
        worker.stop()


def test_what_a_candidate_prints_stays_out_of_the_results(capfd):
    outcomes = list(run_local(Chatty(), STUDIES[:3]))
    assert {outcome.status for outcome in outcomes} == {Status.OK}
    assert "I am thinking" not in capfd.readouterr().out


def test_a_candidate_that_cannot_start_stops_the_run():
    with pytest.raises(CandidateError, match="does not load: RuntimeError: planted failure to load"):
        list(run_local(Faulty("not ready"), STUDIES))


def test_a_candidate_that_loads_for_too_long_stops_the_run():
    class Slow(Sleeper):
        pass

    with pytest.raises(CandidateError, match=r"was not ready after 1 s; raise execution.start_timeout_s"):
        list(run_local(Sleeper(), STUDIES, start_timeout_s=1))
    with pytest.raises(CandidateError, match="cannot be sent to a worker process"):
        list(run_local(Slow(), STUDIES))


class Sleeper(Chatty):
    def prepare(self):
        time.sleep(60)


def test_workers_end_with_the_run():
    outcomes = run_local(ConstantReport("No effusion."), STUDIES)
    next(outcomes)
    outcomes.close()  # what an interrupted run does
    import multiprocessing

    deadline = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == []


def test_there_is_a_worker_a_core():
    assert default_workers() >= 1
