"""The journal, read back from Kafka for restores and doubts."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

from symphainy_processors.owner.kafka.ranges import BOUNDS_TIMEOUT_S, RangeReader
from symphainy_transport.clients import admin
from symphainy_transport.identity import topic_identity
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import JOURNAL, Topics


class KafkaJournal:
    """Implements `ports.Journal`."""

    def __init__(self, settings: TransportSettings, client_id: str) -> None:
        """Connect lazily."""
        self._topic = Topics(settings.topic_prefix).name(JOURNAL)
        self._ranges = RangeReader(settings, client_id, self._topic)
        self._admin = admin(settings, f"{client_id}-admin")

    def identity(self) -> str:
        """Cluster id, topic name and topic id (KIP-516). Asked each time: a topic may be made anew
        under its old name while we run.

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        return topic_identity(self._admin, self._topic, BOUNDS_TIMEOUT_S)

    def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset kept, offset after the last).

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        return self._ranges.bounds(partition)

    def read(
        self, partition: int, start: int, end: int
    ) -> Generator[Sequence[tuple[int, bytes]], None, None]:
        """The records in [start, end) as (offset, value), in batches; an empty one: nothing yet.

        Raises:
            Unavailable: nothing has come for long, or the range is no longer kept.
        """
        with closing(self._ranges.read(partition, start, end)) as batches:
            for batch in batches:
                yield [
                    (offset, value)
                    for message in batch
                    if (value := message.value()) is not None
                    and (offset := message.offset()) is not None
                ]

    def close(self) -> None:
        """Disconnect."""
        self._ranges.close()
