"""What a delivery stands on: its realm's engine, as it sees that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from symphainy.artifacts import Store
from symphainy.worker.limits import Timers
from symphainy_schemas.records import StepReport, Task
from symphainy_transport.privacy.content import Content

T = TypeVar("T")


class Ground(Protocol):
    """One realm's engine."""

    loop: asyncio.AbstractEventLoop
    timers: Timers
    worker_id: str
    inline_limit_bytes: int
    store: Store
    content: Content
    """What opens tasks and seals reports."""
    cleanup_s: float
    """How long a handler that is ended may clean up."""

    def now_ms(self) -> int:
        """Wall clock in ms since the epoch."""
        ...

    def send(self, report: StepReport, task: Task, acknowledged: Callable[[], None]) -> None:
        """Send a report; `acknowledged` is called on the loop when Kafka has it."""
        ...

    async def in_handler_thread(self, call: Callable[[], T]) -> T:
        """Run a sync handler."""
        ...

    async def in_step_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking step."""
        ...

    def left(self, partition: int, offset: int, size: int) -> None:
        """Handler and final report of the task that stands there are through."""
        ...
