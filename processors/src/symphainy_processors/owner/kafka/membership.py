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
from symphainy_transport.returning import Returning
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
        self._returning: Returning | None = None
        self._member_ids: set[str] = set()
        topics = Topics(settings.topic_prefix)
        self._topic, self._other_topic = topics.name(INTENTS), topics.name(CONFIG)
        self._settings, self._name = settings, name
        self._group = settings.topic_prefix + settings.owner_group
        self._unclaimed = Unclaimed(
            settings, f"{name}-group", self._group, self._topic, lasting=True
        )
        self._both = False
        self._consumer = self._member()
        self._subscribe()

    def _member(self) -> Consumer:
        return consumer(
            self._settings,
            self._name,
            group_id=self._group,
            error_cb=self._on_error,
            group_instance_id=self._name,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            partition_assignment_strategy="cooperative-sticky",
            auto_offset_reset="latest",
        )

    def poll(self) -> frozenset[int]:
        """The partitions that are ours now; runs the group's callbacks, and raises what they do.

        Raises:
            OperatorError: another process lives under our name.
        """
        if self._returning is not None and not self._came_again(self._returning):
            return self._partitions
        # Never a record: what comes is an error. That another has our name is told only so.
        told = self._consumer.poll(0.0)
        if told is not None:
            self._on_error(told.error())
        if self._fatal is not None:
            self._refused(self._fatal)
        elif self._unclaimed.seen():
            self._join_again()
        return self._partitions

    def _refused(self, why: KafkaError) -> None:
        """Others may have everything already: nothing is handed over."""
        log.warning("the group refused us: %s; who has our name?", why.str())
        self._partitions = frozenset()
        self._consumer.close()
        self._returning = Returning(
            self._settings,
            f"{self._name}-name",
            self._group,
            self._name,
            ours=self._member_ids,
            session_s=SESSION_TIMEOUT_MS / 1000,
        )

    def _came_again(self, returning: Returning) -> bool:
        """Whether we are a member again, as nobody else has our name; not yet, if that is not
        known."""
        free = returning.free()
        if free is None:
            return False
        if not free:
            assert self._fatal is not None
            raise OperatorError(
                f"The group refused this owner: {self._fatal.str()}",
                code="owner_fenced",
                cure="Give every owner process a name of its own.",
            )
        self._returning = self._fatal = None
        self._consumer = self._member()
        self._subscribe()
        return True

    def close(self) -> None:
        """Leave (a static member's partitions wait for its session timeout)."""
        self._closing = True
        self._unclaimed.close()
        if self._returning is not None:
            self._returning.close()
        else:
            self._consumer.close()

    def _subscribe(self) -> None:
        topics = [self._topic, *([self._other_topic] if self._both else [])]
        self._consumer.subscribe(
            topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def _join_again(self) -> None:
        """Begin a rebalance in which we keep what we have (`unclaimed` says why, and how)."""
        self._both = not self._both
        self._subscribe()

    def _assigned(self, client: Consumer, given: list[TopicPartition]) -> None:
        self._member_ids.add(client.memberid() or "")
        for place in given:
            place.offset = 0  # never read: paused right below
        client.incremental_assign(given)
        client.pause(given)
        self._partitions |= self._ours(given)

    def _revoked(self, client: Consumer, taken: list[TopicPartition]) -> None:
        partitions = self._ours(taken)
        if partitions and not self._closing and self._fatal is None:
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
