"""When a running handler is ended: at its timeout, or when it shows no sign of life for too long.

The owner gives an attempt up by the same limits, counted from what it reads; so a sign of life
counts here only once Kafka has it, and from when it was sent: here it ends no later than there.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from symphainy.invocation import Failed, silent, timed_out
from symphainy_schemas.records import Task


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """It does not come."""
        ...


class Loop(Protocol):
    """What an event loop offers of time, in seconds."""

    def time(self) -> float:
        """Now."""
        ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        """Call it then."""
        ...


class Timers(Loop, Protocol):
    """What a worker needs of time: moments for limits, and pauses of a few turns of the loop."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer:
        """Call it after a pause in which the loop turns; who skips time may cut the pause short."""
        ...


class Limits:
    """Of one delivery; times are the loop's, in seconds."""

    __slots__ = ("_begun", "_expired", "_loop", "_sign", "_task", "_timer")

    def __init__(
        self,
        loop: Loop,
        task: Task,
        begun: float,
        expired: Callable[[Failed], None],
    ) -> None:
        """`expired` is called once, by which limit."""
        self._loop = loop
        self._task = task
        self._begun = self._sign = begun
        self._expired = expired
        self._timer: Timer | None = None

    def watch(self) -> None:
        """From now on; a second time changes nothing."""
        if self._timer is None:
            self._await()

    def sign(self, sent_at: float) -> None:
        """A sign of life that was sent then is in Kafka."""
        self._sign = max(self._sign, sent_at)

    def stop(self) -> None:
        """It has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _await(self) -> None:
        earliest = min(self._ends_at(), self._silent_at())
        if earliest < inf:
            self._timer = self._loop.call_at(earliest, self._check)

    def _check(self) -> None:
        now, task = self._loop.time(), self._task
        if now >= self._ends_at():
            self._expired(timed_out(task.timeout_ms))
        elif now >= self._silent_at():
            self._expired(silent(task.heartbeat_ms))
        else:
            self._await()

    def _ends_at(self) -> float:
        limit_ms = self._task.timeout_ms
        return self._begun + limit_ms / 1000 if limit_ms else inf

    def _silent_at(self) -> float:
        limit_ms = self._task.heartbeat_ms
        return self._sign + limit_ms / 1000 if limit_ms else inf


def shortest_ms(task: Task) -> int:
    """The first of its limits to come; 0 if it has none."""
    return min((x for x in (task.timeout_ms, task.heartbeat_ms) if x), default=0)
