import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.cohorts.phantom import PhantomCohort
from harness.errors import CandidateError, LedgerError, SuiteError
from harness.ledger import Ledger
from harness.lock import write_lock
from harness.run import choose, manifest_digest
from harness.suite import read_suite
from harness.testing import ConstantReport, Damage, Faulty, Oracle, Saboteur
from runs import SUITE, run, write_suite

HERE = Path(__file__).parent
WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from runs import run
from harness.cohorts.phantom import PhantomCohort
from harness.testing import Damage, Saboteur
if __name__ == "__main__":
    suite, root, out = map(Path, sys.argv[1:4])
    saboteur = Saboteur(list(PhantomCohort(root)), Damage(miss=0.3, fail=0.05))
    run(suite, root, saboteur, out, workers=2)
"""


@pytest.fixture
def suite(tmp_path):
    return write_suite(tmp_path)


@pytest.fixture(scope="session")
def held_out(phantom_root):
    return list(PhantomCohort(phantom_root))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, phantom_root, held_out):
    """A run of the damaged oracle, undisturbed."""
    folder = tmp_path_factory.mktemp("finished")
    damaged = Saboteur(held_out, Damage(miss=0.3, fail=0.05))
    return run(write_suite(folder), phantom_root, damaged, folder / "run")


def test_every_study_is_written_once_with_its_report_and_rows(finished, held_out):
    ids = [case.study.study_id for case in held_out]
    for table in ("cases", "predictions", "timings", "rows"):
        assert finished.read(table).column("study_id").to_pylist() == ids
    statuses = finished.read("predictions").column("status").to_pylist()
    assert 0 < statuses.count("raised") < len(ids)
    results = finished.results()
    assert results["flow"]["judged"] == len(ids)
    assert results["statuses"]["raised"] == statuses.count("raised")
    assert results["ledger"] == finished.digest()


def test_failed_studies_stay_in_every_denominator(finished, held_out):
    labels = np.array([case.reference.labels for case in held_out])
    found = {(e["measure"], e["value"]): e for e in finished.results()["estimates"] if e["slice"] is None}
    pooled = found["critical_sensitivity", "pooled"]
    assert pooled["denominator"] == int(np.isin(labels[:, [4, 9, 10, 12]], (1, 3)).sum())
    failures = found["failure_rate", "value"]
    assert failures["denominator"] == len(held_out)
    assert failures["numerator"] == finished.results()["statuses"]["raised"]


def test_no_report_text_and_no_study_id_in_the_log(finished, held_out):
    log = finished.log.path.read_text()
    for case in held_out[:50]:
        assert case.study.study_id not in log
        assert case.reference.impression not in log


def test_the_digest_is_the_same_in_one_process_and_in_many(tmp_path, suite, phantom_root, held_out, finished):
    damaged = Saboteur(held_out, Damage(miss=0.3, fail=0.05))
    many = run(suite, phantom_root, damaged, tmp_path / "many", workers=2)
    assert many.digest() == finished.digest()
    first, second = finished.results(), many.results()
    assert first == second


def test_a_complete_run_given_again_stays_as_it_is(tmp_path, suite, phantom_root):
    candidate = ConstantReport("No pneumothorax.")
    before = run(suite, phantom_root, candidate, tmp_path / "run")
    parts = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    after = run(suite, phantom_root, candidate, tmp_path / "run")
    assert after.digest() == before.digest()
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == parts


@pytest.mark.slow
def test_killed_at_random_points_and_taken_up_again_it_gives_the_same_digest(
    tmp_path, suite, phantom_root, finished
):
    command = [sys.executable, "-c", WRITER, str(suite), str(phantom_root), str(tmp_path / "run"), str(HERE)]
    dice = random.Random(20261)
    kills = 0
    for _ in range(6):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        try:
            # From before the first write to after the last: a whole run takes some three seconds.
            process.wait(timeout=dice.uniform(0.8, 3.5))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= 3, "the test must interrupt something"
    deadline = time.monotonic() + 60
    subprocess.run(command, check=True, timeout=deadline - time.monotonic())
    ledger = Ledger(tmp_path / "run")
    assert ledger.digest() == finished.digest()
    assert ledger.results()["estimates"] == finished.results()["estimates"]


def test_studies_are_chosen_by_a_hash_of_their_id(tmp_path, phantom_root):
    text = SUITE.replace("{split: test}", "{split: test, studies: 60}")
    cohort = PhantomCohort(phantom_root)
    few = choose(read_suite(write_suite(tmp_path, text)), cohort)
    more = choose(read_suite(write_suite(tmp_path, text.replace("60", "90"))), cohort)
    assert len(few) == 60
    assert list(few) == sorted(few)
    assert set(few) < set(more), "adding studies keeps those that were chosen"
    other = choose(read_suite(write_suite(tmp_path, text.replace("seed: 1", "seed: 2"))), cohort)
    assert set(other) != set(few)
    assert all(cohort[index].study.study_id == study for study, index in few)


def test_too_few_studies_pass_nothing(tmp_path, phantom_root, held_out):
    text = SUITE.replace("{split: test}", "{split: test, studies: 2000}").replace("above: 0.9", "above: 0.5")
    results = run(write_suite(tmp_path, text), phantom_root, Oracle(held_out), tmp_path / "run").results()
    assert results["verdict"]["status"] == "NOT EVALUATED"
    assert "asks for 2,000 studies" in results["verdict"]["reasons"][0]
    assert {d["status"] for d in results["verdict"]["decisions"]} == {"NOT EVALUATED"}


def test_a_locked_run_refuses_another_suite_and_other_studies(tmp_path, phantom_root, suite, held_out):
    read, cohort = read_suite(suite), PhantomCohort(phantom_root)
    digest, _ = manifest_digest(cohort, choose(read, cohort))
    write_lock(tmp_path / "lock", read, digest, len(cohort))
    ledger = run(suite, phantom_root, Oracle(held_out), tmp_path / "run", lock=tmp_path / "lock")
    assert ledger.identity["lock"]["suite"] == read.digest()
    with pytest.raises(SuiteError, match="the cohort was changed"):
        run(
            suite,
            phantom_root,
            Oracle(held_out),
            tmp_path / "b",
            lock=tmp_path / "lock",
            cohort={"split": "train"},
        )
    suite.write_text(SUITE.replace("above: 0.9", "above: 0.5"))
    with pytest.raises(SuiteError, match="suite small was changed"):
        run(suite, phantom_root, Oracle(held_out), tmp_path / "c", lock=tmp_path / "lock")
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "c").exists()


def test_a_run_folder_of_another_suite_is_refused(tmp_path, phantom_root, suite):
    candidate = ConstantReport("No pneumothorax.")
    run(suite, phantom_root, candidate, tmp_path / "run")
    suite.write_text(SUITE.replace("above: 0.9", "above: 0.5"))
    with pytest.raises(LedgerError, match="holds another run; different: suite") as caught:
        run(suite, phantom_root, candidate, tmp_path / "run")
    assert caught.value.exit_code == 2


def test_a_candidate_that_does_not_load_stops_the_run_and_decides_nothing(tmp_path, phantom_root, suite):
    with pytest.raises(CandidateError, match="does not load: RuntimeError"):
        run(suite, phantom_root, Faulty("not ready"), tmp_path / "run")
    with pytest.raises(LedgerError, match="not complete"):
        Ledger(tmp_path / "run").results()
