"""The load generator's three ways in; each call returns when the run's result is there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
from confluent_kafka import TopicPartition

from bench.bare import PREFIX
from bench.payloads import encoded, payload
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_schemas import ids
from symphainy_schemas.events import ExecutionFailed, ExecutionSucceeded, IntentRejected
from symphainy_schemas.records import Intent
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.async_clients import async_producer
from symphainy_transport.clients import bounds, consumer
from symphainy_transport.clock import SystemClock
from symphainy_transport.publishing import IntentPublisher
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import JOURNAL, Topics

SESSIONS = 64  # spread over all partitions
PATIENCE_S = 60.0


class Waiting:
    """Futures by key, resolved from the thread that reads the journal."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._futures: dict[str, asyncio.Future[str]] = {}

    async def result(self, key: str, send: Callable[[], Any]) -> str:
        """Send, and wait for the key's result."""
        future = self._futures[key] = self._loop.create_future()
        await send()
        try:
            async with asyncio.timeout(PATIENCE_S):
                found: str = await future
                return found
        finally:
            del self._futures[key]

    def resolve(self, found: list[tuple[str, str]]) -> None:
        """Results that the journal told, from its thread."""
        self._loop.call_soon_threadsafe(self._resolve, found)

    def _resolve(self, found: list[tuple[str, str]]) -> None:
        for key, value in found:
            future = self._futures.get(key)
            if future is not None and not future.done():
                future.set_result(value)


class Tail:
    """Reads every partition of a topic from its end, in a thread."""

    def __init__(
        self,
        settings: TransportSettings,
        topic: str,
        take: Callable[[int, int, bytes, bytes], tuple[str, str] | None],
        waiting: Waiting,
        from_start: bool,
    ) -> None:
        self._consumer = consumer(settings, "bench-tail", auto_offset_reset="earliest")
        places = [TopicPartition(topic, p) for p in range(settings.partitions)]
        for place in places:
            _, high = bounds(self._consumer, place)
            place.offset = 0 if from_start else high
        self._consumer.assign(places)
        self._take, self._waiting = take, waiting
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stopping.is_set():
            first = self._consumer.poll(0.1)
            if first is None:
                continue
            found = []
            for message in (first, *self._consumer.consume(500, 0)):
                partition, offset = message.partition(), message.offset()
                key, value = message.key(), message.value()
                if partition is None or offset is None or value is None:
                    continue
                one = self._take(partition, offset, bytes(key or b""), value)
                if one is not None:
                    found.append(one)
            if found:
                self._waiting.resolve(found)

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()


class BareClient:
    """Into the bare pipeline and out of it."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> BareClient:
        self._waiting = Waiting()
        seen: set[str] = set()

        def take(partition: int, offset: int, key: bytes, value: bytes) -> tuple[str, str] | None:
            run = key.decode()
            if run in seen:
                seen.discard(run)
                return run, "succeeded"
            seen.add(run)
            return None

        self._tail = Tail(self._settings, PREFIX + "journal", take, self._waiting, False)
        self._producer = async_producer(self._settings, "bench-bare")
        await self._producer.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._producer.stop()
        self._tail.stop()

    async def run(self, run_id: str) -> None:
        """One run."""

        def send() -> Any:
            return self._producer.send_and_wait(
                PREFIX + "intents", encoded(run_id), key=run_id.encode()
            )

        await self._waiting.result(run_id, send)


class DirectClient:
    """Straight into the write-ahead log; the result from the journal, through the one filter."""

    def __init__(self, settings: TransportSettings, tenant: str) -> None:
        self._settings, self._tenant = settings, tenant
        self._clock = SystemClock()

    async def __aenter__(self) -> DirectClient:
        self._waiting = Waiting()
        standings: dict[int, Validity] = {}

        def take(partition: int, offset: int, key: bytes, value: bytes) -> tuple[str, str] | None:
            stored = judge(value, offset, standings.get(partition, Validity()))
            standings[partition] = stored.standing
            if not stored.valid or stored.record is None or not stored.record.events:
                return None
            last = stored.record.events[-1]
            if isinstance(last, ExecutionSucceeded):
                return stored.record.execution_id, "succeeded"
            if isinstance(last, ExecutionFailed | IntentRejected):
                return stored.record.execution_id, f"{last.error.code}: {last.error.message}"
            return None

        topic = Topics(self._settings.topic_prefix).name(JOURNAL)
        self._tail = Tail(self._settings, topic, take, self._waiting, True)
        store = ArtifactStore.from_settings(self._settings)
        self._publisher = IntentPublisher(self._settings, store, "bench-direct")
        await self._publisher.start()
        partitions = self._publisher.partitions
        self._sessions = [ids.new_session_id(self._tenant, partitions) for _ in range(SESSIONS)]
        for session in self._sessions:
            await self._submit(session, f"open-{session}", "runtime.open_session", b"{}")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._publisher.stop()
        self._tail.stop()

    async def run(self, run_id: str) -> None:
        """One run."""
        session = self._sessions[hash(run_id) % SESSIONS]
        await self._submit(session, run_id, "bench.one", encoded(run_id))

    async def _submit(self, session: str, intent_id: str, intent_type: str, body: bytes) -> None:
        intent = Intent(
            intent_id=intent_id,
            intent_type=intent_type,
            realm=intent_type.split(".")[0],
            session_id=session,
            tenant_id=self._tenant,
            principal="bench",
            correlation_id=intent_id,
            payload=body,
            metadata=b"{}",
            solution_context=b"",
            created_at=self._clock.now_ms(),
        )
        execution = ids.execution_id(self._tenant, session, intent_id, ids.partition_of(session))
        status = await self._waiting.result(execution, lambda: self._publisher.publish(intent))
        if status != "succeeded":
            raise RuntimeError(f"{intent_type} {intent_id}: {status}")


class HttpClient:
    """Through the gateway, waiting for the result."""

    def __init__(self, base: str, key: str) -> None:
        self._base, self._key = base, key

    async def __aenter__(self) -> HttpClient:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
        )
        self._sessions = [
            (await self._post("/v1/sessions", {}, 201))["session_id"] for _ in range(SESSIONS)
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.close()

    async def run(self, run_id: str) -> None:
        """One run."""
        body = {
            "intent_type": "bench.one",
            "session_id": self._sessions[hash(run_id) % SESSIONS],
            "payload": payload(run_id),
        }
        answer = await self._post("/v1/intents?wait=60s", body, 200)
        if answer["status"] != "succeeded":
            raise RuntimeError(f"{run_id}: {answer}")

    async def _post(self, path: str, body: dict[str, Any], expected: int) -> dict[str, Any]:
        async with self._http.post(self._base + path, json=body) as answer:
            if answer.status != expected:
                raise RuntimeError(f"{answer.status} {(await answer.text())[:300]}")
            found: dict[str, Any] = await answer.json()
            return found
