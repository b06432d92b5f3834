"""Which studies each micro-batch holds: a function of seed, stage, epoch and process alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_POOL = 16
"""Micro-batches from which studies of like length are put together, so that there is little padding."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """Draws the studies of an epoch and deals them to processes.

    The position in an epoch is all that a resumed training needs. One process of k is dealt every
    k-th micro-batch, so that a step of k processes of `accumulate` micro-batches learns from the
    same studies as one process of `k * accumulate`.
    """

    lengths: NDArray[np.int64]
    """Length of each study's text, in any unit."""
    batch: int
    """Studies a micro-batch."""
    group: int
    """Micro-batches a step, over all processes."""
    seed: int

    @property
    def steps(self) -> int:
        """Steps an epoch; at least one, for which a small cohort is gone through repeatedly."""
        return max(1, len(self.lengths) // (self.batch * self.group))

    def epoch(self, stage: int, epoch: int) -> list[list[NDArray[np.int64]]]:
        """For each step its micro-batches, for each its studies' indices, shape (batch,).

        A random order without repetition, less a last part that fills no step.
        """
        rng = np.random.default_rng([self.seed, stage, epoch])
        size, wanted = len(self.lengths), self.steps * self.group * self.batch
        rounds = -(-wanted // size)
        order = np.concatenate([rng.permutation(size) for _ in range(rounds)])[:wanted]
        pools = [order[at : at + _POOL * self.batch] for at in range(0, wanted, _POOL * self.batch)]
        alike = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = alike.reshape(-1, self.batch)[rng.permutation(wanted // self.batch)]
        return [list(step) for step in batches.reshape(self.steps, self.group, self.batch)]


def dealt(step: Sequence[NDArray[np.int64]], process: int, processes: int) -> list[NDArray[np.int64]]:
    """The micro-batches of a step that one of some processes computes."""
    return list(step[process::processes])
