"""Clocks that do not jump, and whether the one on the wall did."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

JUMP_S: Final = 0.5
"""A wall clock that strays further from the steady one between two looks was set, not steered."""


class Clock(Protocol):
    """What times are taken with; tests have their own."""

    def now(self) -> float:
        """Seconds since some fixed moment; never set, never stopped."""

    def wall(self) -> float:
        """Seconds since 1970, as the machine believes."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class SystemClock:
    """The machine's: CLOCK_BOOTTIME, which runs on while the machine sleeps, where there is one."""

    def now(self) -> float:
        """Seconds since the machine was started."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)

    @property
    def name(self) -> str:
        """Which clock, with its resolution, for the log."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            return f"CLOCK_BOOTTIME, resolution {time.clock_getres(time.CLOCK_BOOTTIME):g} s"
        return f"monotonic, resolution {time.get_clock_info('monotonic').resolution:g} s"


@dataclass(slots=True)
class Watch:
    """Compares the wall clock with the steady one, look by look."""

    clock: Clock
    _apart: float = field(init=False)

    def __post_init__(self) -> None:
        self._apart = self.clock.wall() - self.clock.now()

    def look(self) -> dict[str, Any] | None:
        """`wall_jumped_s` where the wall clock was set since the last look (positive: forward), else None."""
        apart = self.clock.wall() - self.clock.now()
        jump, self._apart = apart - self._apart, apart
        return {"wall_jumped_s": round(jump, 3)} if abs(jump) > JUMP_S else None
