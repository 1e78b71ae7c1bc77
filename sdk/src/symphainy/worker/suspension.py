"""When a handler that waits gives up its worker.

A delivery is suspended when its handler waits for the runtime and does nothing else that the
runtime knows of: no `ctx.step` runs, nothing is being recorded. Its process then holds nothing of
it; once one of its waits has ended, another delivery runs the handler again, past everything that
was recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from symphainy.worker.limits import Timer, Timers
from symphainy_schemas.records import Wait

# Between the last thing that the handler did and its suspension: a handler that starts several
# waits or steps side by side does so within one turn of the loop.
SETTLE_S = 0.005


class Suspension:
    """What one handler waits for, and whether it is at work beside it."""

    __slots__ = ("_at_work", "_loop", "_suspend", "_timer", "_timers", "_waits")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        suspend: Callable[[tuple[Wait, ...]], None],
        timers: Timers | None = None,
    ) -> None:
        """`suspend` reports it, and ends the handler; `timers` are the loop's own if None."""
        self._loop = loop
        self._timers: Timers = loop if timers is None else timers
        self._suspend = suspend
        self._waits: dict[str, tuple[Wait, asyncio.Future[None]]] = {}
        self._at_work = 0
        self._timer: Timer | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The handler does something that must not be cut off."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
            self._look()

    async def wait_for(self, wait: Wait) -> None:
        """Never returns: the handler is ended here, and run again when the wait has ended."""
        ended = self._loop.create_future()
        self._waits[wait.name] = (wait, ended)
        self._look()
        try:
            await ended
        finally:
            self._waits.pop(wait.name, None)

    def end(self) -> None:
        """The handler is being ended: whatever waits in a thread goes on to its end."""
        if self._timer is not None:
            self._timer.cancel()
        for _, ended in list(self._waits.values()):
            ended.cancel()

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waits and not self._at_work:
            self._timer = self._timers.call_later(SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._timer = None
        if self._waits and not self._at_work:
            self._suspend(tuple(wait for wait, _ in self._waits.values()))
