"""The proof, for a person."""
