"""A history read from a real cluster: every topic under the prefix, through to its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from symphainy_schemas.codec import decode
from symphainy_schemas.errors import Unavailable, UnreadableRecord
from symphainy_schemas.records import Task
from symphainy_simulation.checking.history import Carried, History, Written
from symphainy_transport.clients import bounds, consumer
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import DEAD_LETTERS, INTENTS, JOURNAL, STATE, STEPS, Topics

STALL_S = 15.0  # no progress for longer than a broker's restart
TASKS = "tasks."
_BATCH = 5_000
_METADATA_S = 15.0
Marks = Mapping[tuple[str, int], int]
"""Offsets by (topic without the prefix, partition)."""


@dataclass(frozen=True)
class Window:
    """What all partitions of a window share: from where to where, and the records of topics that
    are not by partition."""

    start: Marks
    end: Marks
    tasks: Mapping[int, Mapping[str, Sequence[Written]]]
    """By the owner's partition, then by topic."""
    letters: Sequence[Written]
    carried: Mapping[int, Carried] = field(default_factory=dict)


class ClusterReader:
    """Reads topics of one cluster. Belongs to no group. Not safe to use from two threads."""

    def __init__(self, settings: TransportSettings, client_id: str = "checker") -> None:
        self._topics = Topics(settings.topic_prefix)
        self._prefix = settings.topic_prefix
        self.partitions = settings.partitions
        self._plain: Consumer = consumer(
            settings, client_id, enable_partition_eof=True, fetch_wait_max_ms=20
        )
        self._committed: Consumer = consumer(
            settings,
            client_id,
            isolation_level="read_committed",
            enable_partition_eof=True,
            fetch_wait_max_ms=20,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._plain.close()
        self._committed.close()

    def ends(self) -> dict[tuple[str, int], int]:
        """The offset after the last record, for every partition of every topic.

        Raises:
            Unavailable: Kafka did not answer.
        """
        try:
            topics = self._plain.list_topics(timeout=_METADATA_S).topics
        except KafkaException as error:
            raise Unavailable(f"Kafka did not tell its topics: {error}") from error
        found = {}
        for name, about in topics.items():
            if name.startswith(self._prefix):
                for p in about.partitions:
                    at = bounds(self._plain, TopicPartition(name, p))[1]
                    found[self._topics.short(name), p] = at
        return found

    def read(self, topic: str, p: int, start: int, end: int) -> list[Written]:
        """The records in [start, end) of a topic without the prefix; of `state` the committed ones.

        Raises:
            Unavailable: Kafka did not answer.
        """
        return list(self._records(topic, p, start, end)) if start < end else []

    def _records(self, topic: str, p: int, start: int, end: int) -> Iterator[Written]:
        client = self._committed if topic == STATE else self._plain
        client.assign([TopicPartition(self._topics.name(topic), p, start)])
        try:
            while True:
                messages = client.consume(_BATCH, 0.1) or client.consume(1, STALL_S)
                if not messages:
                    raise Unavailable(f"Reading {topic}/{p} stalled before {end}.")
                for message in messages:
                    at_end = _ends(message)
                    offset = message.offset() or 0
                    if at_end or offset >= end:
                        return
                    if message.error() is None:
                        yield _written(message)
                        if offset == end - 1:
                            return
        finally:
            client.unassign()

    def window(
        self, start: Marks, end: Marks, carried: Mapping[int, Carried] | None = None
    ) -> Window:
        """What the partitions of a window share, read now."""
        tasks: dict[int, dict[str, list[Written]]] = defaultdict(lambda: defaultdict(list))
        for (topic, p), until in sorted(end.items()):
            if topic.startswith(TASKS):
                for written in self.read(topic, p, start.get((topic, p), 0), until):
                    tasks[_owners_partition(written)][topic].append(written)
        place = (DEAD_LETTERS, 0)
        letters = self.read(*place, start.get(place, 0), end.get(place, 0))
        return Window(start, end, tasks, letters, carried or {})

    def history(self, p: int, window: Window, *, dedupe_window_ms: int, skew_ms: int) -> History:
        """One partition's history in a window, as far as topics tell it.

        Raises:
            Unavailable: Kafka did not answer.
        """

        def log(topic: str) -> dict[int, list[Written]]:
            place = (topic, p)
            return {p: self.read(topic, p, window.start.get(place, 0), window.end[place])}

        return History(
            partitions=self.partitions,
            intents=log(INTENTS),
            steps=log(STEPS),
            journal=log(JOURNAL),
            state=log(STATE),
            # What cannot be read belongs to nobody, so every partition shows it.
            tasks=_merged(window.tasks.get(p, {}), window.tasks.get(_NOBODY, {})),
            dead_letters=window.letters,
            before={p: window.carried[p]} if p in window.carried else {},
            dedupe_window_ms=dedupe_window_ms,
            skew_ms=skew_ms,
        )


_NOBODY = -1


def _owners_partition(written: Written) -> int:
    try:
        return decode(written.value, Task).partition
    except UnreadableRecord:
        return _NOBODY


def _merged(
    own: Mapping[str, Sequence[Written]], nobodys: Mapping[str, Sequence[Written]]
) -> dict[str, list[Written]]:
    topics = sorted(own.keys() | nobodys.keys())
    return {topic: [*own.get(topic, ()), *nobodys.get(topic, ())] for topic in topics}


def _ends(message: Message) -> bool:
    """Whether the end of the partition was reached.

    Raises:
        Unavailable: it cannot be read.
    """
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:
        return True
    if error.fatal() or not error.retriable():
        raise Unavailable(f"A topic cannot be read: {error.str()}")
    return False


def _written(message: Message) -> Written:
    kind, at_ms = message.timestamp()
    assert kind != TIMESTAMP_NOT_AVAILABLE, "every topic's records carry a time"
    return Written(
        message.partition() or 0,
        message.offset() or 0,
        message.key(),
        message.value() or None,
        at_ms,
    )
