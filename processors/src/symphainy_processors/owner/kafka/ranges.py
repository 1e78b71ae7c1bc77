"""Reading ranges of a partition to a known end, in batches, without waiting long for any of them.

For restores, whose caller serves others between two batches.
"""

from __future__ import annotations

import time
from collections.abc import Generator

from confluent_kafka import KafkaError, Message, TopicPartition

from symphainy_schemas.errors import Unavailable
from symphainy_transport.clients import bounds, consumer
from symphainy_transport.settings import TransportSettings

STALL_S = 15.0  # no progress for longer than a broker's restart: say so instead of hanging
# The loop stands still so long; longer than a metadata refresh after a change of leaders.
BOUNDS_TIMEOUT_S = 2.0
WAIT_S = 0.002  # of a batch for its first record, so that others are served
BATCH = 2_000
FETCH_WAIT_MS = 10  # only at the partition's end does a fetch wait: so late is the end known
FETCH_BYTES = 4 * 1024 * 1024  # of a partition in one answer
QUEUED_KBYTES = 64 * 1024  # fetched ahead while batches are folded
# When that is full the client pauses, by default for 1 s, in which the reader runs dry: 180,000
# records a second instead of 700,000.
FULL_QUEUE_BACKOFF_MS = 1
_HOPELESS = (KafkaError._FATAL, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


class RangeReader:
    """Reads ranges of one topic, one after the other. Owns a consumer without a group.

    Only committed records come, and `bounds` ends before the first transaction that is open.
    """

    def __init__(self, settings: TransportSettings, client_id: str, topic: str) -> None:
        """Connect lazily."""
        self._topic = topic
        self._reading = False
        self._consumer = consumer(
            settings,
            client_id,
            isolation_level="read_committed",
            enable_partition_eof=True,
            fetch_wait_max_ms=FETCH_WAIT_MS,
            fetch_message_max_bytes=FETCH_BYTES,
            queued_max_messages_kbytes=QUEUED_KBYTES,
            fetch_queue_backoff_ms=FULL_QUEUE_BACKOFF_MS,
        )

    def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset kept, offset after the last).

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        return bounds(self._consumer, TopicPartition(self._topic, partition), BOUNDS_TIMEOUT_S)

    def read(self, partition: int, start: int, end: int) -> Generator[list[Message], None, None]:
        """The records in [start, end) in batches; an empty one: nothing yet.

        Offsets may have holes (compaction, ends of transactions): the range ends when the position
        is past it, which the client tells by an event at the partition's end.

        Raises:
            Unavailable: nothing has come for `STALL_S`, or the range is no longer kept.
        """
        if start >= end:
            return
        assert not self._reading, "one read at a time"
        self._reading = True
        self._consumer.assign([TopicPartition(self._topic, partition, start)])
        try:
            reached, moved_at = start, time.monotonic()
            while reached < end:
                found, position = self._batch(end)
                if position > reached:
                    reached, moved_at = position, time.monotonic()
                elif time.monotonic() - moved_at > STALL_S:
                    raise Unavailable(f"Reading {self._topic}/{partition} stalled at {reached}.")
                yield found
        finally:
            self._reading = False
            self._consumer.unassign()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _batch(self, end: int) -> tuple[list[Message], int]:
        """What has come below `end`, and the offset after it."""
        first = self._consumer.poll(WAIT_S)
        if first is None:
            return [], 0
        found: list[Message] = []
        position = 0
        for message in (first, *self._consumer.consume(BATCH, 0)):
            error = message.error()
            offset = message.offset()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    position = offset or 0
                else:
                    self._raise_unless_passing(error)
                continue
            assert offset is not None
            position = offset + 1
            if offset < end:
                found.append(message)
        return found, position

    def _raise_unless_passing(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in _HOPELESS:
            raise Unavailable(f"{self._topic} cannot be read: {error.str()}")
