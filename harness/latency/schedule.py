"""When studies arrive in the open loop, and which: a function of the suite's seed and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.inference.keyed_random import cluster_keys, keyed_bits
from harness.latency.suite import CLOSED, LatencySuite


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of the schedule."""

    name: str
    """`closed`, or `open-1`, `open-2`, ... in the order of the suite."""
    studies: int
    first: int
    """Place of its first study in the order of all requests: stages ask for different studies as long as
    the cohort has so many."""
    rate_per_hour: float | None = None
    load: float | None = None

    def rate(self, capacity_per_hour: float) -> float:
        """Studies an hour that arrive."""
        if self.rate_per_hour is not None:
            return self.rate_per_hour
        return (self.load or 0.0) * capacity_per_hour

    def study(self, number: int, there: int) -> int:
        """Which of so many studies request `number` is about."""
        return (self.first + number) % there


def stages_of(suite: LatencySuite) -> list[Stage]:
    """The closed loop, and each step of the open one, in the order of the suite."""
    found = [Stage(CLOSED, suite.closed.studies, 0)]
    for place, step in enumerate(suite.steps, 1):
        first = found[-1].first + found[-1].studies
        found.append(Stage(f"open-{place}", step.studies, first, step.rate_per_hour, step.load))
    return found


def warm_up_places(suite: LatencySuite, there: int) -> list[int]:
    """Which of so many studies warm up: from the far end, for what is timed should not have been seen."""
    return [there - 1 - number % there for number in range(suite.warm_up)]


def order(study_ids: Sequence[str], seed: int) -> list[int]:
    """Places of the studies in the order in which they are asked: by a keyed hash of their ids."""
    keys = cluster_keys(study_ids, seed, "latency order")
    return sorted(range(len(study_ids)), key=lambda place: (int(keys[place]), study_ids[place]))


def gaps(stage: str, count: int, rate_per_hour: float, seed: int) -> NDArray[np.float64]:
    """Seconds between arrivals of a Poisson process, shape (count,); the first from the stage's start."""
    bits = keyed_bits(cluster_keys([stage], seed, "latency arrival"), 0, count)[:, 0]
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    found: NDArray[np.float64] = -np.log(uniform) * 3600 / rate_per_hour
    return found
