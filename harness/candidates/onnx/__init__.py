"""Runs a package made by `harness export` with onnxruntime alone; torch is not imported."""
