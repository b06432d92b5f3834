"""What Prometheus is told: counts and times, of no study."""

from __future__ import annotations

from typing import Any, Final

from harness.outcome import Status

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60)


class Metrics:
    """The service's metrics, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        named: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "harness_service_requests", "Requests for a report, by HTTP status.", ["status"], **named
        )
        self.outcomes = Counter(
            "harness_service_outcomes", "What came of asking the candidate.", ["status"], **named
        )
        for status in Status:  # there from the start, so that a rate can be taken of the first one
            self.outcomes.labels(status.value)
        self.reviews = Counter(
            "harness_service_reviews", "Reports that require a radiologist's review.", **named
        )
        self.replays = Counter("harness_service_replays", "Answers that were given before.", **named)
        self.seconds = Histogram(
            "harness_service_request_seconds",
            "From a request's arrival to its answer.",
            buckets=_SECONDS,
            **named,
        )
        self.fetching = Histogram(
            "harness_service_fetch_seconds",
            "To get a study's pictures and check them.",
            buckets=_SECONDS,
            **named,
        )
        self.candidate = Histogram(
            "harness_service_candidate_seconds",
            "From handing a batch over to its answers.",
            buckets=_SECONDS,
            **named,
        )
        self.batches = Histogram(
            "harness_service_batch_studies", "Studies of one batch.", buckets=range(1, 9), **named
        )
        self.taken = Gauge("harness_service_taken", "Requests taken and not yet answered.", **named)
        self.waiting = Gauge("harness_service_waiting", "Studies that wait for a worker.", **named)
        self.workers = Gauge("harness_service_workers_up", "Workers that can be asked.", **named)

    def text(self) -> tuple[bytes, str]:
        """All of them, and the content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST
