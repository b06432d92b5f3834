import shutil

import pytest
from packets import make_packet

from harness.cohorts.phantom import PhantomCohort
from harness.lock import write_lock
from harness.run import choose, manifest_digest
from harness.suite import read_suite
from harness.testing import Damage, Saboteur
from runs import run, write_suite

SUITE = """\
name: small
version: 1
cohort: {split: test, studies: 60}
inference: {replicates: 200, seed: 1}
execution: {timeout_s: 20}
measures: [critical_sensitivity, hallucination_rate, failure_rate, findings_f1, bleu4, degenerate_output]
slices: [sex]
criteria:
  - {id: sensitivity, measure: critical_sensitivity, value: pooled, above: 0.5}
  - {id: failures, measure: failure_rate, below: 0.3}
"""


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, phantom_root):
    """A run under a lock: some findings missed, some studies without a report."""
    folder = tmp_path_factory.mktemp("evidence")
    path = write_suite(folder, SUITE)
    cohort, suite = PhantomCohort(phantom_root, split="test"), read_suite(path)
    chosen = choose(suite, cohort)
    digest, digests = manifest_digest(cohort, chosen)
    write_lock(folder / "lock.json", suite, digest, len(chosen), study_digests=digests)
    saboteur = Saboteur(list(cohort), Damage(miss=0.3, fail=0.05))
    run(path, phantom_root, saboteur, folder / "run", lock=folder / "lock.json")
    return folder / "run"


@pytest.fixture(scope="session")
def sealed(tmp_path_factory, finished_run):
    """A sealed packet; not to be changed."""
    pytest.importorskip("weasyprint")
    return make_packet(finished_run, tmp_path_factory.mktemp("sealed") / "packet")


@pytest.fixture
def packet(tmp_path, sealed):
    """A sealed packet to do things to."""
    return shutil.copytree(sealed, tmp_path / "packet")
