"""One delivery in the worker's hands: from the start of its handler to its final report.

It has exactly one final report. After it, nothing that the handler still does is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from symphainy.artifacts import Store
from symphainy.context import Context
from symphainy.errors import TerminalError
from symphainy.invocation import Failed, Succeeded, failed, invoke
from symphainy.steps import Steps
from symphainy.worker.admission import Entry
from symphainy.worker.ledger import Lease
from symphainy.worker.limits import Limits, Timers
from symphainy.worker.reports import progress_text, told
from symphainy.worker.suspension import Suspension
from symphainy_schemas.records import ReportKind, StepReport, Task, Wait

T = TypeVar("T")
_log = logging.getLogger("symphainy.worker")


class Ground(Protocol):
    """What a delivery stands on: the realm's engine."""

    loop: asyncio.AbstractEventLoop
    timers: Timers
    worker_id: str
    inline_limit_bytes: int
    store: Store

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

    def left(self, delivery: Delivery) -> None:
        """Handler and final report of the delivery are through."""
        ...


class Delivery:
    """A task whose handler was started."""

    __slots__ = (
        "_acknowledged",
        "_announced",
        "_ground",
        "_limits",
        "_returned",
        "_steps",
        "_suspension",
        "begun",
        "entry",
        "final",
        "job",
        "lease",
        "offset",
        "queued_ms",
        "size",
        "started_at",
        "task",
    )

    def __init__(
        self,
        ground: Ground,
        task: Task,
        entry: Entry,
        lease: Lease,
        offset: int,
        size: int,
        queued_ms: int,
    ) -> None:
        """`queued_ms`: how long it lay here before a slot was free."""
        self._ground = ground
        self.queued_ms = queued_ms
        self.task = task
        self.entry = entry
        self.lease = lease
        self.offset = offset
        self.size = size
        self.started_at = ground.now_ms()
        self.begun = ground.timers.time()
        self.final = False
        """Whether the final report was sent."""
        self.job: asyncio.Task[None] | None = None
        self._announced = self._returned = self._acknowledged = False
        self._steps = Steps(task.checkpoints, ground.inline_limit_bytes)
        self._suspension: Suspension | None = None
        self._limits = Limits(ground.timers, task, self.begun, self._expired)

    # -- as the engine sees it ---------------------------------------------------------------

    async def run(self) -> None:
        """Run the handler and send the final report, unless that was done before."""
        end = await self._call()
        if not self.final:
            self._finish(end)
        self.returned()

    def returned(self) -> None:
        """The handler has ended, or was ended."""
        self._returned = True
        self._leave()

    def adopt(self, lease: Lease) -> None:
        """The partition came back while this is still here: its end counts in the new lease."""
        self.lease = lease
        if self._acknowledged:
            lease.done(self.offset)

    def announce(self) -> None:
        """Send the `started` report, once, if the handler has not ended."""
        if not self._announced and not self.final:
            self._announced = True
            self._send(ReportKind.STARTED, _nothing)

    def watch(self) -> None:
        """From now on its limits end the handler."""
        if not self.final:
            self._limits.watch()

    def hand_back(self, reason: str) -> None:
        """Give the delivery back although its handler was started, and end the handler."""
        if not self.final:
            ground = self._ground
            at, begun = ground.now_ms(), self.started_at
            kind = ReportKind.HANDED_BACK
            self._final(told(self.task, kind, ground.worker_id, at, started_at=begun, name=reason))
            self._end_handler()

    # -- as the handler's context sees it (Supervision) --------------------------------------

    def now_ms(self) -> int:
        """Wall clock, ms since the epoch."""
        return self._ground.now_ms()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The worker's event loop."""
        return self._ground.loop

    def steps(self) -> Steps:
        """The steps of this delivery."""
        return self._steps

    def at_work(self) -> AbstractContextManager[None]:
        """The handler runs a step: it is not suspended."""
        return self._suspensions().at_work()

    async def wait_for(self, wait: Wait) -> None:
        """Give the worker up until the wait has ended. Never returns."""
        self._check_open()
        await self._suspensions().wait_for(wait)

    async def record(self, name: str, result: bytes) -> None:
        """Report a checkpoint; returns when Kafka has acknowledged it."""
        await self._acknowledgement(ReportKind.CHECKPOINT, name, result)

    async def report_progress(self, message: str) -> None:
        """Report progress; returns when Kafka has acknowledged it."""
        await self._acknowledgement(ReportKind.PROGRESS, progress_text(message), b"")

    async def in_handler_thread(self, call: Callable[[], T]) -> T:
        """Run a sync handler beside the loop."""
        return await self._ground.in_handler_thread(call)

    async def in_step_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking step beside the loop."""
        return await self._ground.in_step_thread(call)

    # -- inside ------------------------------------------------------------------------------

    async def _call(self) -> Succeeded | Failed:
        task, store = self.task, self._ground.store
        payload = task.payload
        if task.payload_ref is not None:
            try:
                payload = await store.get(task.payload_ref)
            except Exception as error:  # the object store's: the attempt failed, we did not
                return failed(error)
        context = Context(task, payload, self, store)
        limit = self._ground.inline_limit_bytes
        return await invoke(self.entry.handler, context, self, payload, limit)

    def _check_open(self) -> None:
        if self.final:
            raise TerminalError(
                f"This delivery of {self.task.execution_id} has ended; nothing more is recorded.",
                code="delivery_ended",
            )

    async def _acknowledgement(self, kind: ReportKind, name: str, result: bytes) -> None:
        self._check_open()
        self.announce()
        acknowledged, sent_at = self._ground.loop.create_future(), self._ground.timers.time()
        self._send(kind, partial(_resolve, acknowledged), name, result)
        with self._suspensions().at_work():
            await acknowledged
        self._limits.sign(sent_at)

    def _suspensions(self) -> Suspension:
        if self._suspension is None:
            self._suspension = Suspension(self._ground.loop, self._suspend, self._ground.timers)
        return self._suspension

    def _suspend(self, waits: tuple[Wait, ...]) -> None:
        """The handler only waits: the delivery ends, and with it the handler."""
        if not self.final:
            self._final(self._told(ReportKind.SUSPENDED, waits=waits))
            self._end_handler()

    def _send(
        self,
        kind: ReportKind,
        acknowledged: Callable[[], None],
        name: str = "",
        result: bytes = b"",
    ) -> None:
        report = self._told(kind, name=name, result=result)
        self._ground.send(report, self.task, acknowledged)

    def _told(
        self,
        kind: ReportKind,
        *,
        name: str = "",
        result: bytes = b"",
        end: Succeeded | Failed | None = None,
        waits: tuple[Wait, ...] = (),
    ) -> StepReport:
        return told(
            self.task,
            kind,
            self._ground.worker_id,
            self._ground.now_ms(),
            started_at=self.started_at,
            queued_ms=self.queued_ms,
            name=name,
            result=result,
            end=end,
            waits=waits,
        )

    def _expired(self, end: Failed) -> None:
        if not self.final:
            self._finish(end)
            self._end_handler()

    def _finish(self, end: Succeeded | Failed) -> None:
        if isinstance(end, Failed):
            log_failure(self.task, end)
        kind = ReportKind.FAILED if isinstance(end, Failed) else ReportKind.SUCCEEDED
        self._final(self._told(kind, end=end))

    def _final(self, report: StepReport) -> None:
        self.final = True
        self._limits.stop()
        self._ground.send(report, self.task, self._done)

    def _done(self) -> None:
        """Kafka has the final report."""
        self.lease.done(self.offset)
        self._acknowledged = True
        self._leave()

    def _end_handler(self) -> None:
        """Ask the handler to end. One in a thread cannot be: it keeps its place until it does, or
        until it waits."""
        if self._suspension is not None:
            self._suspension.end()
        if self.job is not None and self.entry.handler.is_async:
            self.job.cancel()

    def _leave(self) -> None:
        if self._returned and self._acknowledged:
            self._ground.left(self)


def log_failure(task: Task, end: Failed) -> None:
    """One line on a failed attempt: which, why and where, but nothing that may hold payload."""
    error, cause = end.error, end.cause
    _log.warning(
        "%s of execution %s failed in attempt %d: %s%s (%s)",
        task.intent_type,
        task.execution_id,
        task.attempt,
        error.code,
        "" if cause is None else f", {type(cause).__name__}{_place(cause)}",
        "may be retried" if error.retryable else "terminal",
    )
    if cause is not None and _log.isEnabledFor(logging.DEBUG):
        _log.debug("execution %s", task.execution_id, exc_info=cause)


def _place(cause: BaseException) -> str:
    frames = traceback.extract_tb(cause.__traceback__)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _nothing() -> None:
    """A report on whose acknowledgement nothing depends."""
