"""A candidate out of the model registry."""

from __future__ import annotations

from pathlib import Path

from harness.candidates.base import Candidate


def open_registered(path: Path, registry: str | None = None) -> Candidate:
    """The candidate of a version, as it was promoted; its digest is checked.

    Args:
        path: what `models:` names: `/NAME@ALIAS` or `/NAME/VERSION`.
        registry: the registry's URI or folder; see `harness.registry.registry.Registry`.

    Raises:
        RegistryError: no such model, alias or version, or no answer.
        CandidateError: it is not the candidate that was promoted.
    """
    from harness.registry import Registry
    from harness.registry.versions import open_version

    found = Registry(registry)
    return open_version(found, found.resolve(f"models:{path.as_posix()}"))
