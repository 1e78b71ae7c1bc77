"""Virtual time and what happens in it, in order. The only clock there is.

An actor may let time go on while it stands in the middle of something (`run_to` inside an event):
the others act meanwhile, as they do around a process that waits or is not scheduled.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

EPOCH_MS = 1_750_000_000_000
MS = 1_000
S = 1_000_000
Event = Callable[[], None]


class Runaway(AssertionError):
    """Far more happened than a run can need: something goes round in circles."""


class Events:
    """What is to happen, by time in microseconds; at one time in the order of its scheduling."""

    def __init__(self, most: int) -> None:
        """At most `most` events; more is a `Runaway`."""
        self.now = 0
        self._left = most
        self._heap: list[tuple[int, int, Event]] = []
        self._number = 0

    @property
    def now_ms(self) -> int:
        """True time, ms since the epoch."""
        return EPOCH_MS + self.now // MS

    def at(self, us: int, what: Event) -> None:
        """Let it happen at `us`, or at once if that has passed."""
        self._number += 1
        heapq.heappush(self._heap, (max(us, self.now), self._number, what))

    def after(self, us: int, what: Event) -> None:
        """Let it happen `us` from now."""
        self.at(self.now + us, what)

    def run_to(self, us: int) -> None:
        """Let everything happen up to `us`.

        Raises:
            Runaway: more events than there can be.
        """
        heap = self._heap
        while heap and heap[0][0] <= us:
            at, _, what = heapq.heappop(heap)
            if at > self.now:
                self.now = at
            self._left -= 1
            if self._left < 0:
                raise Runaway(f"too many events by {self.now / S:.3f} s")
            what()
        if us > self.now:
            self.now = us
