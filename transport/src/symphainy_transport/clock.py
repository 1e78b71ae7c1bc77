"""The clock, as a port: shells hold one and hand `now` to pure code."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> int:
        """Wall clock in ms since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never runs back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Wall clock in ms since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds on a clock that never runs back."""
        return time.monotonic()
