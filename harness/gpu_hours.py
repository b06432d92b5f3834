"""What an hour of a GPU buys."""

from __future__ import annotations

from typing import Final

GPU_USD_PER_HOUR: Final = 3.20


def studies_per_hour(seconds_per_study: float, gpus: int = 1) -> float:
    """Studies an hour that so many GPUs can do, each busy for so many seconds with one."""
    return gpus * 3600 / seconds_per_study


def usd_per_study(usd_per_hour: float, studies: float) -> float:
    """What a study costs where a GPU that is rented by the hour does so many of them an hour."""
    return usd_per_hour / studies
