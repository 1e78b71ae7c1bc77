"""How a handler ends whose execution is to end: asked, given time to clean up, abandoned.

An async handler gets `asyncio.CancelledError` where it awaits. A sync one runs in a thread, where
nothing can be raised: what it awaits through `ctx.wait` is cut off, and it may look at a flag. A
thread is waited for, also one that only a step runs in: what has not ended is not said to have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from symphainy.errors import Cancelled
from symphainy.worker.limits import Timer, Timers

T = TypeVar("T")

# What a handler has for its `finally`. Below the 6 s for which a stopping worker waits, so that
# what was told to end just before is reported as cancelled; above a rollback or an HTTP call.
CLEANUP_S = 5.0


class Ending:
    """Of one delivery. All on the loop, but for `requested`, which handler threads read."""

    __slots__ = ("_awaited", "_cut", "_loop", "_moved", "_threads", "_timer", "requested")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.requested = False
        """Whether the execution is to end."""
        self._loop = loop
        self._awaited: set[asyncio.Task[Any]] = set()  # by a sync handler, through `ctx.wait`
        self._cut: frozenset[asyncio.Task[Any]] = frozenset()
        self._threads: set[object] = set()  # that steps run in; one operation at a time on it
        self._moved: asyncio.Event | None = None
        self._timer: Timer | None = None

    def request(self) -> None:
        """It is to end: cut off what a sync handler awaits."""
        self._moved = asyncio.Event()
        self.requested = True
        self._cut = frozenset(self._awaited)
        for task in self._cut:
            task.cancel()

    def within(self, timers: Timers, seconds: float, abandon: Callable[[], None]) -> None:
        """Call `abandon` then, unless the handler has ended before."""
        self._timer = timers.call_at(timers.time() + seconds, abandon)

    async def awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await what a sync handler waits for.

        Raises:
            Cancelled: the request came meanwhile.
        """
        task = asyncio.current_task()
        assert task is not None
        self._awaited.add(task)
        try:
            return await coroutine
        except asyncio.CancelledError:
            if task in self._cut:
                raise Cancelled from None
            raise
        finally:
            self._awaited.discard(task)

    def in_thread(self, call: Callable[[], T]) -> Callable[[], T]:
        """A step's `call`, to be run in a thread; `settled` waits for it even if it is cut off."""
        one = object()
        self._threads.add(one)

        def run() -> T:
            try:
                if self.requested:
                    raise Cancelled
                return call()
            finally:
                self._threads.discard(one)
                # Requested later, `settled` looks only after that, and does not find it.
                if self.requested:
                    self._wake()

        return run

    def _wake(self) -> None:
        assert self._moved is not None
        with suppress(RuntimeError):  # the loop has ended; nobody waits
            self._loop.call_soon_threadsafe(self._moved.set)

    async def settled(self) -> None:
        """The handler has ended; return when its steps' threads have."""
        if self._timer is not None:
            self._timer.cancel()
        while self._threads and self._moved is not None:
            self._moved.clear()
            await self._moved.wait()
