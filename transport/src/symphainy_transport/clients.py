"""librdkafka's clients with the settings that the guarantees need. One place sets security for all.

The asyncio producer is apart, in `async_clients`: it brings a library that an owner does without.

Producers are idempotent with `acks=all`; nobody commits offsets automatically; every consumer
stops on a missing position (`auto.offset.reset=error`, rule 19) unless its caller says otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from symphainy_schemas.errors import Unavailable
from symphainy_transport.settings import TransportSettings

_PASSING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
)
_ASK_AGAIN_S = 0.05
FETCH_WAIT_MS = 500  # a fetch of nothing new waits so long
_CALLBACKS = frozenset({"on_commit", "error_cb", "stats_cb", "throttle_cb", "logger"})
ErrorCallback = Callable[[KafkaError], None]
T = TypeVar("T")


def confluent_config(settings: TransportSettings, client_id: str) -> dict[str, Any]:
    """What every librdkafka client shares."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.require_kafka(),
        "security.protocol": settings.kafka_security_protocol,
        "client.id": client_id,
        "socket.nagle.disable": True,
        # A broker's restart takes about 2 s: come back soon, not after librdkafka's 10 s.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 3,
    }
    optional = {
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": settings.kafka_sasl_password.get_secret_value(),
        "ssl.ca.location": settings.kafka_ssl_ca_location,
        "ssl.certificate.location": settings.kafka_ssl_certificate_location,
        "ssl.key.location": settings.kafka_ssl_key_location,
        "ssl.key.password": settings.kafka_ssl_key_password.get_secret_value(),
    }
    config.update({key: value for key, value in optional.items() if value})
    config.update(settings.kafka_extra)
    return config


def producer(settings: TransportSettings, client_id: str, **overrides: Any) -> Producer:
    """An idempotent producer. Keys of `overrides` are librdkafka's, with _ for dots."""
    return Producer(
        confluent_config(settings, client_id)
        | {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 262_144,
        }
        | _dotted(overrides)
    )


def consumer(
    settings: TransportSettings,
    client_id: str,
    *,
    group_id: str | None = None,
    error_cb: ErrorCallback | None = None,
    **overrides: Any,
) -> Consumer:
    """A consumer that never commits by itself. Without a group it only takes assignments."""
    config = confluent_config(settings, client_id) | {
        # librdkafka wants a group id even from a consumer that never joins one.
        "group.id": group_id or f"{client_id}-unused",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "fetch.wait.max.ms": FETCH_WAIT_MS,
        "fetch.error.backoff.ms": 50,
        # When its queue is full the client pauses its fetches, by default for 1 s, in which a
        # reader of a backlog runs dry: 45,000 records a second instead of 240,000.
        "fetch.queue.backoff.ms": 1,
        "queued.max.messages.kbytes": 16_384,
        "allow.auto.create.topics": False,
    }
    if error_cb is not None:
        config["error_cb"] = error_cb
    return Consumer(config | _dotted(overrides))


def bounds(client: Consumer, place: TopicPartition, timeout_s: float = 10.0) -> tuple[int, int]:
    """(first offset kept, offset after the last) of a partition.

    A topic just created, or a broker just back, first answers that it is not the leader: asked
    again until `timeout_s`.

    Raises:
        Unavailable: Kafka did not answer, or has no such topic.
    """
    return _answered(
        lambda: client.get_watermark_offsets(place, timeout=timeout_s),
        timeout_s,
        f"the bounds of {place.topic}/{place.partition}",
    )


def first_at(
    client: Consumer, topic: str, partition: int, at_ms: int, timeout_s: float = 10.0
) -> int | None:
    """The first offset that Kafka appended at `at_ms` (since the epoch) or later; None if there is
    none yet. A time before the epoch asks for the first that is kept: Kafka has other meanings for
    negative ones.

    Raises:
        Unavailable: Kafka did not answer, or has no such topic.
    """
    asked = TopicPartition(topic, partition, max(0, at_ms))

    def ask() -> int:
        (found,) = client.offsets_for_times([asked], timeout=timeout_s)
        if found.error is not None:
            raise KafkaException(found.error)
        offset: int = found.offset
        return offset

    found = _answered(ask, timeout_s, f"what stood in {topic}/{partition} at a time")
    return found if found >= 0 else None


def _answered(ask: Callable[[], T], timeout_s: float, what: str) -> T:
    """What Kafka answers; asked again until `timeout_s` where another broker may know."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            passing = error.args[0].code() in _PASSING
            if not passing or time.monotonic() >= deadline:
                raise Unavailable(
                    f"Kafka did not tell {what}: {error}",
                    cure="Check that the brokers run; `symphainy topics create` makes topics.",
                ) from error
        time.sleep(_ASK_AGAIN_S)


def admin(settings: TransportSettings, client_id: str = "symphainy-admin") -> AdminClient:
    """An admin client."""
    return AdminClient(confluent_config(settings, client_id))


def _dotted(overrides: dict[str, Any]) -> dict[str, Any]:
    return {
        key if key in _CALLBACKS else key.replace("_", "."): value
        for key, value in overrides.items()
    }
