"""Chest phantoms: generated studies in which everything is known."""

from harness.phantom.layout import make_phantom

__all__ = ["make_phantom"]
