"""Cohorts and runs that several tests read. Nothing here may be changed by a test."""

import fcntl
import gc
import os
import shutil

import pytest

from harness.cohorts.phantom import PhantomCohort
from harness.lock import write_lock
from harness.phantom import make_phantom
from harness.run import choose, manifest_digest
from harness.suite import read_suite
from harness.testing import Damage, Saboteur
from packets import SUITE as EVIDENCE_SUITE
from packets import make_packet
from real_reports import FOLDER, WHY_NOT
from report_texts import real_texts
from runs import run, write_suite


def pytest_configure(config):
    # The tests' models are tiny: threads would only get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish(session):
    # Modules stay: searching them for garbage again and again takes longer than many a test.
    gc.freeze()


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a folder by a name once for all test processes: the second waits for the first."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    root.mkdir(exist_ok=True)

    def made(name, make):
        folder, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def phantom_root(once):
    """300 phantom studies with small pictures, in all three splits."""
    return once("cohort", lambda out: make_phantom(out, 300, 7, test_share=0.5, image_size=64, workers=1))


@pytest.fixture(scope="session")
def cases(phantom_root):
    """All cases of the small cohort, whatever their split."""
    return list(PhantomCohort(phantom_root, split=None))


@pytest.fixture(scope="session")
def service_root(tmp_path_factory):
    """30 held-out phantom studies with small pictures: what a service is asked for."""
    root = tmp_path_factory.mktemp("phantom") / "service"
    make_phantom(root, 30, 7, test_share=1.0, image_size=64, workers=1)
    return root


@pytest.fixture(scope="session")
def large_root(once):
    """2,000 held-out phantom studies with tiny pictures: enough to decide the regulatory suite."""
    return once("large", lambda out: make_phantom(out, 2000, 11, test_share=1.0, image_size=64, workers=2))


@pytest.fixture(scope="session")
def real():
    """The real reports as candidates and references; see `real_texts`."""
    if not FOLDER.exists():
        pytest.skip(WHY_NOT)
    return real_texts()


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """The folder of a multimodal checkpoint of random weights, and its model."""
    from tiny_package import make_checkpoint

    folder = tmp_path_factory.mktemp("multimodal") / "tiny"
    return folder, make_checkpoint(folder)


@pytest.fixture(scope="session")
def tiny_package(tiny_checkpoint):
    """The folder of what is exported from it, in full precision."""
    from tiny_package import make_package

    folder, model = tiny_checkpoint
    out = folder.parent / "package"
    make_package(model, folder, out)
    return out


@pytest.fixture(scope="session")
def finished_run(once, phantom_root):
    """A run under a lock: some findings missed, some studies without a report."""

    def make(folder):
        folder.mkdir()
        path = write_suite(folder, EVIDENCE_SUITE)
        cohort, suite = PhantomCohort(phantom_root, split="test"), read_suite(path)
        chosen = choose(suite, cohort)
        digest, digests = manifest_digest(cohort, chosen)
        write_lock(folder / "lock.json", suite, digest, len(chosen), study_digests=digests)
        saboteur = Saboteur(list(cohort), Damage(miss=0.3, fail=0.05))
        run(path, phantom_root, saboteur, folder / "run", lock=folder / "lock.json")

    return once("evidence", make) / "run"


@pytest.fixture(scope="session")
def sealed(once, finished_run):
    """A sealed packet; not to be changed."""
    pytest.importorskip("weasyprint")

    def make(folder):
        folder.mkdir()
        make_packet(finished_run, folder / "packet")

    return once("sealed", make) / "packet"


@pytest.fixture
def packet(tmp_path, sealed):
    """A sealed packet to do things to."""
    return shutil.copytree(sealed, tmp_path / "packet")


@pytest.fixture(scope="session")
def small_root(once):
    """90 phantom studies with small pictures, in the splits train and validate."""
    return once("small", lambda out: make_phantom(out, 90, 9, test_share=0.0, image_size=64, workers=1))


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    """A folder with a ViT of 64 x 64 pixels and random weights."""
    import torch
    from transformers import ViTConfig, ViTModel

    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24, image_size=64,
        patch_size=16, num_channels=1,
    )  # fmt: skip
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture
def desk(small_root, vit):
    """Makes a training of a second; see `small_training.Desk`."""
    from small_training import Desk

    return lambda **changes: Desk(small_root, vit, **changes)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """The database of a registry that holds nothing."""
    pytest.importorskip("mlflow")
    from registries import make_empty_store

    return make_empty_store(tmp_path_factory.mktemp("registry") / "empty")


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory, empty_store):
    """The address of an MLflow server on loopback."""
    from registries import start_server, stop_server

    server, address = start_server(tmp_path_factory.mktemp("registry"), empty_store)
    yield address
    stop_server(server)


@pytest.fixture
def local_registry(tmp_path, empty_store):
    """A registry in a folder."""
    from harness.registry import Registry

    (tmp_path / "registry").mkdir()
    shutil.copy(empty_store, tmp_path / "registry")
    return Registry(str(tmp_path / "registry"))


@pytest.fixture(params=["sqlite", "server"])
def registry(request, tmp_path, monkeypatch):
    """A registry in a folder, then one on a server; what is fetched from it is kept in `tmp_path`."""
    from harness.registry import Registry

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "sqlite":
        return request.getfixturevalue("local_registry")
    return Registry(request.getfixturevalue("registry_server"), tmp_path / "registry")
