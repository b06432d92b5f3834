"""Evaluation and regulatory validation of automated radiology report generation."""

__version__ = "0.1.0"
