"""Publishing intents to the write-ahead log: the one way in, for gateway and producers alike.

An intent goes to the partition that its session id carries. A payload over the inline limit is
claim-checked first, so that no record meets Kafka's size limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_schemas.records import Intent
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.async_clients import async_producer
from symphainy_transport.privacy.records import payload_digests, sealed_intent
from symphainy_transport.sealing import Sign
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import INTENTS, Topics

# Metadata and solution context are small things beside the payload; together with it and a
# task's checkpoints they stay under the topic's max.message.bytes.
SIDE_LIMIT_BYTES = 32_768


@dataclass(frozen=True, slots=True)
class Accepted:
    """An intent that Kafka has acknowledged, and where it stands in the write-ahead log."""

    execution_id: str
    intent_id: str
    topic: str
    partition: int
    offset: int


class IntentPublisher:
    """Appends intents to the write-ahead log. Start it inside the event loop that uses it."""

    def __init__(
        self,
        settings: TransportSettings,
        artifacts: ArtifactStore,
        client_id: str,
        sign: Sign | None = None,
    ) -> None:
        """`sign` gives each intent its seal or signature, when it is as it will stand."""
        self._settings = settings
        self._sign = sign
        self._artifacts = artifacts
        self._client_id = client_id
        self._topic = Topics(settings.topic_prefix).name(INTENTS)
        self._producer: AIOKafkaProducer | None = None
        self.partitions = 0

    async def start(self) -> None:
        """Connect, and learn the number of partitions.

        Raises:
            Unavailable: Kafka did not answer, or the topic is not there.
        """
        producer = async_producer(self._settings, self._client_id)
        try:
            await producer.start()
            self._producer = producer
            found = await producer.partitions_for(self._topic)
        except KafkaError as error:
            await producer.stop()
            raise Unavailable(
                f"Kafka does not have topic {self._topic}: {error}",
                cure="Run `symphainy topics create`.",
            ) from error
        self.partitions = len(found)

    async def stop(self) -> None:
        """Send what is queued, and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def publish(self, intent: Intent) -> Accepted:
        """Append the intent; returns when Kafka has acknowledged it.

        Raises:
            CallerError: the session id carries a partition that is not there, or a part of the
                intent is too large; or the tenant's keys were destroyed (`content_shredded`).
            Unavailable: the tenant's keys cannot be had (`keys_unavailable`), or unknown whether
                it was appended; repeat with the same intent id.
        """
        partition = self._partition(intent)
        _check_sides(intent)
        intent = await self._enclosed(intent)
        if self._sign is not None:
            intent = self._sign(intent)
        assert self._producer is not None, "start() the publisher first"
        try:
            placed = await self._producer.send_and_wait(
                self._topic,
                encode(intent),
                key=f"{intent.tenant_id}/{intent.session_id}".encode(),
                partition=partition,
                headers=_headers(intent),
            )
        except (KafkaError, KafkaTimeoutError) as error:
            raise Unavailable(
                f"Kafka did not acknowledge the intent: {type(error).__name__}.",
                code="wal_unavailable",
                cure=f"Repeat with intent id {intent.intent_id}.",
            ) from error
        return Accepted(
            ids.execution_id(intent.tenant_id, intent.session_id, intent.intent_id, partition),
            intent.intent_id,
            INTENTS,
            partition,
            placed.offset,
        )

    async def adds(self, intent: Intent) -> int:
        """How many bytes publishing the intent would add to the object store: none for a payload
        that goes inline, or that is there already.

        Raises:
            Unavailable: the object store did not answer.
        """
        if len(intent.payload) <= self._settings.inline_limit_bytes:
            return 0
        there = await self._artifacts.holds(intent.tenant_id, intent.payload)
        return 0 if there else len(intent.payload)

    async def same_payload(self, intent: Intent, digest: bytes) -> bool:
        """Whether a payload that was decided under this digest is the intent's: as it stands in the
        log, inline or claim-checked, sealed under whichever generation of the tenant's key.

        Raises:
            Unavailable: the tenant's keys cannot be had.
        """
        opener = await self._artifacts.content.ready(intent.tenant_id)
        large = len(intent.payload) > self._settings.inline_limit_bytes
        return digest in payload_digests(opener, intent, large=large)

    async def _enclosed(self, intent: Intent) -> Intent:
        """The intent as it goes into the log: a large payload in the object store, content
        sealed."""
        payload, reference = await self._artifacts.claim_check(
            intent.tenant_id, intent.payload, self._settings.inline_limit_bytes
        )
        if reference is not None:
            intent = msgspec.structs.replace(intent, payload=payload, payload_ref=reference)
        return sealed_intent(await self._artifacts.content.ready(intent.tenant_id), intent)

    def _partition(self, intent: Intent) -> int:
        if not intent.session_id:
            return ids.route(intent.tenant_id, intent.intent_id, self.partitions)
        partition = ids.partition_of(intent.session_id)
        if partition >= self.partitions:
            raise CallerError(
                f"Session {intent.session_id} names partition {partition}; "
                f"this cluster has {self.partitions}.",
                code="session_not_found",
                field="/session_id",
                cure="Open a session on this cluster.",
            )
        return partition


def _check_sides(intent: Intent) -> None:
    for name in ("metadata", "solution_context"):
        size = len(getattr(intent, name))
        if size > SIDE_LIMIT_BYTES:
            raise CallerError(
                f"{name} has {size} bytes; the limit is {SIDE_LIMIT_BYTES}.",
                code="too_large",
                field=f"/{name}",
                cure="Put large data into the payload, or pass a reference.",
            )


def _headers(intent: Intent) -> list[tuple[str, bytes]]:
    """Copies for other tools (CloudEvents Kafka binding, W3C trace context)."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", intent.intent_id.encode()),
        ("ce_type", intent.intent_type.encode()),
        ("ce_source", f"/tenants/{intent.tenant_id}".encode()),
    ]
    if intent.traceparent:
        headers.append(("traceparent", intent.traceparent.encode()))
    return headers
