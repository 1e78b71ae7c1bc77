"""Which partitions are ours: the consumer group on `intents`, and nothing else.

This consumer never reads a record: the partitions it is given are paused at once. Reading is by
manual assignment from the journal's positions, so the group's offsets are not used at all.
"""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaError, TopicPartition

from symphainy_schemas.errors import OperatorError
from symphainy_transport.clients import consumer
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import INTENTS, Topics

# The broker's smallest default; a dead owner's partitions move after it.
SESSION_TIMEOUT_MS = 6_000
HEARTBEAT_MS = 1_500  # four chances within a session
_FENCED = (KafkaError.FENCED_INSTANCE_ID, KafkaError._FENCED)


class Membership:
    """This process's membership of the owners' group."""

    def __init__(self, settings: TransportSettings, group: str, name: str) -> None:
        """Join as `name`: a restart under the same name gets its partitions back at once
        (static membership, KIP-345)."""
        self.partitions: frozenset[int] = frozenset()
        self._fatal: KafkaError | None = None
        self._consumer: Consumer = consumer(
            settings,
            name,
            group_id=settings.topic_prefix + group,
            error_cb=self._on_error,
            group_instance_id=name,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            partition_assignment_strategy="cooperative-sticky",
            auto_offset_reset="latest",
        )
        self._consumer.subscribe(
            [Topics(settings.topic_prefix).name(INTENTS)],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def poll(self, timeout_s: float = 0.0) -> frozenset[int]:
        """The partitions that are ours now.

        Raises:
            OperatorError: another process joined under our name.
        """
        self._consumer.poll(timeout_s)
        if self._fatal is not None:
            raise OperatorError(
                f"The group refused this owner: {self._fatal.str()}",
                code="owner_fenced",
                cure="Give every owner process a name of its own.",
            )
        return self.partitions

    def close(self) -> None:
        """Leave (a static member's partitions wait for its session timeout)."""
        self._consumer.close()

    def _assigned(self, client: Consumer, given: list[TopicPartition]) -> None:
        for place in given:
            place.offset = 0  # never read: paused right below
        client.incremental_assign(given)
        client.pause(given)
        self.partitions |= {place.partition for place in given}

    def _revoked(self, client: Consumer, taken: list[TopicPartition]) -> None:
        client.incremental_unassign(taken)
        self.partitions -= {place.partition for place in taken}

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in _FENCED:
            self._fatal = error
