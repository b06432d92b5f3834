"""How long a validation of many studies takes on how many machines, from measured seconds a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds a study of each part; of a model on one GPU, and of the harness on one core."""

    candidate_s: float
    """The model's own time on its GPU."""
    handling_s: float
    """Of the one process that hands studies out and writes the ledger; it cannot be divided."""
    reading_s: float
    """Labels and rows; divided between any number of cores."""
    concluding_s: float
    """Estimates, verdict and checks, once at the end, in one process."""


@dataclass(frozen=True, slots=True)
class Need:
    """What is asked."""

    studies: float
    gpus: int = 1
    cores: int = 2
    """That read reports."""


@dataclass(frozen=True, slots=True)
class Hours:
    """How long it takes, part by part."""

    need: Need
    gpu: float
    """The candidate, on all GPUs at once."""
    handling: float
    """The one process that hands out and writes, if it never waits."""
    reading: float
    concluding: float

    @property
    def asking(self) -> float:
        """The candidate's answers: as long as the slower of the GPUs and the process that feeds them."""
        return max(self.gpu, self.handling)

    @property
    def whole(self) -> float:
        """Wall time."""
        return self.asking + self.reading + self.concluding

    @property
    def overhead(self) -> float:
        """Wall time over the GPUs' own, less 1."""
        return self.whole / self.gpu - 1 if self.gpu else float("inf")

    def __str__(self) -> str:
        need = self.need
        slow = "the GPUs" if self.gpu >= self.handling else "the process that hands out, not the GPUs,"
        return (
            f"{need.studies:,.0f} studies on {need.gpus} GPUs and {need.cores} cores: {self.whole:,.1f} h "
            f"(asking {self.asking:,.2f}, reading {self.reading:,.2f}, concluding {self.concluding:,.2f}); "
            f"{slow} set the pace of asking; {need.studies / self.whole / 3600:,.0f} studies/s"
        )


def needed(measured: Measured, need: Need) -> Hours:
    """The hours of each part.

    Every part is taken to grow in proportion to the studies, as `benchmarks/bench_scale.py` measures
    that it does, and to wait for nothing else: disk, network and a cluster's losses come on top.

    Args:
        measured: seconds a study.
        need: studies and machines.

    Raises:
        ValueError: no GPU or no core.
    """
    if need.gpus < 1 or need.cores < 1:
        raise ValueError("at least one GPU and one core are needed")
    hours = need.studies / 3600
    return Hours(
        need=need,
        gpu=hours * measured.candidate_s / need.gpus,
        handling=hours * measured.handling_s,
        reading=hours * measured.reading_s / need.cores,
        concluding=hours * measured.concluding_s,
    )
