"""Stand-ins for what a handler and an engine stand on, and tasks to run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from tests.samples import DECISION

from symphainy import Context, Handler
from symphainy.invocation import Failed, Succeeded, invoke
from symphainy.steps import Steps
from symphainy_schemas import records
from symphainy_schemas.codec import decode
from symphainy_schemas.records import Checkpoint, DeadLetter, StepReport, Task, Wait

T = TypeVar("T")
NOW = 1_790_000_000_000
INLINE_LIMIT = 65_536
TASK = Task(
    execution_id="exe-3-" + "0b" * 16,
    session_id="ses-3-" + "0a" * 16,
    tenant_id="acme",
    partition=3,
    dispatched_at=42,
    step="main",
    attempt=2,
    delivery=3,
    token="tok",
    start_by=NOW + 60_000,
    timeout_ms=120_000,
    realm="content",
    intent_id="01920000-0000-7000-8000-000000000001",
    intent_type="content.read",
    capability_version=1,
    handler="read",
    principal="ann",
    correlation_id="cor",
    payload=b'{"path":"a.pdf"}',
    metadata=b'{"source":"http"}',
    solution_context=b'{"solution":"mvp"}',
    created_at=NOW - 1_500,
    roles=("reader",),
    policy=DECISION,
)


def task(**changes: Any) -> Task:
    """A task of an ordinary handler, with changes."""
    plain: dict[str, Any] = {"compensates": "", "result": None, "alone": False}
    return msgspec.structs.replace(TASK, **(plain | changes))


class MemoryStore:
    """An object store in memory, addressed as the real one is."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    async def put(self, tenant_id: str, content: bytes, media_type: str) -> records.Reference:
        digest = sha256(content)
        uri = f"artifact://{tenant_id}/{digest.hexdigest()}"
        self.contents[uri] = content
        return records.Reference(uri, digest.digest(), len(content), media_type)

    async def get(self, reference: records.Reference) -> bytes:
        return self.contents[reference.uri]


class Suspended(BaseException):
    """The handler waits, and was ended there."""


class FakeSupervision:
    """Records what a handler reports; acknowledges at once, ends whoever waits."""

    def __init__(self, carried: tuple[Checkpoint, ...] = ()) -> None:
        self.loop = asyncio.get_running_loop()
        self.started_at = NOW
        self.recorded: list[tuple[str, bytes]] = []
        self.told: list[str] = []
        self.called: list[tuple[str, records.Call]] = []
        self.cancel_requested = False
        self.waits: list[Wait] = []
        self._steps = Steps(carried, INLINE_LIMIT)

    def now_ms(self) -> int:
        return NOW

    def steps(self) -> Steps:
        return self._steps

    def at_work(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def wait_for(self, wait: Wait) -> None:
        self.waits.append(wait)
        raise Suspended

    async def record(self, name: str, result: bytes) -> None:
        self.recorded.append((name, result))

    async def call(self, name: str, call: records.Call) -> None:
        self.called.append((name, call))

    async def report_progress(self, message: str) -> None:
        self.told.append(message)

    async def awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await coroutine

    async def in_handler_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(call)

    async def in_step_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(call)


@dataclass
class Called:
    """What came of one call of a handler."""

    end: Succeeded | Failed | None  # None: it waits
    supervision: FakeSupervision

    @property
    def result(self) -> Any:
        assert isinstance(self.end, Succeeded), self.end
        return msgspec.json.decode(self.end.result)

    @property
    def error(self) -> records.Error:
        assert isinstance(self.end, Failed), self.end
        return self.end.error


async def run(
    handler: Handler[Any, Any], /, payload: bytes = b'{"path":"a.pdf"}', **changes: Any
) -> Called:
    """Call a handler as a worker does, without a worker."""
    the_task = task(payload=payload, **changes)
    supervision = FakeSupervision(the_task.checkpoints)
    context = Context(the_task, payload, supervision, MemoryStore())
    end: Succeeded | Failed | None = None
    with suppress(Suspended):
        end = await invoke(handler, context, supervision, payload, INLINE_LIMIT)
    return Called(end, supervision)


@dataclass
class FakeClock:
    """A clock that stands still until it is moved."""

    now: int = NOW

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1000


@dataclass
class FakeMessage:
    """As much of a Kafka message as an engine reads."""

    at: int
    content: bytes

    def offset(self) -> int:
        return self.at

    def partition(self) -> int:
        return 0

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return self.content

    def __len__(self) -> int:
        return len(self.content)


@dataclass
class FakeOutlet:
    """Keeps reports; acknowledges them at once, or when told to."""

    partitions: int = 8
    at_once: bool = True
    reports: list[StepReport] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def report(
        self, partition: int, key: str, value: bytes, acknowledged: Callable[[], None]
    ) -> None:
        report = decode(value, StepReport)
        assert key == report.execution_id
        assert partition == int(report.execution_id.split("-")[1])
        self.reports.append(report)
        self._acknowledge(acknowledged)

    def bury(self, key: str, value: bytes, acknowledged: Callable[[], None]) -> None:
        self.letters.append(decode(value, DeadLetter))
        self._acknowledge(acknowledged)

    def acknowledge_all(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    def _acknowledge(self, acknowledged: Callable[[], None]) -> None:
        if self.at_once:
            asyncio.get_running_loop().call_soon(acknowledged)
        else:
            self.waiting.append(acknowledged)


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for an observable condition."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # a condition seen from outside has no event
            await asyncio.sleep(0.002)
