"""One delivery in the worker's hands: from the start of its handler to its final report.

It has exactly one final report. After it, nothing that the handler still does is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from symphainy.artifacts import Artifacts
from symphainy.context import Context
from symphainy.errors import Cancelled, TerminalError
from symphainy.invocation import Failed, Succeeded, failed, invoke
from symphainy.steps import Steps
from symphainy.worker.admission import CANCELLED, Entry
from symphainy.worker.ending import Ending
from symphainy.worker.failures import log_failure
from symphainy.worker.ground import Ground
from symphainy.worker.ledger import Lease
from symphainy.worker.limits import Limits
from symphainy.worker.reports import progress_text, told
from symphainy.worker.suspension import Suspension
from symphainy_schemas.errors import SymphainyError
from symphainy_schemas.records import Call, ReportKind, StepReport, Task, Wait
from symphainy_transport.privacy.content import Opener, Standing
from symphainy_transport.privacy.errors import ContentCorrupt, ContentShredded
from symphainy_transport.privacy.records import opened_task, sealed_report

T = TypeVar("T")
_log = logging.getLogger("symphainy.worker")


class Delivery:
    """A task whose handler was started."""

    __slots__ = (
        "_acknowledged",
        "_announced",
        "_ending",
        "_ground",
        "_limits",
        "_opener",
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
        self._opener = Opener(task.tenant_id, Standing.UNKNOWN)
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
        self._ending: Ending | None = None
        self._suspension: Suspension | None = None
        self._limits = Limits(ground.timers, task, self.begun, self._expired)

    # -- as the engine sees it ---------------------------------------------------------------

    async def run(self) -> None:
        """Run the handler and send the final report, unless that was done before."""
        try:
            end = await self._call()
        except asyncio.CancelledError as error:
            if self.final or not self.cancel_requested:
                raise
            end = failed(error)
        if self._ending is not None and self._ending.requested:
            await self._ending.settled()
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
            self._give_back(reason)
            self._end_handler()

    def cancel(self) -> None:
        """Its execution is to end: tell the handler, and report when it has ended.

        An async one that does not end in time is given back all the same. One in a thread is not:
        it may be told of as ended only once it is.
        """
        if self.final or self.cancel_requested:
            return
        ending = self._endings()
        ending.request()
        if not self.entry.in_thread(self.task):
            ending.within(self._ground.timers, self._ground.cleanup_s, self._abandon)
            # Behind the job's first step, if that is still to come: cancelled before it, a task
            # runs nothing at all, and nobody would report.
            self._ground.loop.call_soon(self._cancel_job)

    # -- as the handler's context sees it (Supervision) --------------------------------------

    def now_ms(self) -> int:
        """Wall clock, ms since the epoch."""
        return self._ground.now_ms()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The worker's event loop."""
        return self._ground.loop

    @property
    def cancel_requested(self) -> bool:
        """Whether the execution is to end; also read by handlers in threads."""
        return self._ending is not None and self._ending.requested

    def steps(self) -> Steps:
        """The steps of this delivery."""
        return self._steps

    def at_work(self) -> AbstractContextManager[None]:
        """The handler runs a step: it is not suspended."""
        self._check_open()
        return self._suspensions().at_work()

    async def wait_for(self, wait: Wait) -> None:
        """Give the worker up until the wait has ended. Never returns."""
        self._check_open()
        await self._suspensions().wait_for(wait)

    async def record(self, name: str, result: bytes) -> None:
        """Report a checkpoint; returns when Kafka has acknowledged it."""
        await self._acknowledgement(ReportKind.CHECKPOINT, name, result)

    async def call(self, name: str, call: Call) -> None:
        """Report an invocation; returns when Kafka has acknowledged it."""
        await self._acknowledgement(ReportKind.INVOKED, name, b"", call)

    async def report_progress(self, message: str) -> None:
        """Report progress; returns when Kafka has acknowledged it."""
        await self._acknowledgement(ReportKind.PROGRESS, progress_text(message), b"")

    async def in_handler_thread(self, call: Callable[[], T]) -> T:
        """Run a sync handler beside the loop, unless it is to end before it began."""

        def begin() -> T:
            if self.cancel_requested:
                raise Cancelled
            return call()

        return await self._ground.in_handler_thread(begin)

    async def in_step_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking step beside the loop."""
        return await self._ground.in_step_thread(self._endings().in_thread(call))

    async def awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await what a sync handler waits for."""
        return await self._endings().awaited(coroutine)

    # -- inside ------------------------------------------------------------------------------

    async def _call(self) -> Succeeded | Failed:
        store = self._ground.store
        if self.task.alone:
            await self._announcement()
        try:
            await self._open()
        except SymphainyError as error:
            return failed(error)
        task = self.task
        payload = task.payload
        if task.payload_ref is not None:
            try:
                payload = await Artifacts(store, task.tenant_id).get(task.payload_ref)
            except Exception as error:  # the object store's: the attempt failed, we did not
                return failed(error)
        context = Context(task, payload, self, store)
        limit = self._ground.inline_limit_bytes
        return await invoke(self.entry.handler, context, self, payload, limit)

    async def _open(self) -> None:
        """Have the task as its handler gets it; what it reports is sealed from here on.

        The keys stay as they are to its end: a report that is sealed after a shred tells nobody.

        Raises:
            TerminalError: nobody will open it any more.
            SymphainyError: it cannot be opened now, or not here.
        """
        opener = await self._ground.content.ready(self.task.tenant_id)
        self._opener = opener.with_keys_of(self.task.payload)
        try:
            self.task = opened_task(self._opener, self.task)
        except (ContentShredded, ContentCorrupt) as error:
            raise TerminalError(error.message, code=error.code, cure=error.cure) from error
        self._steps = Steps(self.task.checkpoints, self._ground.inline_limit_bytes)

    async def _announcement(self) -> None:
        """Kafka has the `started` report: should this end the process, it is known which did."""
        acknowledged = self._ground.loop.create_future()
        self._announced = True
        self._send(ReportKind.STARTED, partial(_resolve, acknowledged))
        await acknowledged

    def _check_open(self) -> None:
        if self.cancel_requested:
            raise Cancelled
        if self.final:
            raise TerminalError(
                f"This delivery of {self.task.execution_id} has ended; nothing more is recorded.",
                code="delivery_ended",
            )

    async def _acknowledgement(
        self, kind: ReportKind, name: str, result: bytes, call: Call | None = None
    ) -> None:
        self._check_open()
        self.announce()
        acknowledged, sent_at = self._ground.loop.create_future(), self._ground.timers.time()
        self._send(kind, partial(_resolve, acknowledged), name, result, call)
        with self._suspensions().at_work():
            await acknowledged
        self._limits.sign(sent_at)

    def _endings(self) -> Ending:
        if self._ending is None:
            self._ending = Ending(self._ground.loop)
        return self._ending

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
        call: Call | None = None,
    ) -> None:
        report = self._told(kind, name=name, result=result, call=call)
        self._ground.send(sealed_report(self._opener, report), self.task, acknowledged)

    def _told(
        self,
        kind: ReportKind,
        *,
        name: str = "",
        result: bytes = b"",
        end: Succeeded | Failed | None = None,
        waits: tuple[Wait, ...] = (),
        call: Call | None = None,
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
            call=call,
        )

    def _expired(self, end: Failed) -> None:
        if not self.final:
            self._finish(end)
            self._end_handler()

    def _finish(self, end: Succeeded | Failed) -> None:
        if self.cancel_requested and isinstance(end, Failed) and end.error.retryable:
            self._give_back(CANCELLED)  # a failure of the last attempt would be the execution's
            return
        if isinstance(end, Failed):
            log_failure(self.task, end)
        kind = ReportKind.FAILED if isinstance(end, Failed) else ReportKind.SUCCEEDED
        self._final(self._told(kind, end=end))

    def _give_back(self, reason: str) -> None:
        ground, begun = self._ground, self.started_at
        kind, at = ReportKind.HANDED_BACK, ground.now_ms()
        self._final(told(self.task, kind, ground.worker_id, at, started_at=begun, name=reason))

    def _abandon(self) -> None:
        if not self.final:
            seconds, name = self._ground.cleanup_s, self.task.intent_type
            _log.warning(
                "%s of execution %s is to end and still runs after %g s; it is given up",
                name,
                self.task.execution_id,
                seconds,
            )
            self.hand_back(CANCELLED)

    def _cancel_job(self) -> None:
        if self.job is not None and not self.final:
            self.job.cancel()

    def _final(self, report: StepReport) -> None:
        self.final = True
        self._limits.stop()
        self._ground.send(sealed_report(self._opener, report), self.task, self._done)

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
        if self.job is not None and not self.entry.in_thread(self.task):
            self.job.cancel()

    def _leave(self) -> None:
        if self._returned and self._acknowledged:
            self._ground.left(self.lease.partition, self.offset, self.size)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _nothing() -> None:
    """A report on whose acknowledgement nothing depends."""
