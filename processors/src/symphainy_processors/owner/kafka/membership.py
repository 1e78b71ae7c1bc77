"""Which partitions are ours: the consumer group on `intents`, and nothing else.

This consumer never reads a record: the partitions it is given are paused at once. Reading is by
manual assignment from the journal's positions, so the group's offsets are not used at all.
"""

from __future__ import annotations

import logging

from confluent_kafka import Consumer, KafkaError, TopicPartition

from symphainy_processors.owner.ports import Revoked
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError
from symphainy_transport.clients import consumer
from symphainy_transport.topics import CONFIG, INTENTS, Topics
from symphainy_transport.unclaimed import Unclaimed

log = logging.getLogger(__name__)
# The broker's smallest default; a dead owner's partitions move after it.
SESSION_TIMEOUT_MS = 6_000
# Four chances within a session. The client's own thread sends them, however busy the owner is.
HEARTBEAT_MS = 1_500
# A rebalance waits this long for an owner that is alive but does not poll, and what it owns is
# stuck so long. Above the longest that a turn may block (a broker that does not answer: seconds).
MAX_POLL_INTERVAL_MS = 60_000
_FATAL = (KafkaError._FATAL, KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID)


class GroupMembership:
    """Implements `ports.Membership`: this process in the owners' group."""

    def __init__(self, settings: RuntimeSettings, name: str, revoked: Revoked) -> None:
        """Join as `name`: a restart under the same name gets its partitions back at once
        (static membership, KIP-345).

        `revoked` is called out of `poll` while partitions are still ours and nobody else's: the
        rebalance goes on when it returns (cooperative rebalancing, KIP-429). Those that were lost
        it does not hear of: others may have them already.
        """
        self._partitions: frozenset[int] = frozenset()
        self._hand_over = revoked
        self._closing = False
        self._fatal: KafkaError | None = None
        topics = Topics(settings.topic_prefix)
        self._topic, self._other_topic = topics.name(INTENTS), topics.name(CONFIG)
        group = settings.topic_prefix + settings.owner_group
        self._unclaimed = Unclaimed(settings, f"{name}-group", group, self._topic, lasting=True)
        self._both = False
        self._consumer: Consumer = consumer(
            settings,
            name,
            group_id=group,
            error_cb=self._on_error,
            group_instance_id=name,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            partition_assignment_strategy="cooperative-sticky",
            auto_offset_reset="latest",
        )
        self._subscribe([self._topic])

    def poll(self) -> frozenset[int]:
        """The partitions that are ours now; runs the group's callbacks, and raises what they do.

        Raises:
            OperatorError: another process joined under our name.
        """
        # Never a record: what comes is an error. That another has our name is told only so.
        told = self._consumer.poll(0.0)
        if told is not None:
            self._on_error(told.error())
        if self._fatal is not None:
            raise OperatorError(
                f"The group refused this owner: {self._fatal.str()}",
                code="owner_fenced",
                cure="Give every owner process a name of its own.",
            )
        if self._unclaimed.seen():
            self._join_again()
        return self._partitions

    def close(self) -> None:
        """Leave (a static member's partitions wait for its session timeout)."""
        self._closing = True
        self._unclaimed.close()
        self._consumer.close()

    def _subscribe(self, topics: list[str]) -> None:
        self._consumer.subscribe(
            topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def _join_again(self) -> None:
        """Begin a rebalance in which we keep what we have (`unclaimed` says why, and how)."""
        self._both = not self._both
        self._subscribe([self._topic, *([self._other_topic] if self._both else [])])

    def _assigned(self, client: Consumer, given: list[TopicPartition]) -> None:
        for place in given:
            place.offset = 0  # never read: paused right below
        client.incremental_assign(given)
        client.pause(given)
        self._partitions |= self._ours(given)

    def _revoked(self, client: Consumer, taken: list[TopicPartition]) -> None:
        partitions = self._ours(taken)
        if partitions and not self._closing:
            self._hand_over(partitions)
        self._partitions -= partitions
        client.incremental_unassign(taken)

    def _lost(self, client: Consumer, taken: list[TopicPartition]) -> None:
        partitions = self._ours(taken)
        log.warning("the group has given up on us; lost partitions %s", sorted(partitions))
        self._partitions -= partitions
        client.incremental_unassign(taken)

    def _ours(self, places: list[TopicPartition]) -> frozenset[int]:
        return frozenset(place.partition for place in places if place.topic == self._topic)

    def _on_error(self, error: KafkaError | None) -> None:
        if error is None:
            return
        if error.fatal() or error.code() in _FATAL:
            self._fatal = error
        else:
            log.warning("membership: %s", error.str())
