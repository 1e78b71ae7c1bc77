"""Single intents and their latency: from before one is stated until the journal tells its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType

import msgspec

from bench.clients import Tail, Waiting
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.events import (
    ExecutionFailed,
    ExecutionSucceeded,
    IntentRejected,
    JournalRecord,
)
from symphainy_schemas.records import Intent
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.clock import SystemClock
from symphainy_transport.publishing import IntentPublisher
from symphainy_transport.topics import JOURNAL, Topics


class Flow:
    """A tenant's client. Only what it waits for is decoded, so that others' traffic costs it
    little; the benchmark has one owner at a time, so nothing in its journal is stale."""

    def __init__(
        self, settings: RuntimeSettings, tenant: str, sessions: Sequence[str], kind: str
    ) -> None:
        """State intents of type `kind` in these sessions, which are open."""
        self._settings = settings
        self._tenant = tenant
        self._sessions = sessions
        self._kind = kind
        self._expected: set[bytes] = set()
        self._number = 0
        self._run = SystemClock().now_ms()
        self._clock = SystemClock()

    async def __aenter__(self) -> Flow:
        self._waiting = Waiting()
        topic = Topics(self._settings.topic_prefix).name(JOURNAL)
        self._tail = Tail(self._settings, topic, self._take, self._waiting, False)
        store = ArtifactStore.from_settings(self._settings)
        self._publisher = IntentPublisher(self._settings, store, "bench-flow")
        await self._publisher.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._publisher.stop()
        self._tail.stop()

    def _take(
        self, partition: int, offset: int, key: bytes, value: bytes
    ) -> tuple[str, str] | None:
        if key not in self._expected:
            return None
        record = decode(value, JournalRecord)
        last = record.events[-1] if record.events else None
        if isinstance(last, ExecutionSucceeded):
            return record.execution_id, "succeeded"
        if isinstance(last, ExecutionFailed | IntentRejected):
            return record.execution_id, f"{last.error.code}: {last.error.message}"
        return None

    async def one(self, payload: object) -> float:
        """Run one intent; its latency in seconds.

        Raises:
            RuntimeError: it did not succeed.
        """
        self._number += 1
        session = self._sessions[self._number % len(self._sessions)]
        intent_id = f"flow-{self._run}-{self._number:08d}"
        partition = ids.partition_of(session)
        execution = ids.execution_id(self._tenant, session, intent_id, partition)
        intent = Intent(
            intent_id=intent_id,
            intent_type=self._kind,
            realm=self._kind.split(".")[0],
            session_id=session,
            tenant_id=self._tenant,
            principal="bench",
            correlation_id=intent_id,
            payload=msgspec.json.encode(payload),
            metadata=b"{}",
            solution_context=b"",
            created_at=self._clock.now_ms(),
        )
        self._expected.add(execution.encode())
        began = time.perf_counter()
        status = await self._waiting.result(execution, lambda: self._publisher.publish(intent))
        took = time.perf_counter() - began
        self._expected.discard(execution.encode())
        if status != "succeeded":
            raise RuntimeError(f"{intent_id}: {status}")
        return took

    async def closed(self, payload: object, in_flight: int, seconds: float) -> list[float]:
        """So many at a time, for so long; the latencies."""
        end = time.perf_counter() + seconds
        found: list[float] = []

        async def user() -> None:
            while time.perf_counter() < end:
                found.append(await self.one(payload))

        await asyncio.gather(*(user() for _ in range(in_flight)))
        return found

    async def steady(self, payload: object, rate: float, seconds: float) -> list[float]:
        """So many a second, whether or not those before have ended; the latencies."""
        began = time.perf_counter()
        running: list[asyncio.Task[float]] = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(began + number / rate - time.perf_counter())
            running.append(asyncio.create_task(self.one(payload)))
        return list(await asyncio.gather(*running))
