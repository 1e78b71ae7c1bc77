"""The journal as Kafka gives it, for evidence: every record with its offset, CRCs checked.

Consumers here read uncommitted: the journal is written without transactions, so whatever stands
between two offsets is to be seen. They join no group and commit nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType  # type: ignore[attr-defined]

from symphainy_runtime.audit.verifying import Extent
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_transport.clients import admin, bounds, consumer, first_at
from symphainy_transport.identity import topic_identity
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import JOURNAL, Topics

TIMEOUT_S = 15.0
STALL_S = 30.0  # no progress for longer than a broker's restart: say so instead of hanging
BATCH = 5_000
WAIT_S = 0.1  # of a batch for its first record
_HOPELESS = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)
_DAMAGED = (KafkaError._BAD_MSG, KafkaError.INVALID_MSG)


class JournalDamaged(OperatorError):
    """A batch of the journal does not have the CRC that it states: a broken disk, or a clumsy hand.

    Operator action: compare the partition's replicas; restore the file from a sound one.
    """

    code = "journal_damaged"

    def __init__(self, message: str, offset: int, *, cure: str) -> None:
        super().__init__(message, cure=cure)
        self.offset = offset


Read = tuple[int, bytes, int]
"""A stored record: offset, stored bytes, and when Kafka appended it (ms since the epoch)."""


class Fetching(NamedTuple):
    """How a client asks for what it reads: of a partition so many bytes at once, and on until so
    many messages wait for the reader. What waits when reading ends was fetched in vain."""

    bytes_at_once: int
    waiting: int


EVERYTHING = Fetching(4 * 1024 * 1024, 100_000)
A_STREAM = Fetching(1024 * 1024, 20_000)
"""As fast, where records are decoded; 64 MiB of them that wait cost more than they save."""
A_RANGE = Fetching(256 * 1024, 500)
"""The next fetch is there, in a ms or two, before 500 records are dealt with."""
ONE_RECORD = Fetching(64 * 1024, 1)


def audit_consumer(
    settings: TransportSettings,
    client_id: str,
    *,
    check_crcs: bool = True,
    fetching: Fetching = EVERYTHING,
) -> Consumer:
    """A consumer that sees everything, and refuses batches with a wrong CRC."""
    return consumer(
        settings,
        client_id,
        check_crcs=check_crcs,
        isolation_level="read_uncommitted",
        enable_partition_eof=True,
        fetch_wait_max_ms=100,
        fetch_message_max_bytes=fetching.bytes_at_once,
        queued_min_messages=fetching.waiting,
        queued_max_messages_kbytes=64 * 1024,
    )


class KafkaJournals:
    """The journal's partitions, read from first to last."""

    def __init__(
        self, settings: TransportSettings, client_id: str, fetching: Fetching = EVERYTHING
    ) -> None:
        """Connect lazily."""
        self._settings = settings
        self.topic = Topics(settings.topic_prefix).name(JOURNAL)
        self._admin = admin(settings, f"{client_id}-admin")
        self._consumer = audit_consumer(settings, client_id, fetching=fetching)

    def identity(self) -> str:
        """`<cluster id>/<topic>/<topic id>`.

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        told = topic_identity(self._admin, self.topic, TIMEOUT_S)
        cluster_id, topic, topic_id = told.split("/", 2)
        # The client tells the id in base64; its other alphabet has no / (RFC 4648 section 5).
        return f"{cluster_id}/{topic}/{topic_id.replace('/', '_').replace('+', '-')}"

    def partitions(self) -> list[int]:
        """Every partition of the journal.

        Raises:
            Unavailable: Kafka did not answer.
            OperatorError: it has no such topic.
        """
        try:
            found = self._admin.list_topics(self.topic, timeout=TIMEOUT_S).topics[self.topic]
        except KafkaException as error:
            raise Unavailable(f"Kafka did not answer: {error}") from error
        if found.error is not None:
            raise OperatorError(
                f"Kafka does not have topic {self.topic}.",
                code="topic_missing",
                cure="Run `symphainy topics create`, or set SYMPHAINY_TOPIC_PREFIX.",
            )
        return sorted(found.partitions)

    def extent(self, partition: int) -> Extent:
        """What Kafka keeps now.

        Raises:
            Unavailable: Kafka did not answer.
        """
        return Extent(*bounds(self._consumer, TopicPartition(self.topic, partition), TIMEOUT_S))

    def offset_at(self, partition: int, time_ms: int) -> int | None:
        """The first offset that Kafka appended at `time_ms` or later; None if there is none yet.

        Raises:
            Unavailable: Kafka did not answer.
        """
        return first_at(self._consumer, self.topic, partition, time_ms, TIMEOUT_S)

    def retention_ms(self) -> int:
        """The topic's `retention.ms`; -1: endless.

        Raises:
            Unavailable: Kafka did not answer.
        """
        asked = ConfigResource(ResourceType.TOPIC, self.topic)
        try:
            (found,) = self._admin.describe_configs([asked], request_timeout=TIMEOUT_S).values()
            return int(found.result()["retention.ms"].value or -1)
        except KafkaException as error:
            raise Unavailable(f"Kafka did not tell {self.topic}'s retention: {error}") from error

    def read(
        self, partition: int, extent: Extent, on_damage: Callable[[int], None]
    ) -> Generator[list[Read], None, None]:
        """The records of `extent` in batches. `on_damage` is told where a batch begins that does
        not have the CRC that it states; from there on CRCs are not looked at, so that the record
        that is not what it was can still be named.

        Raises:
            Unavailable: nothing has come for `STALL_S`, or Kafka has removed what was to be read.
        """
        reached = extent.start
        try:
            for found, position in self._batches(self._consumer, partition, extent):
                reached = max(reached, position)
                yield found
        except JournalDamaged as error:
            on_damage(error.offset)
            client = audit_consumer(self._settings, "symphainy-damaged", check_crcs=False)
            rest = Extent(reached, extent.end)
            try:
                for found, _ in self._batches(client, partition, rest):
                    yield found
            finally:
                client.close()

    def _batches(
        self, client: Consumer, partition: int, extent: Extent
    ) -> Iterator[tuple[list[Read], int]]:
        if extent.start >= extent.end:
            return
        client.assign([TopicPartition(self.topic, partition, extent.start)])
        try:
            reached, moved_at = extent.start, time.monotonic()
            while reached < extent.end:
                found, position = _batch(client, extent.end)
                if position > reached:
                    reached, moved_at = position, time.monotonic()
                elif time.monotonic() - moved_at > STALL_S:
                    raise Unavailable(f"Reading {self.topic}/{partition} stalled at {reached}.")
                if found:
                    yield found, reached
        finally:
            client.unassign()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def _batch(client: Consumer, end: int) -> tuple[list[Read], int]:
    """What has come below `end`, and the offset after it."""
    first = client.poll(WAIT_S)
    if first is None:
        return [], 0
    messages = [first, *client.consume(BATCH, 0)]
    found = [as_read(message) for message in messages if message.error() is None]
    position = found[-1][0] + 1 if found else 0
    if len(found) < len(messages):
        found, position = _sorted_out(messages)
    if position > end:
        found = [one for one in found if one[0] < end]
    return found, position


def _sorted_out(messages: list[Message]) -> tuple[list[Read], int]:
    """The records among what came, and the offset after them, if not all of it were records."""
    found: list[Read] = []
    position = 0
    for message in messages:
        error = message.error()
        if error is None:
            found.append(as_read(message))
            position = found[-1][0] + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            position = max(position, message.offset() or 0)
        elif found and error.code() in _DAMAGED:
            break  # what stands before it first; it is met again by who goes on from here
        else:
            raise_unless_passing(error, message)
    return found, position


def as_read(message: Message) -> Read:
    """A record as it came. One without a value is told as one of no bytes: neither counts."""
    offset = message.offset()
    assert offset is not None
    return offset, message.value() or b"", message.timestamp()[1]


def raise_unless_passing(error: KafkaError, message: Message) -> None:
    """Translate what waiting does not cure.

    Raises:
        JournalDamaged: a CRC is wrong.
        Unavailable: the position is not kept any more, or the client gave up.
    """
    place = f"{message.topic()}/{message.partition()}"
    if error.code() in _DAMAGED:
        raise JournalDamaged(
            f"{place}: a batch does not have the CRC that it states: {error.str()}",
            message.offset() or 0,
            cure="Compare the partition's replicas; `symphainy audit verify` names the record.",
        )
    if error.fatal() or error.code() in _HOPELESS:
        raise Unavailable(f"{place} cannot be read: {error.str()}")
