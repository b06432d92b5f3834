"""What the tests of packages share; nothing here may be changed by a test."""

import pytest

from tiny_package import make_checkpoint, make_package


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A checkpoint's folder and its model."""
    folder = tmp_path_factory.mktemp("onnx") / "tiny"
    return folder, make_checkpoint(folder)


@pytest.fixture(scope="session")
def package(checkpoint):
    folder, model = checkpoint
    out = folder.parent / "package"
    make_package(model, folder, out)
    return out
