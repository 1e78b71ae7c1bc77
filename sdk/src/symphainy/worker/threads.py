"""Threads for blocking handlers. Unlike concurrent.futures', they never keep a process alive.

A handler that hangs in a thread cannot be ended; a worker that was asked to stop must end all
the same, so these threads are daemons and nobody joins them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Job = Callable[[], None]


class Threads:
    """At most `limit` daemon threads, started when all others are busy."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._started = 0
        self._busy = 0  # counted on the loop: jobs given and not yet ended

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` in a thread, with this task's context variables; its value or exception.

        If the awaiting task is cancelled, the call goes on and its value is dropped.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = copy_context()

        def job() -> None:
            value: Any = None
            error: BaseException | None = None
            try:
                value = context.run(call)
            except BaseException as raised:  # whatever it is, it belongs to the caller
                error = raised
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._settle, future, value, error)

        self._busy += 1
        if self._busy > self._started and self._started < self._limit:
            self._started += 1
            name = f"{self._name}-{self._started}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._jobs.put(job)
        return await future

    def close(self) -> None:
        """End the idle threads; the others end with their job, or with the process."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _settle(self, future: asyncio.Future[T], value: T, error: BaseException | None) -> None:
        self._busy -= 1
        if future.cancelled():
            return
        if error is None:
            future.set_result(value)
        elif isinstance(error, StopIteration):  # a future refuses it
            future.set_exception(RuntimeError(f"StopIteration: {error.value!r}"))
        else:
            future.set_exception(error)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
