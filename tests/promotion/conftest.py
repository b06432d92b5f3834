"""A release in which everything holds; tests that break it take a copy."""

import shutil

import pytest
from release import Release


@pytest.fixture(scope="session")
def whole_release(tmp_path_factory):
    """Not to be changed."""
    return Release(tmp_path_factory.mktemp("release") / "release")


@pytest.fixture(scope="session")
def whole(whole_release):
    """Its policy and evidence, gathered; both are values that nothing changes."""
    with pytest.MonkeyPatch.context() as patch:
        return whole_release.gather(patch)


@pytest.fixture
def release(whole_release, whole, tmp_path):
    """A copy to break."""
    shutil.copytree(whole_release.root, tmp_path / "release")
    return Release.opened(tmp_path / "release", whole[1])
