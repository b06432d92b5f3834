"""Cohorts and runs that several tests read. Nothing here may be changed by a test."""

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


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory):
    """300 phantom studies with small pictures, in all three splits."""
    root = tmp_path_factory.mktemp("phantom") / "cohort"
    make_phantom(root, 300, 7, test_share=0.5, image_size=64, workers=1)
    return root


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
def large_root(tmp_path_factory):
    """2,000 held-out phantom studies with tiny pictures: enough to decide the regulatory suite."""
    root = tmp_path_factory.mktemp("phantom") / "large"
    make_phantom(root, 2000, 11, test_share=1.0, image_size=64, workers=2)
    return root


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
def finished_run(tmp_path_factory, phantom_root):
    """A run under a lock: some findings missed, some studies without a report."""
    folder = tmp_path_factory.mktemp("evidence")
    path = write_suite(folder, EVIDENCE_SUITE)
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


@pytest.fixture(scope="session")
def small_root(tmp_path_factory):
    """90 phantom studies with small pictures, in the splits train and validate."""
    root = tmp_path_factory.mktemp("phantom") / "small"
    make_phantom(root, 90, 9, test_share=0.0, image_size=64, workers=1)
    return root


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
