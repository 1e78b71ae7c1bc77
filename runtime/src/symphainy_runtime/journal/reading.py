"""Reading a journal partition back from Kafka, through the one filter.

For restores and doubts, which are rare and must be certain: it reads to a known end, and blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, TopicPartition

from symphainy_runtime.journal.validity import Stored, Validity, judge
from symphainy_schemas.errors import Unavailable
from symphainy_transport.clients import bounds

STALL_S = 15.0  # no progress for longer than a broker's restart: say so instead of hanging


class JournalReader:
    """Reads ranges of journal partitions. Owns a consumer without a group."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic

    def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset kept, offset after the last)."""
        return bounds(self._consumer, TopicPartition(self._topic, partition))

    def read(self, partition: int, start: int, end: int, since: Validity) -> Iterator[Stored]:
        """Every record in [start, end), each with whether it counts and the standing after it.

        Raises:
            JournalTooNew: a record has an unknown schema; nothing was skipped.
            Unavailable: Kafka stopped answering.
        """
        if start >= end:
            return
        place = TopicPartition(self._topic, partition, start)
        self._consumer.assign([place])
        standing = since
        try:
            reached = start
            while reached < end:
                for after, value in self._batch(place, reached):
                    reached = after
                    if after > end:
                        break
                    if value is not None:
                        stored = judge(value, after - 1, standing)
                        standing = stored.standing
                        yield stored
        finally:
            self._consumer.unassign()

    def _batch(self, place: TopicPartition, offset: int) -> Iterator[tuple[int, bytes | None]]:
        """What comes next, each as (offset after it, value); the position if nothing does."""
        first = self._consumer.poll(STALL_S)
        if first is None:
            position = self._consumer.position([place])[0].offset
            if position <= offset:
                raise Unavailable(f"Reading the journal stalled at offset {offset}.")
            yield position, None
            return
        for message in (first, *self._consumer.consume(2_000, 0)):
            error = message.error()
            if error is not None:
                _raise_unless_passing(error)
                continue
            at = message.offset()
            assert at is not None
            yield at + 1, message.value()


def _raise_unless_passing(error: KafkaError) -> None:
    if error.fatal() or error.code() in (
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._AUTO_OFFSET_RESET,
    ):
        raise Unavailable(f"The journal cannot be read: {error.str()}")
