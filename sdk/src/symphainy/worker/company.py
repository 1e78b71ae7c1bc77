"""What one worker process runs at a time, over all its realms: anything, or one task alone.

A task that several workers in a row were lost with runs with nothing beside it: if it is the task
that ends them, it then takes nobody with it.
"""

from __future__ import annotations

from collections.abc import Callable


class Company:
    """Counts what runs; on the loop's thread."""

    __slots__ = ("_alone", "_running", "_waiting")

    def __init__(self) -> None:
        self._running = 0
        self._alone = False
        self._waiting: list[Callable[[], None]] = []

    @property
    def closed(self) -> bool:
        """Whether something runs that nothing may run beside."""
        return self._alone

    def admits(self, *, alone: bool) -> bool:
        """Whether one more may start; nothing does before what waits for all others to end."""
        return not self._alone and not self._waiting and not (alone and self._running)

    def enter(self, *, alone: bool) -> None:
        """It starts."""
        self._running += 1
        self._alone = alone

    def leave(self) -> None:
        """One has ended."""
        self._running -= 1
        if not self._running:
            self._alone = False
            waiting, self._waiting = self._waiting, []
            for told in waiting:
                told()

    def when_empty(self, told: Callable[[], None]) -> None:
        """Tell when nothing runs any more, once."""
        if told not in self._waiting:
            self._waiting.append(told)
