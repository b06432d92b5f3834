"""What goes into the registry comes out as the very same candidate, or not at all."""

import contextlib
import shutil
import uuid
from pathlib import Path

import pytest

from harness.candidates import open_candidate
from harness.candidates.template import TemplateCandidate
from harness.errors import CandidateError, RegistryError, RegistryUnreachable
from harness.registry import Registry, versions
from harness.registry.versions import open_version, package, register
from registries import Flaky, add_version, in_child, make_weights, registering


@pytest.fixture
def name():
    """A model of this test's own: all tests share one server."""
    return f"model-{uuid.uuid4().hex[:8]}"


def put(registry, name, locator, alias="staging"):
    found = register(registry, name, package(locator))
    registry.move_alias(name, alias, found.version, expected=None, why="test")
    return found


class TestVersions:
    def test_a_folder_comes_out_as_the_candidate_that_went_in(self, registry, name, tmp_path, monkeypatch):
        locator = make_weights(tmp_path / "weights")
        digest = open_candidate(locator).digest()
        found = put(registry, name, locator)
        assert found.candidate == digest
        shutil.rmtree(tmp_path / "weights")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.store.tracking)
        for reference in (f"models:/{name}@staging", f"models:/{name}/{found.version}"):
            assert isinstance(open_candidate(reference), TemplateCandidate)
            assert open_candidate(reference).digest() == digest
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        named = f"models:/{name}@staging?registry={registry.store.registry}"
        assert open_candidate(named).digest() == digest

    def test_options_and_a_single_file_are_kept(self, registry, name, tmp_path):
        path = tmp_path / "some reports.jsonl"
        path.write_text('{"study_id": "a", "report": "No finding."}\n')
        found = put(registry, name, f"predictions:{path}?extra=allow")
        candidate = open_version(registry, found)
        assert (candidate.extra, candidate.path.name) == ("allow", "some reports.jsonl")
        assert candidate.path != path

    def test_a_candidate_that_comes_with_the_harness_has_no_files(self, registry, name):
        found = put(registry, name, "template")
        assert open_version(registry, found).digest() == open_candidate("template").digest()

    def test_the_same_candidate_is_one_version(self, registry, name, tmp_path):
        one = register(registry, name, package(make_weights(tmp_path / "one")))
        same = register(registry, name, package(make_weights(tmp_path / "copy")))
        other = register(registry, name, package(make_weights(tmp_path / "other", "other")))
        assert one == same
        assert other.version != one.version
        assert [found.version for found in registry.versions(name)] == [one.version, other.version]

    def test_changed_files_are_refused(self, registry, name, tmp_path):
        found = put(registry, name, make_weights(tmp_path / "weights"))
        registry.client.log_text(found.run_id, "other", "candidate/files/model.safetensors")
        with pytest.raises(CandidateError, match="are not those that were promoted; it must not be used"):
            open_version(registry, found)

    def test_other_code_is_refused_and_told_apart_from_other_files(
        self, registry, name, tmp_path, monkeypatch
    ):
        found = put(registry, name, make_weights(tmp_path / "weights"))
        monkeypatch.setattr(TemplateCandidate, "digest", lambda self: "0" * 64)
        with pytest.raises(CandidateError, match="but the code that runs them is not"):
            open_version(registry, found)

    @pytest.mark.slow
    def test_killed_at_any_step_it_is_registered_once(self, registry, name, tmp_path):
        locator, step = make_weights(tmp_path / "weights"), 0
        place = (registry.store.registry, registry.store.folder)
        while (code := in_child(registering, *place, step, name, locator)) != 0:
            assert code == -9
            assert name not in registry.names() or not registry.versions(name)
            step += 1
            assert step < 20
        assert step >= 3
        (found,) = registry.versions(name)
        assert open_version(registry, found).digest() == found.candidate
        # What a dead process had begun to fill was taken up, not left lying.
        experiment = registry.client.get_experiment_by_name(name)
        runs = registry.client.search_runs([experiment.experiment_id])
        assert [run.info.status for run in runs] == ["FINISHED"] * len(runs)

    def test_out_of_reach_at_any_step_the_same_call_goes_on(self, registry, name, tmp_path):
        content, found, step = package(make_weights(tmp_path / "weights")), None, 0
        while found is None:
            with contextlib.suppress(RegistryUnreachable), Flaky(registry, step):
                found = register(registry, name, content)
            step += 1
            assert step < 20
        assert step > 5
        assert open_version(registry, found).digest() == content.digest

    def test_a_version_that_the_harness_did_not_register_is_refused(self, registry, name):
        found = registry.version(name, add_version(registry, name))
        assert found.candidate == ""
        with pytest.raises(CandidateError, match="was not put there by harness promote"):
            open_version(registry, found)


def test_files_that_change_while_they_are_copied_are_refused(local_registry, tmp_path, monkeypatch):
    content = package(make_weights(tmp_path / "weights"))
    upload = local_registry.client.log_artifacts

    def changing(*arguments):
        upload(*arguments)
        (tmp_path / "weights" / "config.json").write_text("{ }")

    monkeypatch.setattr(local_registry.client, "log_artifacts", changing)
    with pytest.raises(CandidateError, match="was changed while it was copied"):
        register(local_registry, "model", content)
    assert local_registry.names() == []


def test_files_that_are_gone_are_told(local_registry, tmp_path):
    found = put(local_registry, "model", make_weights(tmp_path / "weights"))
    shutil.rmtree(local_registry.store.folder / "artifacts")
    with pytest.raises(RegistryError, match="its files are gone"):
        open_version(local_registry, found)


def test_files_are_fetched_from_a_server_once_and_again_when_damaged(
    registry_server, name, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    registry = Registry(registry_server, tmp_path)
    found = put(registry, name, make_weights(tmp_path / "weights"))
    fetch, fetched = versions._fetch, []
    monkeypatch.setattr(versions, "_fetch", lambda *of: fetched.append(fetch(*of)))
    path = Path(open_version(registry, found).classifier.directory)
    assert path.is_relative_to(tmp_path / "cache")
    open_version(registry, found)
    assert len(fetched) == 1
    (path / "model.safetensors").write_text("damaged")
    assert open_version(registry, found).digest() == found.candidate
    assert len(fetched) == 2
    assert [folder.name for folder in (tmp_path / "cache/harness/candidates").iterdir()] == [found.candidate]
