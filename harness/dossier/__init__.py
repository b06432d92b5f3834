"""The proof, for a person."""

from harness.dossier.render import write_dossier

__all__ = ["write_dossier"]
