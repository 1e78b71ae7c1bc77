"""An engine on a bench: tasks in, reports out, no Kafka."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from confluent_kafka import Message
from pydantic import BaseModel
from tests.unit.sdk.fakes import (
    INLINE_LIMIT,
    FakeClock,
    FakeMessage,
    FakeOutlet,
    MemoryStore,
    task,
    until,
)

from symphainy import Context, Outcome, Realm, TerminalError
from symphainy.worker.admission import Entry
from symphainy.worker.ending import CLEANUP_S
from symphainy.worker.engine import Engine, EngineOptions
from symphainy.worker.flow import Flow
from symphainy.worker.ledger import Lease, Start
from symphainy.worker.standing import Standing
from symphainy_schemas.codec import encode
from symphainy_schemas.records import ReportKind, StepReport, Task


class File(BaseModel):
    """A payload."""

    path: str


@dataclass
class Bench:
    """An engine with a realm whose handlers the test controls."""

    outlet: FakeOutlet = field(default_factory=FakeOutlet)
    store: MemoryStore = field(default_factory=MemoryStore)
    flow: Flow = field(default_factory=lambda: Flow(16, 1_000_000))
    clock: FakeClock = field(default_factory=FakeClock)
    lease: Lease = field(default_factory=lambda: Lease(0, Start(0, 0, True)))
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    release: threading.Event = field(default_factory=threading.Event)
    calls: list[str] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    next_offset: int = 0
    concurrency: int = 16
    cleanup_s: float = CLEANUP_S

    def __post_init__(self) -> None:
        self.standing = Standing(self.clock.monotonic)
        realm = self.realm()
        self.engine = Engine(
            EngineOptions(
                topic="tasks.content",
                entries={handler.intent_type: Entry(handler, 3) for handler in realm},
                worker_id="w",
                inline_limit_bytes=INLINE_LIMIT,
                concurrency=self.concurrency,
                store=self.store,
                clock=self.clock,
                standing=self.standing,
                cleanup_s=self.cleanup_s,
            ),
            self.flow,
            self.outlet,
            self.faults.append,
        )

    def realm(self) -> Realm:
        """The handlers."""
        realm = Realm("content")

        @realm.intent("content.read")
        async def read(ctx: Context, payload: File) -> Outcome:
            self.calls.append(payload.path)
            return Outcome(result=payload.path)

        @realm.intent("content.wait")
        async def wait(ctx: Context, payload: File) -> Outcome:
            self.calls.append(payload.path)
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.calls.append("cancelled")
                raise
            return Outcome()

        @realm.intent("content.stubborn")
        async def stubborn(ctx: Context, payload: File) -> Outcome:
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.calls.append("went on")
            await ctx.step("late", len, "x")
            return Outcome()

        @realm.intent("content.block")
        def block(ctx: Context, payload: File) -> Outcome:
            self.release.wait(10.0)
            try:
                ctx.wait(ctx.step("late", len, "x"))
            except TerminalError as error:
                self.calls.append(error.code)
            return Outcome()

        @realm.intent("content.steps")
        async def steps(ctx: Context, payload: File) -> Outcome:
            await ctx.progress("half")
            return Outcome(result=await ctx.step("one", len, payload.path))

        return realm

    def take(self, *tasks: Task | bytes, lease: Lease | None = None) -> None:
        """Hand over tasks as the pump does."""
        batch = []
        for one in tasks:
            content = one if isinstance(one, bytes) else encode(one)
            message = FakeMessage(self.next_offset, content)
            self.next_offset += 1
            batch.append((lease or self.lease, cast(Message, message)))
            self.flow.hand(1, len(content))
        self.engine.take(batch)

    def kinds(self) -> list[ReportKind]:
        """What was reported, in order."""
        return [report.kind for report in self.outlet.reports]

    async def last(self, count: int = 1) -> StepReport:
        """The last report, once there are `count` of them."""
        await until(lambda: len(self.outlet.reports) >= count)
        return self.outlet.reports[-1]

    async def settled(self) -> None:
        """Wait until nothing is held."""
        await until(lambda: self.flow.held == 0)


B = TypeVar("B", bound=Bench)


@asynccontextmanager
async def working(kind: Callable[..., B], **parts: Any) -> AsyncIterator[B]:
    """A bench whose engine had no fault, and holds nothing in the end."""
    bench = kind(**parts)
    yield bench
    bench.go_on.set()
    bench.release.set()
    bench.outlet.acknowledge_all()
    await bench.settled()
    assert bench.faults == []
    assert bench.lease.ledger.open == 0


def of(intent: str, **changes: Any) -> Task:
    """A task for one of the bench's handlers."""
    return task(intent_type=f"content.{intent}", handler=intent, **changes)
