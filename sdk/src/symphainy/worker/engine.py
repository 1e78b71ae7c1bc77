"""The deliveries of one realm on the event loop: admit, start, supervise, hand back.

All of it runs on the loop's thread. The pump hands over batches; `Flow` tells it how many more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from confluent_kafka import Message

from symphainy.artifacts import Store
from symphainy.worker.admission import (
    ANNOUNCE_MS,
    CANCELLED,
    STOPPING,
    Entry,
    refusal,
)
from symphainy.worker.company import Company
from symphainy.worker.delivery import Delivery
from symphainy.worker.ending import CLEANUP_S
from symphainy.worker.flow import Flow
from symphainy.worker.ledger import Lease
from symphainy.worker.limits import Timers, shortest_ms
from symphainy.worker.notices import Noticed
from symphainy.worker.reports import buried, told
from symphainy.worker.standing import Standing
from symphainy.worker.threads import Threads
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import SymphainyError, UnreadableRecord
from symphainy_schemas.records import REDELIVERED, CancelNotice, ReportKind, StepReport, Task
from symphainy_transport.clock import Clock
from symphainy_transport.privacy.content import Content

T = TypeVar("T")
Batch = Sequence[tuple[Lease, Message]]
_log = logging.getLogger("symphainy.worker")


class Outlet(Protocol):
    """Where reports go: `Reporter`, or a test's."""

    partitions: int

    def report(
        self, partition: int, key: str, value: bytes, acknowledged: Callable[[], None]
    ) -> None:
        """Send a report; `acknowledged` is called on the loop when Kafka has it."""
        ...

    def bury(self, key: str, value: bytes, acknowledged: Callable[[], None]) -> None:
        """Send a dead letter, likewise."""
        ...


_ASK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What one realm's engine runs, and within which limits."""

    topic: str
    """The realm's task topic without the prefix."""
    entries: Mapping[str, Entry]
    worker_id: str
    inline_limit_bytes: int
    concurrency: int
    store: Store
    clock: Clock
    standing: Standing
    company: Company = field(default_factory=Company)
    """What else runs in this process."""
    timers: Timers | None = None
    """Who keeps the handlers' time; None for the event loop itself."""
    cleanup_s: float = CLEANUP_S
    content: Content = field(default_factory=Content)
    """What opens tasks and seals reports."""


class Engine:
    """Runs one realm's handlers."""

    def __init__(
        self,
        options: EngineOptions,
        flow: Flow,
        outlet: Outlet,
        broken: Callable[[BaseException], None],
    ) -> None:
        """`broken` is called when something fails that must not: a bug."""
        self.loop = asyncio.get_running_loop()
        self.timers: Timers = self.loop if options.timers is None else options.timers
        self.worker_id = options.worker_id
        self.inline_limit_bytes = options.inline_limit_bytes
        self.store = options.store
        self.content = options.content
        self.cleanup_s = options.cleanup_s
        self.now_ms = options.clock.now_ms
        self._options = options
        self._flow = flow
        self._outlet = outlet
        self._broken = broken
        self._threads = Threads(f"{options.topic}-handler", options.concurrency)
        self._step_threads = Threads(f"{options.topic}-step", options.concurrency)
        self._running: dict[tuple[int, int], Delivery] = {}
        self._waiting: deque[tuple[Lease, Message, float]] = deque()  # and when it came
        self._noticed = Noticed(self.timers.time)
        self._unannounced: deque[Delivery] = deque()
        self._announcing = False
        self._stopping = False
        self._asking = False
        self._company = options.company

    def take(self, batch: Batch) -> None:
        """Start, or hand back, a batch of task records, in order; called on the loop.

        With no slot free they wait here, so that it is known how long, and in which order they
        came. Until then they count as unread: nothing is committed of them.
        """
        now = self.timers.time()
        for lease, message in batch:
            if (message.offset() or 0) < lease.suspect_below:
                self._attempt(lease, message, now)
            else:
                self._waiting.append((lease, message, now))
        self._fill()

    def _fill(self) -> None:
        """Start what waits, as far as slots go; nothing while others may have the partitions."""
        if self._waiting and not self._stopping and not self._options.standing.sure:
            self._ask_again()
            return
        while self._waiting and (self._stopping or len(self._running) < self._options.concurrency):
            first = self._waiting.popleft()
            if not self._attempt(*first):
                self._waiting.appendleft(first)
                self._company.when_empty(self._fill)
                return

    def _ask_again(self) -> None:
        if not self._asking:
            self._asking = True
            self.timers.call_later(_ASK_AGAIN_S, self._asked)

    def _asked(self) -> None:
        self._asking = False
        self._fill()

    def _attempt(self, lease: Lease, message: Message, came: float) -> bool:
        try:
            return self._take(lease, message, came)
        except Exception as error:
            self._broken(error)
            return True

    def _take(self, lease: Lease, message: Message, came: float) -> bool:
        """Deal with a task; false if it must wait until nothing else runs."""
        offset, size = message.offset() or 0, len(message)
        if not lease.active:  # the partition's next worker finds it and hands it back
            self._flow.release(size)
            return True
        try:
            task = decode(message.value(), Task)
            self._check_route(task)
        except UnreadableRecord as unreadable:
            lease.ledger.take(offset)
            self._bury(lease, message, unreadable)
            return True
        suspect = offset < lease.suspect_below
        if not (suspect or self._stopping or self._company.admits(alone=task.alone)):
            return False
        lease.ledger.take(offset)
        if suspect:
            self._take_suspect(task, lease, offset, size)
        else:
            self._admit(task, lease, offset, size, came)
        return True

    def _admit(self, task: Task, lease: Lease, offset: int, size: int, came: float) -> None:
        reason = STOPPING if self._stopping else CANCELLED if task in self._noticed else ""
        reason = reason or refusal(task, self._options.entries, self.now_ms())
        if reason:
            self._hand_back(task, lease, offset, size, reason)
        else:
            queued_ms = int((self.timers.time() - came) * 1_000)
            self._start(task, lease, offset, size, queued_ms)

    def _check_route(self, task: Task) -> None:
        if not 0 <= task.partition < self._outlet.partitions:
            raise UnreadableRecord(
                f"The task names partition {task.partition} of steps; "
                f"there are {self._outlet.partitions}.",
                code="unknown_partition",
            )

    def _take_suspect(self, task: Task, lease: Lease, offset: int, size: int) -> None:
        """What an earlier consumer may have run is not run again; what runs here still, stays."""
        ours = self._running.get((lease.partition, offset))
        if ours is None:
            self._hand_back(task, lease, offset, size, REDELIVERED)
        else:
            ours.adopt(lease)
            self._flow.release(size)

    def _start(self, task: Task, lease: Lease, offset: int, size: int, queued_ms: int) -> None:
        entry = self._options.entries[task.intent_type]
        delivery = Delivery(self, task, entry, lease, offset, size, queued_ms)
        self._running[lease.partition, offset] = delivery
        self._company.enter(alone=task.alone)
        delivery.job = self.loop.create_task(self._run(delivery))
        self._unannounced.append(delivery)
        if not self._announcing:
            self._announcing = True
            self.timers.call_at(delivery.begun + ANNOUNCE_MS / 1000, self._announce)
        if 0 < shortest_ms(task) < ANNOUNCE_MS:
            delivery.watch()

    async def _run(self, delivery: Delivery) -> None:
        try:
            await delivery.run()
        except asyncio.CancelledError:
            if not delivery.final:  # the loop itself is ending
                raise
            delivery.returned()
        except Exception as error:
            self._broken(error)

    def _announce(self) -> None:
        """Announce what runs for `ANNOUNCE_MS`; one timer for all, since the delay is constant."""
        waiting, begun_by = self._unannounced, self.timers.time() - ANNOUNCE_MS / 1000
        while waiting and waiting[0].begun <= begun_by:
            delivery = waiting.popleft()
            if not delivery.final:
                delivery.announce()
                delivery.watch()
        if waiting:
            self.timers.call_at(waiting[0].begun + ANNOUNCE_MS / 1000, self._announce)
        else:
            self._announcing = False

    def _hand_back(self, task: Task, lease: Lease, offset: int, size: int, reason: str) -> None:
        report = told(task, ReportKind.HANDED_BACK, self.worker_id, self.now_ms(), name=reason)
        self.send(report, task, partial(self._gone, lease, offset, size))

    def _bury(self, lease: Lease, message: Message, unreadable: SymphainyError) -> None:
        topic, offset = self._options.topic, message.offset() or 0
        _log.warning("%s/%d/%d is unreadable: %s", topic, lease.partition, offset, unreadable.code)
        letter = buried(topic, message, unreadable, self.now_ms(), self.inline_limit_bytes)
        gone = partial(self._gone, lease, offset, len(message))
        self._outlet.bury(f"{topic}/{lease.partition}/{offset}", encode(letter), gone)

    def _gone(self, lease: Lease, offset: int, size: int) -> None:
        lease.done(offset)
        self._flow.release(size)

    def cancel(self, notice: CancelNotice) -> None:
        """A delivery is to end: whether it runs, waits for a slot, or is still to come.

        Called on the loop. One that is not here, or has ended, changes nothing.
        """
        self._noticed.add(notice)
        for delivery in list(self._running.values()):
            task = delivery.task
            if task.execution_id == notice.execution_id and task in self._noticed:
                delivery.cancel()

    # -- as a delivery sees it (Ground) ------------------------------------------------------

    def send(self, report: StepReport, task: Task, acknowledged: Callable[[], None]) -> None:
        """Send a report to the task's partition of `steps`."""
        self._outlet.report(task.partition, task.execution_id, encode(report), acknowledged)

    async def in_handler_thread(self, call: Callable[[], T]) -> T:
        """Run a sync handler."""
        return await self._threads.run(call)

    async def in_step_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking step; apart from the handlers, which may all be waiting for steps."""
        return await self._step_threads.run(call)

    def left(self, partition: int, offset: int, size: int) -> None:
        """Handler and final report of the task that stands there are through."""
        if self._running.pop((partition, offset), None) is not None:
            self._company.leave()
        self._flow.release(size)
        self._fill()

    # -- the end -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Start nothing more: what waits, and what still arrives, is handed back."""
        self._stopping = True
        self._fill()

    async def drain(self, timeout_s: float) -> None:
        """Wait until all handlers have ended, at most so long, then hand back what still runs."""
        jobs = [d.job for d in self._running.values() if d.job is not None and not d.job.done()]
        if jobs:
            await asyncio.wait(jobs, timeout=timeout_s)
        unfinished = [d for d in self._running.values() if not d.final]
        for delivery in unfinished:
            delivery.hand_back(STOPPING)
        if unfinished:
            _log.warning("%d handlers did not end in time; handed back", len(unfinished))
        self._threads.close()
        self._step_threads.close()
