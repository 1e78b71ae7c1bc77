"""Time that passes only when it is told to: the owner's clock, and the workers' timers.

Milliseconds since the epoch outside, seconds since the beginning towards a worker.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

# Each alarm that rings takes this long, as it would on any real clock: whoever asks again whether
# its moment has come, in floating point, sees that it has.
_RING_S = 1e-9


class Alarm:
    """A call that is to come at a moment."""

    __slots__ = ("callback", "cancelled", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        """`when` is in seconds since the beginning."""
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """It does not come."""
        self.cancelled = True


class VirtualTime:
    """A clock (`now_ms`, `monotonic`) and timers (`time`, `call_at`, `call_later`)."""

    def __init__(self, begin_ms: int, paused: Callable[[], None]) -> None:
        """Begin at `begin_ms`; `paused` is told of every pause that somebody takes."""
        self.now = begin_ms
        """Milliseconds since the epoch."""
        self._begin = begin_ms
        self._rung = 0.0
        self._numbers = count()
        self._alarms: list[tuple[int, int, Alarm]] = []
        self._pauses: list[Alarm] = []
        self._paused = paused

    def now_ms(self) -> int:
        """Wall clock in ms since the epoch."""
        return self.now

    def monotonic(self) -> float:
        """Seconds on a clock that never runs back."""
        return self.time()

    def time(self) -> float:
        """Seconds since the beginning."""
        return max((self.now - self._begin) / 1_000, self._rung)

    def call_at(self, when: float, callback: Callable[[], None], /) -> Alarm:
        """Call it at that moment; `when` is in seconds since the beginning."""
        alarm = Alarm(when, callback)
        heappush(self._alarms, (self._begin + round(when * 1_000), next(self._numbers), alarm))
        return alarm

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Alarm:
        """Call it when all handlers stand still: a pause is the loop's, not this clock's."""
        pause = Alarm(self.time(), callback)
        self._pauses.append(pause)
        self._paused()
        return pause

    def end_pauses(self) -> bool:
        """Everybody stands still: end the pauses; whether there were any."""
        pauses = [pause for pause in self._pauses if not pause.cancelled]
        self._pauses = []
        for pause in pauses:
            pause.callback()
        return bool(pauses)

    def next_alarm(self) -> int | None:
        """When the next alarm rings, ms since the epoch; None if there is none."""
        while self._alarms and self._alarms[0][2].cancelled:
            heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def go_to(self, moment: int) -> None:
        """Let time pass until `moment` (ms since the epoch), and ring what is due by then."""
        self.now = max(self.now, moment)
        due = []
        while self._alarms and self._alarms[0][0] <= self.now:
            due.append(heappop(self._alarms)[2])
        for alarm in due:
            if not alarm.cancelled:
                self._rung = max(self.time(), alarm.when) + _RING_S
                alarm.callback()
