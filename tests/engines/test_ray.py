import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cohorts.phantom import PhantomCohort
from harness.engines.local import run_local
from harness.engines.ray import RayEngine, connect
from harness.errors import CandidateError, EngineError, HarnessError
from harness.ledger import Ledger
from harness.outcome import Status
from harness.study import Study
from harness.testing import ConstantReport
from ray_candidates import Elsewhere, FullDisk, Killer, Sometimes, Told
from runs import run, write_suite

TESTS = Path(__file__).parents[1]
STUDIES = [Study(str(number), ()) for number in range(9)]
STARTING_S = 120
"""Nodes on a busy machine take their time."""
DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[5])
from harness.engines.ray import RayEngine
from ray_candidates import Told
from runs import run
if __name__ == "__main__":
    suite, root, out, folder = map(Path, sys.argv[1:5])
    run(suite, root, Told(folder, 0.05), out, engine=RayEngine(sys.argv[6], 2))
"""


SMALL = {"object_store_memory": 80_000_000, "include_dashboard": False}


def started(kind, tries=4):
    """Two nodes. Ray waits only seconds for its own processes, which is too short on a busy machine."""
    found = None
    for left in reversed(range(tries)):
        try:
            # The head has no core to give: what works can be killed.
            found = kind(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
            found.add_node(num_cpus=2, **SMALL)
            return found
        except Exception:
            if found is not None:
                found.shutdown()
            if not left:
                raise
    return None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # Where jsonschema finds this, each of Ray's many processes spends seconds on a grammar of addresses.
    spared = tmp_path_factory.mktemp("spared")
    (spared / "rfc3987_syntax.py").write_text("raise ImportError\n")
    paths = os.pathsep.join([str(spared), str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_object_store_minimum_memory_bytes", "10000000")
        found = started(Cluster)
        ray.init(address=found.address, log_to_driver=False, logging_level="ERROR")
        yield found
        ray.shutdown()
        found.shutdown()


def ask(candidate, studies=STUDIES, workers=1, timeout_s=20.0):
    engine = RayEngine(workers=workers)
    found = list(engine.ask(candidate, studies, timeout_s=timeout_s, start_timeout_s=STARTING_S))
    return {item.study_id: item for item in found}


def test_outcomes_are_those_of_the_local_engine(cluster, tmp_path):
    ours = ask(Sometimes(tmp_path), workers=2, timeout_s=10)
    theirs = {o.study_id: o for o in run_local(Sometimes(tmp_path), STUDIES, workers=2, timeout_s=10)}
    assert {key: (o.status, o.error, o.report) for key, o in ours.items()} == {
        key: (o.status, o.error, o.report) for key, o in theirs.items()
    }
    assert [ours[str(number)].status for number in range(1, 6)] == [
        Status.RAISED, Status.DIED, Status.LATE, Status.INVALID, Status.EMPTY,
    ]  # fmt: skip


@pytest.mark.slow
def test_a_study_that_takes_its_workers_down_has_died_and_the_others_have_not(cluster, tmp_path):
    found = ask(Killer(tmp_path), STUDIES[2:6])
    assert {key: o.status for key, o in found.items()} == {
        "2": Status.OK, "3": Status.DIED, "4": Status.OK, "5": Status.OK,
    }  # fmt: skip
    assert found["3"].error == "3 workers were lost"


def test_a_node_with_a_full_disk_is_done_without(cluster, tmp_path):
    folder = tmp_path / "asked"
    folder.mkdir()
    found = ask(FullDisk(folder), workers=2)
    assert {o.status for o in found.values()} == {Status.OK}
    assert len(found) == len(STUDIES)


def test_where_no_node_can_answer_the_reason_is_told(cluster, tmp_path):
    with pytest.raises(CandidateError, match=r"no worker can answer: node .* has other files of candidate"):
        ask(Elsewhere(tmp_path))


@pytest.mark.slow
def test_a_killed_node_and_a_killed_driver_leave_the_same_ledger(cluster, tmp_path, phantom_root):
    suite, asked = write_suite(tmp_path), tmp_path / "asked"
    asked.mkdir()
    studies = len(PhantomCohort(phantom_root))
    local = run(suite, phantom_root, Told(asked), tmp_path / "local")
    for path in asked.iterdir():
        path.unlink()

    out = tmp_path / "ray"
    lost = cluster.add_node(num_cpus=1, **SMALL)
    words = [DRIVER, suite, phantom_root, out, asked, TESTS, cluster.address]
    driver = subprocess.Popen([sys.executable, "-c", *map(str, words)], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(asked.iterdir())) > studies // 4, driver)
    cluster.remove_node(lost, allow_graceful=False)
    wait_for(lambda: (out / "predictions").exists() and any((out / "predictions").iterdir()), driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    written = set(Ledger(out).done("predictions"))
    before = set(asked.iterdir())

    resumed = run(suite, phantom_root, Told(asked), out, engine=RayEngine(workers=2))
    assert resumed.digest() == local.digest()
    assert resumed.read("predictions").num_rows == studies
    again = {path.name.partition(".")[0] for path in set(asked.iterdir()) - before}
    assert written
    assert not written & again


def wait_for(condition, process, seconds=240):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the driver ended too early"
        assert time.monotonic() < until
        time.sleep(0.02)


def test_without_a_worker_the_run_ends_and_says_so(cluster, tmp_path):
    engine = RayEngine(workers=1)
    with pytest.raises(EngineError, match=r"no Ray worker was ready within 0 s.*same command again") as told:
        list(engine.ask(Told(tmp_path), STUDIES, timeout_s=1, start_timeout_s=0))
    assert told.value.exit_code == 3


def test_reading_is_done_in_order_by_actors(cluster):
    engine = RayEngine(workers=2)
    assert list(engine.map(len, ["", "a", "bb", "ccc", "dddd", "eeeee"], heavy=True)) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(EngineError, match="reading reports failed: TypeError"):
        list(engine.map(len, [1], heavy=False))


def test_ray_missing_too_old_or_elsewhere(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HarnessError, match=r"needs Ray; install it with: pip install 'harness\[ray\]'"):
        connect("auto")

    class Old:
        __version__ = "2.9.3"

        @staticmethod
        def is_initialized():
            return False

        @staticmethod
        def init(**options):
            raise RuntimeError("Version mismatch: The cluster was started with:\n Ray: 2.50.0")

    monkeypatch.setitem(sys.modules, "ray", Old)
    with pytest.raises(HarnessError, match=r"Ray 2\.9\.3 is too old, 2\.40 or newer"):
        connect("auto")
    Old.__version__ = "2.60.0"
    with pytest.raises(HarnessError, match=r"cannot be joined: Version mismatch: The cluster was started"):
        connect("somewhere:6379")
    Old.init = staticmethod(lambda **options: (_ for _ in ()).throw(ConnectionError()))
    with pytest.raises(HarnessError, match="no Ray cluster at auto; start one with: ray start --head"):
        list(RayEngine().ask(ConstantReport("x"), STUDIES, timeout_s=1, start_timeout_s=1))
