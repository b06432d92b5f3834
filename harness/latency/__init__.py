"""How long reports take: of an ordinary run, and by a protocol of their own on a named device."""

from harness.latency.of_run import measure_latency, processor_of

__all__ = ["measure_latency", "processor_of"]
