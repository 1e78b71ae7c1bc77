"""Whether a worker may believe that its partitions are still its own.

A process that was stopped for longer than its session (SIGSTOP, a frozen machine) wakes up not
knowing that others have its partitions and run its tasks; its client even fetches on. So the pump
tells of every turn, and after one that came late it asks the group before anything is started.
"""

from __future__ import annotations

from collections.abc import Callable

# Well below a session, so that nobody else has the partitions yet when doubt begins; well above
# what a turn takes.
STOPPED_S = 3.0


class Standing:
    """Of one consumer; read by the loop's thread, told by the pump's."""

    __slots__ = ("_now", "_stopped_s", "_sure_at")

    def __init__(self, now: Callable[[], float], stopped_s: float = STOPPED_S) -> None:
        """`now` tells seconds that never run back; a turn is late after `stopped_s`."""
        self._now = now
        self._stopped_s = stopped_s
        self._sure_at = now()

    @property
    def sure(self) -> bool:
        """Whether the pump knew of it a moment ago."""
        return self._now() - self._sure_at < self._stopped_s

    def asked(self) -> float:
        """The time of a question to the group, for `confirm`."""
        return self._now()

    def confirm(self, asked: float) -> None:
        """The partitions that were held when this was asked were our own then.

        Not when the answer came: the process may have been stopped in between.
        """
        self._sure_at = asked
