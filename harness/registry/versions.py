"""What a version of the registry holds: a candidate's files, how it is opened, and its digest."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlparse
from urllib.request import url2pathname

from harness import __version__
from harness.candidates import open_candidate, split_locator
from harness.candidates.base import Candidate
from harness.digests import digest_file, digest_value
from harness.errors import CandidateError, HarnessError, RegistryError
from harness.registry.claims import is_dead, this_process
from harness.registry.registry import CANDIDATE, RegisteredVersion, Registry
from harness.registry.store import code_of, speaking_to

FOLDER: Final = "candidate"
"""Where the files of a version lie among the artifacts of its MLflow run."""
_CARD: Final = "candidate.json"
_FILES: Final = "files"
_OWNER: Final = "harness.owner"
_DIGEST: Final = "harness.files"
_VERSION: Final = "harness.version"


@dataclass(frozen=True, slots=True)
class Package:
    """A candidate as it goes into the registry."""

    kind: str
    options: dict[str, str]
    path: Path | None
    """Its checkpoint's or package's folder, or its file; None where it comes along with the harness or
    runs elsewhere."""
    where: str
    """The locator's path, for a candidate that has no files here."""
    digest: str
    """The candidate's content digest."""

    def files(self) -> dict[str, str]:
        """Name -> SHA-256 of every file, sorted."""
        if self.path is None:
            return {}
        if self.path.is_file():
            return {self.path.name: digest_file(self.path)}
        return _digests(self.path)

    def card(self) -> dict[str, Any]:
        """What is written beside the files."""
        single = self.path.name if self.path is not None and self.path.is_file() else None
        return {
            "format": 1,
            "kind": self.kind,
            "options": dict(sorted(self.options.items())),
            "where": "" if self.path is not None else self.where,
            "file": single,
            "files": self.files(),
            "candidate": self.digest,
            "harness": __version__,
        }


def package(locator: str) -> Package:
    """A candidate, named as `--candidate` names it, with its files.

    Raises:
        HarnessError: it cannot be opened.
    """
    digest = open_candidate(locator).digest()
    kind, path, options = split_locator(locator)
    there = Path(path) if path and Path(path).exists() else None
    return Package(kind, options, there, path, digest)


def register(registry: Registry, name: str, content: Package) -> RegisteredVersion:
    """The version of a candidate under a name; makes it where there is none, its files first.

    Cut off anywhere, the same call starts again: a version is there only when its files are.

    Raises:
        RegistryError: no answer, or it refuses. CandidateError: the files changed meanwhile.
    """
    if name in registry.names() and (found := registry.versions(name, content.digest)):
        return found[-1]
    client = registry.client
    with speaking_to(registry.store):
        run = _run(registry, name, content.digest)
        card = content.card()
        if content.path is not None:
            upload = client.log_artifacts if content.path.is_dir() else client.log_artifact
            upload(run.info.run_id, str(content.path), f"{FOLDER}/{_FILES}")
            if content.files() != card["files"]:
                raise CandidateError(f"{content.path}: was changed while it was copied; judge it anew")
        client.log_text(run.info.run_id, json.dumps(card, indent=1) + "\n", f"{FOLDER}/{_CARD}")
        client.set_terminated(run.info.run_id, "FINISHED")
        _unless_there(client.create_registered_model, name)
        version = client.create_model_version(
            name,
            f"{run.info.artifact_uri}/{FOLDER}",
            run.info.run_id,
            tags={
                CANDIDATE: content.digest,
                "harness.kind": content.kind,
                _DIGEST: digest_value(card["files"]),
                _VERSION: __version__,
            },
            await_creation_for=0,
        )
    return registry.version(name, str(version.version))


def open_version(registry: Registry, version: RegisteredVersion, *, fresh: bool = False) -> Candidate:
    """The candidate that a version holds; its files are fetched once where a server keeps them.

    Args:
        registry: where it is.
        version: which.
        fresh: fetch them anew, to see what the server holds now.

    Raises:
        CandidateError: it is not, to the last bit, the candidate that was registered.
        RegistryError: its files are not there, or no answer.
    """
    if not version.candidate:
        raise CandidateError(f"{version.reference}: was not put there by harness promote")
    client = registry.client
    with speaking_to(registry.store):
        uri = urlparse(client.get_run(version.run_id).info.artifact_uri)
    if uri.scheme in ("", "file"):
        folder = Path(url2pathname(uri.path)) / FOLDER
        if folder.is_dir():
            return _opened(folder, version)
        if registry.store.database:
            raise RegistryError(f"{version.reference}: its files are gone; they were in {folder}")
    kept = _cache() / version.candidate
    if kept.exists() and not fresh:
        with contextlib.suppress(HarnessError):  # damaged here; a fresh copy decides
            return _opened(kept, version)
    _fetch(registry, version, kept)
    return _opened(kept, version)


def attach(registry: Registry, version: RegisteredVersion, folder: Path, place: str) -> None:
    """Puts the files of a folder among the artifacts of a version.

    Raises:
        RegistryError: no answer, or it refuses.
    """
    with speaking_to(registry.store):
        registry.client.log_artifacts(version.run_id, str(folder), place)


def _run(registry: Registry, name: str, digest: str) -> Any:
    """An MLflow run to keep the files: one that a process left half filled when it died, or a new one."""
    client = registry.client
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        _unless_there(client.create_experiment, name, registry.store.artifacts)
        experiment = client.get_experiment_by_name(name)
    where = f"tags.`{CANDIDATE}` = '{digest}' and attributes.status = 'RUNNING'"
    for run in client.search_runs([experiment.experiment_id], where):
        if is_dead(run.data.tags.get(_OWNER, "")):
            client.set_tag(run.info.run_id, _OWNER, this_process())
            return run
    tags = {CANDIDATE: digest, _OWNER: this_process()}
    return client.create_run(experiment.experiment_id, tags=tags, run_name=digest[:12])


def _unless_there(make: Callable[..., Any], *arguments: Any) -> None:
    try:
        make(*arguments)
    except Exception as error:
        if code_of(error) != "RESOURCE_ALREADY_EXISTS":
            raise


def _opened(folder: Path, version: RegisteredVersion) -> Candidate:
    try:
        card = json.loads((folder / _CARD).read_bytes())
        kind, file, options = str(card["kind"]), card["file"], dict(card["options"])
        path = str(card["where"])
        if card["files"]:
            path = str(folder / _FILES / (file or ""))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CandidateError(f"{folder / _CARD}: cannot be read ({type(error).__name__})") from None
    candidate = open_candidate(f"{kind}:{path}" + (f"?{urlencode(options)}" if options else ""))
    if candidate.digest() != version.candidate:
        files = digest_value(_digests(folder / _FILES))
        if files != version.tags.get(_DIGEST):
            what = f"its files in {folder} are not those that were promoted; it must not be used"
        else:
            what = (
                f"its files are those that were promoted, but the code that runs them is not: harness "
                f"{version.tags.get(_VERSION, '?')} then, {__version__} now; judge and promote it anew"
            )
        raise CandidateError(f"{version.reference}: {what}")
    return candidate


def _fetch(registry: Registry, version: RegisteredVersion, kept: Path) -> None:
    """Puts the files of a version into the cache, whole or not at all."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetching-") as folder:
            with speaking_to(registry.store):
                registry.client.download_artifacts(version.run_id, FOLDER, folder)
            shutil.rmtree(kept, ignore_errors=True)
            with contextlib.suppress(FileExistsError):  # another process was as quick
                (Path(folder) / FOLDER).rename(kept)
    except OSError as error:
        raise CandidateError(f"{kept}: cannot be written: {error.strerror}; free some space") from None


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "harness" / "candidates"


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in files}
