"""Stating what governs: one intent in every partition of the write-ahead log (rule 8).

The call returns when Kafka has acknowledged all of them, and, if asked, when every partition's
owner has decided. It may be repeated with the same id: whoever has decided it answers the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from confluent_kafka import KafkaError, Message, TopicPartition

from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import Unavailable, UnreadableRecord
from symphainy_schemas.records import Error, Intent
from symphainy_transport.clients import bounds, consumer, producer
from symphainy_transport.topics import INTENTS, JOURNAL, Topics

ACKNOWLEDGED_S = 10.0
DECIDED_S = 30.0
"""An owner that lives decides in milliseconds; a takeover takes some seconds."""
_METADATA = b'{"source":"operator"}'


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What governs: an intent type of `policy.actions.GOVERNANCE`, the scope, and the rest of the
    payload. `intent_id` is the same on every partition."""

    intent_type: str
    scope: str
    payload: Mapping[str, Any]
    principal: str
    intent_id: str = msgspec.field(default_factory=ids.new_intent_id)

    def intent(self, partition: int, now: int) -> Intent:
        """As it stands on one partition. Who can write there is an operator of the platform."""
        return Intent(
            intent_id=self.intent_id,
            intent_type=self.intent_type,
            realm=self.intent_type.split(".", 1)[0],
            session_id=ids.governing_session(self.scope, partition),
            tenant_id=self.scope,
            principal=self.principal,
            correlation_id=self.intent_id,
            payload=msgspec.json.encode({**self.payload, "scope": self.scope}),
            metadata=_METADATA,
            solution_context=b"",
            created_at=now,
            roles=(PLATFORM_OPERATOR,),
        )


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one partition made of an order; `error` if it was refused."""

    partition: int
    offset: int
    execution_id: str
    error: Error | None = None


def govern(
    settings: RuntimeSettings,
    order: Order,
    progress: Callable[[int], None] = lambda _: None,
    decided_s: float = DECIDED_S,
) -> list[Verdict]:
    """State the order everywhere, and wait until every partition has decided it; by partition.
    `progress` is told how many have.

    Raises:
        Unavailable: Kafka did not acknowledge all of them, or an owner does not decide. Repeat it
            with the same intent id.
    """
    journal = Topics(settings.topic_prefix).name(JOURNAL)
    reader = consumer(settings, "symphainy-governing", auto_offset_reset="earliest")
    try:
        places = [TopicPartition(journal, p, 0) for p in range(settings.partitions)]
        for place in places:
            place.offset = bounds(reader, place, ACKNOWLEDGED_S)[1]
        reader.assign(places)
        stated = _state(settings, order)
        return _decided(reader, order, stated, progress, decided_s)
    finally:
        reader.close()


def _state(settings: RuntimeSettings, order: Order) -> dict[int, int]:
    """Where the order stands: offset by partition."""
    failures: list[str] = []
    stated: dict[int, int] = {}

    def delivered(error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is not None or partition is None or offset is None:
            failures.append(str(error or "no offset was told"))
        else:
            stated[partition] = offset

    out = producer(settings, "symphainy-governing", message_timeout_ms=int(ACKNOWLEDGED_S * 1_000))
    topic, seal = Topics(settings.topic_prefix).name(INTENTS), settings.sealing()
    now = time.time_ns() // 1_000_000
    for p in range(settings.partitions):
        intent = order.intent(p, now) if seal is None else seal(order.intent(p, now))
        key = f"{intent.tenant_id}/{intent.session_id}".encode()
        out.produce(topic, encode(intent), key, p, on_delivery=delivered)
    if out.flush(ACKNOWLEDGED_S + 2) or failures:
        raise Unavailable(
            f"Kafka took {len(stated)} of {settings.partitions}: {failures or 'time-out'}",
            cure=f"Repeat it: what stands already counts once ({order.intent_id}).",
        )
    return stated


def _decided(
    reader: Any,
    order: Order,
    stated: Mapping[int, int],
    progress: Callable[[int], None],
    decided_s: float,
) -> list[Verdict]:
    deadline = time.monotonic() + decided_s
    found: dict[int, Verdict] = {}
    while len(found) < len(stated):
        if time.monotonic() > deadline:
            missing = sorted(stated.keys() - found.keys())
            raise Unavailable(
                f"It stands everywhere, but partitions {missing} have not decided it in "
                f"{decided_s:g} s.",
                cure="See that owners run (symphainy doctor); they decide it when they do.",
            )
        for message in reader.consume(500, 0.1):
            verdict = _verdict(message, order, stated)
            if verdict is not None:
                found[verdict.partition] = verdict
        progress(len(found))
    return [found[p] for p in sorted(found)]


def _verdict(message: Message, order: Order, stated: Mapping[int, int]) -> Verdict | None:
    """What a journal record says of the order, if it is about that."""
    value, partition = message.value(), message.partition()
    if message.error() is not None or value is None or partition is None:
        return None
    try:
        record = decode(value, e.JournalRecord)
    except UnreadableRecord:
        return None
    session = ids.governing_session(order.scope, partition)
    execution = ids.execution_id(order.scope, session, order.intent_id, partition)
    if record.execution_id != execution or not record.events:
        return None
    last = record.events[-1]
    error = last.error if isinstance(last, e.IntentRejected) else None
    return Verdict(
        partition=partition, offset=stated[partition], execution_id=execution, error=error
    )
