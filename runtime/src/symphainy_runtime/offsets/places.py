"""Positions and bounds as Kafka tells them. Joins no group and commits nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Self

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from symphainy_schemas.codec import decode
from symphainy_schemas.errors import Unavailable, UnreadableRecord
from symphainy_schemas.events import JournalRecord
from symphainy_transport.clients import admin, bounds, consumer, first_at
from symphainy_transport.settings import TransportSettings

ANSWER_S = 10.0
# Of a journal's end, to find what its newest owner wrote last: it never has many records of former
# terms behind that (rule 1: a dead owner's last appends).
_TAIL = 200
_WAIT_S = 0.1
_NAME = "symphainy-offsets"


class Written(NamedTuple):
    """What the newest owner of a partition wrote last: its own positions."""

    intents_next: int
    steps_next: int
    acted_to: int


class Places:
    """Asks Kafka; a context manager that disconnects."""

    def __init__(self, settings: TransportSettings) -> None:
        self._admin = admin(settings, _NAME)
        self._consumer = consumer(settings, _NAME, enable_partition_eof=True, fetch_wait_max_ms=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def topics(self, prefix: str) -> dict[str, int]:
        """How many partitions each topic has whose name begins so.

        Raises:
            Unavailable: Kafka did not answer.
        """
        try:
            found = self._consumer.list_topics(timeout=ANSWER_S).topics
        except KafkaException as error:
            raise _silent("its topics", error) from error
        return {
            name: len(topic.partitions)
            for name, topic in found.items()
            if name.startswith(prefix) and topic.error is None
        }

    def groups(self, prefix: str) -> list[str]:
        """The consumer groups whose names begin so.

        Raises:
            Unavailable: Kafka did not answer.
        """
        try:
            listed: Any = self._admin.list_consumer_groups(request_timeout=ANSWER_S).result()
        except KafkaException as error:
            raise _silent("its consumer groups", error) from error
        return sorted(one.group_id for one in listed.valid if one.group_id.startswith(prefix))

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """(first offset kept, offset after the last).

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        return bounds(self._consumer, TopicPartition(topic, partition))

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """What a group has committed, by topic and partition; nothing where there is no group.

        Raises:
            Unavailable: Kafka did not answer.
        """
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group)], request_timeout=ANSWER_S
        )
        try:
            found: Any = asked[group].result().topic_partitions
        except KafkaException as error:
            raise _silent(f"the offsets of group {group}", error) from error
        return {
            (one.topic, one.partition): one.offset
            for one in found
            if one.error is None and one.offset >= 0
        }

    def at(self, topic: str, partition: int, at_ms: int) -> int | None:
        """The first offset that Kafka appended at or after a time; None if there is none yet.

        Raises:
            Unavailable: Kafka did not answer.
        """
        return first_at(self._consumer, topic, partition, at_ms, ANSWER_S)

    def written(self, journal: str, partition: int) -> Written | None:
        """The positions in the last record of the newest term; None in an empty journal.

        Raises:
            Unavailable: Kafka did not answer.
        """
        low, high = self.bounds(journal, partition)
        start = max(low, high - _TAIL)
        newest: tuple[int, int] | None = None
        told: Written | None = None
        for offset, value in self._read(journal, partition, start, high):
            try:
                record = decode(value, JournalRecord)
            except UnreadableRecord:
                continue
            term = offset if record.seq == 0 else record.term
            if newest is None or (term, offset) >= newest:
                newest = term, offset
                told = Written(record.intents_next, record.steps_next, record.acted_to)
        return told

    def _read(self, topic: str, partition: int, start: int, end: int) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        if start >= end:
            return found
        place = TopicPartition(topic, partition, start)
        self._consumer.assign([place])
        try:
            silent = 0
            while silent < ANSWER_S / _WAIT_S:
                message = self._consumer.poll(_WAIT_S)
                if message is None:
                    silent += 1
                    continue
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        return found
                    raise _silent(f"the end of {topic}/{partition}", error)
                offset, value = message.offset(), message.value()
                if offset is not None and value is not None:
                    found.append((offset, value))
                if offset is not None and offset >= end - 1:
                    return found
            raise _silent(f"the end of {topic}/{partition}", "nothing has come")
        finally:
            self._consumer.unassign()


def _silent(what: str, why: object) -> Unavailable:
    return Unavailable(
        f"Kafka did not tell {what}: {why}",
        cure="Ask again when the brokers run, with the right to describe topics and groups.",
    )
