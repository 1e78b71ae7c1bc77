"""Whether a worker may believe that its partitions are still its own.

A process that was stopped for longer than its session (SIGSTOP, a frozen machine) wakes up not
knowing that others have its partitions and run its tasks; its client even fetches on. So the pump
tells of every turn, and after one that came late it asks the group before anything is started.
"""

from __future__ import annotations

from symphainy_transport.clock import Clock

# Well below a session, so that nobody else has the partitions yet when doubt begins; well above
# what a turn takes.
STOPPED_S = 3.0


class Standing:
    """Of one consumer; read by the loop's thread, told by the pump's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sure_at = clock.monotonic()

    @property
    def sure(self) -> bool:
        """Whether the pump knew of it a moment ago."""
        return self._clock.monotonic() - self._sure_at < STOPPED_S

    def confirm(self) -> None:
        """The partitions that are held are our own now."""
        self._sure_at = self._clock.monotonic()
