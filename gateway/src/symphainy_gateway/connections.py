"""The backend on Kafka, Redis and the object store: one owner of every connection.

The process answers before its services do: what is not reached yet is tried again, and told by
/readyz. An unset address is an operator's error at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from types import TracebackType

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # theirs is unmarked
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from symphainy_gateway.backend import Backtesting, Replaying
from symphainy_gateway.backlog import Sighting
from symphainy_gateway.quotas.ledger import TIMEOUT_S, RedisLedger
from symphainy_gateway.wal import WalPool
from symphainy_runtime.configuration import ConfigFollower, Configuration
from symphainy_runtime.read_model.notifications import Notifier
from symphainy_runtime.read_model.positions import Position, positions
from symphainy_runtime.read_model.reader import ReadModel
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import Unavailable
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.clients import admin
from symphainy_transport.clock import Clock, SystemClock
from symphainy_transport.publishing import IntentPublisher
from symphainy_transport.topics import INTENTS, JOURNAL, Topics

log = logging.getLogger(__name__)
CLIENT_ID = "symphainy-gateway"
# A broker's restart takes about 2 s.
RECONNECT_S = 1.0
# Above any healthy answer by far, and below DECISION_WAIT_S, so that a wait outlives one failure.
REDIS_TIMEOUT_S = 2.0
# An idempotent producer would wait for its broker for ever; whoever ends us allows 5 s and more.
FLUSH_S = 3.0
# Probes usually allow a few seconds; Kafka answers in milliseconds.
CHECK_TIMEOUT_S = 1.0


class Connections:
    """A `Backend`; an async context manager that connects in the background."""

    def __init__(
        self,
        settings: RuntimeSettings,
        replays: Replaying,
        backtests: Backtesting,
        clock: Clock | None = None,
    ) -> None:
        """Raises OperatorError if the settings name no Kafka, no Redis, or a secret of no use."""
        self.settings = settings
        self.replays = replays
        self.backtests = backtests
        self.clock = clock or SystemClock()
        settings.require_kafka()
        self._redis: Redis = Redis.from_url(
            settings.require_redis(),
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
        )
        self.notifier = Notifier(self._redis, settings.redis_prefix)
        # On connections of its own, which give up sooner: a request waits for these answers.
        self._counting: Redis = Redis.from_url(
            settings.require_redis(),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self.ledger = RedisLedger(self._counting, settings.redis_prefix)
        artifacts = ArtifactStore.from_settings(settings)
        self._content = artifacts.content
        self._publisher = IntentPublisher(settings, artifacts, CLIENT_ID, settings.sealing())
        self.wal = WalPool(settings, f"{CLIENT_ID}-wal")
        self._follower = ConfigFollower(settings, CLIENT_ID)
        self._admin = admin(settings, CLIENT_ID)
        topics = Topics(settings.topic_prefix)
        self._topic, self._journal = topics.name(INTENTS), topics.name(JOURNAL)
        self._read_model: ReadModel | None = None
        self._unreached = "Kafka has not answered yet."
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Connections:
        await self._stack.__aenter__()
        self._stack.push_async_callback(self._redis.aclose)
        self._stack.push_async_callback(self._counting.aclose)
        self._stack.push_async_callback(self.wal.close)
        await self._stack.enter_async_context(self.notifier)
        connecting = asyncio.create_task(self._connect(), name="gateway-connect")
        self._stack.push_async_callback(_cancelled, connecting)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._publisher.stop()
        except TimeoutError:
            log.warning("stopped without Kafka: what it did not acknowledge stays unknown")
        await asyncio.to_thread(self._follower.stop)

    @property
    def publisher(self) -> IntentPublisher:
        """The way into the write-ahead log; Unavailable until Kafka was reached."""
        self._require_reached()
        return self._publisher

    @property
    def read_model(self) -> ReadModel:
        """The read model; Unavailable until Kafka, which knows the partitions, was reached."""
        return self._require_reached()

    @property
    def configuration(self) -> Configuration:
        """What is in force now; Unavailable until it was read once."""
        self._require_reached()
        return self._follower.configuration

    async def checks(self) -> Mapping[str, str]:
        """Why Kafka, Redis, its notifications or the configuration are not reached, if so."""
        kafka, redis = await asyncio.gather(
            asyncio.to_thread(self._check_kafka), self._check_redis()
        )
        notified = self.notifier.connected.is_set()
        return {
            "kafka": kafka,
            "redis": redis,
            "notifications": "" if notified else "Not subscribed.",
            "configuration": self._unreached,
        }

    async def sightings(self) -> Sequence[Sighting]:
        """A look at every partition: one request to each leader, one round trip to Redis."""
        self._require_reached()
        count = self._publisher.partitions
        ends, known = await asyncio.gather(
            asyncio.to_thread(self._read_ends, count), self._read_positions(count)
        )
        return [
            Sighting(ends.get((self._topic, p)), ends.get((self._journal, p)), known.get(p))
            for p in range(count)
        ]

    async def _connect(self) -> None:
        while self._unreached:
            try:
                await self._publisher.start()
                await asyncio.to_thread(self._follower.start)
            except Unavailable as error:
                self._unreached = str(error)
                log.warning("not connected yet: %s", error)
                await self._publisher.stop()
                await asyncio.sleep(RECONNECT_S)
                continue
            partitions = self._publisher.partitions
            self._read_model = ReadModel(
                self._redis, self.settings.redis_prefix, partitions, self._content
            )
            self._unreached = ""
        log.info("connected: %d partitions", self._publisher.partitions)

    def _require_reached(self) -> ReadModel:
        if self._read_model is None:
            raise Unavailable(
                f"The gateway has not reached Kafka yet: {self._unreached}",
                code="not_ready",
                cure="Repeat later; see GET /readyz.",
            )
        return self._read_model

    def _check_kafka(self) -> str:
        try:
            topic = self._admin.list_topics(self._topic, timeout=CHECK_TIMEOUT_S).topics[
                self._topic
            ]
        except KafkaException as error:
            return str(error)
        return "" if topic.error is None else str(topic.error)

    def _read_ends(self, count: int) -> dict[tuple[str, int], int]:
        """The offsets after the last record, of the partitions whose leader told."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # annotated only in part
        wanted = {
            TopicPartition(topic, p): latest
            for topic in (self._topic, self._journal)
            for p in range(count)
        }
        ends: dict[tuple[str, int], int] = {}
        told = self._admin.list_offsets(wanted, request_timeout=CHECK_TIMEOUT_S)
        for place, end in told.items():
            with suppress(KafkaException):
                ends[place.topic, place.partition] = end.result().offset
        return ends

    async def _read_positions(self, count: int) -> dict[int, Position]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                return await positions(self._redis, self.settings.redis_prefix, count)
        except (Unavailable, TimeoutError):
            return {}

    async def _check_redis(self) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self._redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        return ""


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
