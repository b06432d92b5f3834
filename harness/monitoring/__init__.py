"""Watching a model in production: windows of records to alerts, drift and cost.

A stream of records is cut into windows of event time. Each window becomes one entry of a
hash-chained log that holds its counts and what was decided on them; everything that spans several
windows is a sum over entries, so the log and the stream are the whole state.
"""

from harness.monitoring.monitor import Monitor

__all__ = ["Monitor"]
