"""Chest phantoms: generated studies in which everything is known."""
