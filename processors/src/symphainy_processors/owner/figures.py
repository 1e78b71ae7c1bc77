"""What an owner counts, for whoever watches it. Plain numbers: the hot path adds, nothing else."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

# Upper bounds of the lateness buckets, ms; the last bucket has none.
LATENESS_MS = (5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 60_000)


@dataclass(slots=True)
class Figures:
    """Since the process started, over all its partitions."""

    takeovers: int = 0
    takeover_s: float = 0.0  # in all, from the first read to the first decision
    terms_lost: int = 0
    timers: int = 0
    late_ms: int = 0  # in all
    lateness: list[int] = field(default_factory=lambda: [0] * (len(LATENESS_MS) + 1))

    def timer_fired(self, late_ms: int) -> None:
        """A timer was decided `late_ms` after it was due."""
        self.timers += 1
        self.late_ms += late_ms
        self.lateness[bisect_left(LATENESS_MS, late_ms)] += 1
