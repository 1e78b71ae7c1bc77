"""Backpressure between the pump's thread and the event loop.

Each counter has one writing thread, so no lock is needed: the pump counts what it hands over, the
loop what it lets go.
"""

from __future__ import annotations

import threading


class Flow:
    """How many tasks, and how many bytes of them, a realm holds at once."""

    __slots__ = (
        "_awaited",
        "_handed",
        "_handed_bytes",
        "_limit",
        "_limit_bytes",
        "_released",
        "_released_bytes",
        "_roomy",
        "closed",
    )

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._handed = self._handed_bytes = 0
        self._released = self._released_bytes = 0
        self._roomy = threading.Event()
        self._awaited = False
        self.closed = False
        """Once set there is no room any more."""

    @property
    def held(self) -> int:
        """Tasks handed over and not yet released."""
        return self._handed - self._released

    def room(self) -> int:
        """How many more tasks may be handed over."""
        if self.closed or self._handed_bytes - self._released_bytes >= self._limit_bytes:
            return 0
        return self._limit - self.held

    def hand(self, tasks: int, size: int) -> None:
        """The pump handed over `tasks` of `size` bytes in all."""
        self._handed += tasks
        self._handed_bytes += size

    def release(self, size: int) -> None:
        """The loop let one task of `size` bytes go."""
        self._released += 1
        self._released_bytes += size
        # A quarter of the limit at a time: so a full worker takes batches, not single tasks.
        if self._awaited and self.room() * 4 >= self._limit:
            self._roomy.set()

    def wait(self, timeout_s: float) -> None:
        """Return when there is much room, or after `timeout_s`."""
        self._roomy.clear()
        self._awaited = True
        if self.room() * 4 < self._limit:
            self._roomy.wait(timeout_s)
        self._awaited = False
