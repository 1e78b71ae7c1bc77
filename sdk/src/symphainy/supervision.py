"""What a handler's context stands on: whoever runs the handler, on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from symphainy.steps import Steps
from symphainy_schemas.records import Call, Wait

T = TypeVar("T")


class Supervision(Protocol):
    """Whoever runs the handler, on one event loop."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which all awaitables of a context run."""
        ...

    def now_ms(self) -> int:
        """Wall clock, ms since the epoch."""
        ...

    @property
    def started_at(self) -> int:
        """When the handler started, ms since the epoch."""
        ...

    @property
    def cancel_requested(self) -> bool:
        """Whether the execution is to end."""
        ...

    def steps(self) -> Steps:
        """The steps of this delivery."""
        ...

    def at_work(self) -> AbstractContextManager[None]:
        """While a step runs; else a handler that waits may be suspended."""
        ...

    async def wait_for(self, wait: Wait) -> None:
        """Give the worker up until the wait has ended; the handler is ended here."""
        ...

    async def record(self, name: str, result: bytes) -> None:
        """Report a checkpoint; return when it is recorded for good."""
        ...

    async def call(self, name: str, call: Call) -> None:
        """Report an invocation; return when it is recorded for good."""
        ...

    async def report_progress(self, message: str) -> None:
        """Report a sign of life; return when it is recorded."""
        ...

    async def awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await what a sync handler waits for, until the execution is to end."""
        ...

    async def in_handler_thread(self, call: Callable[[], T]) -> T:
        """Run a sync handler beside the loop."""
        ...

    async def in_step_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking step beside the loop, and beside the handlers, which wait for it."""
        ...
