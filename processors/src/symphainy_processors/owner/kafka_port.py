"""The owner's port on Kafka: one idempotent producer, served by the loop's own thread.

Appends to the journal give up below the session timeout, which is a doubt for the partition;
everything else is sent again until Kafka acknowledges it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from symphainy_processors.owner.ports import Appended, Sent
from symphainy_schemas.codec import encode
from symphainy_schemas.records import DeadLetter, StepReport, Task
from symphainy_transport.clients import producer
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import DEAD_LETTERS, JOURNAL, STEPS, Topics

log = logging.getLogger(__name__)
# Below SESSION_TIMEOUT_MS, so that a dead owner's last append cannot come long after its
# successor's OwnershipTaken (rule 1); above a broker's restart of about 2 s.
DELIVERY_TIMEOUT_MS = 5_000
FULL_QUEUE_WAIT_S = 0.05
QUEUE_MESSAGES = 100_000
BY_KEY = -1  # the partitioner chooses
RECOUNT_TURNS = 10_000  # partitions are seldom added: seen within seconds of load, asked rarely
METADATA_TIMEOUT_S = 2.0


Delivered = Callable[[KafkaError | None, Message], None]


class _Outgoing(NamedTuple):
    """A record on its way to the client's queue."""

    topic: str
    value: bytes
    key: bytes
    partition: int
    delivered: Delivered


class KafkaPort:
    """Implements `ports.Port`. Completions come from `serve`."""

    def __init__(
        self, settings: TransportSettings, client_id: str, queue_messages: int = QUEUE_MESSAGES
    ) -> None:
        """Connect lazily; at most `queue_messages` wait in the client before input has to."""
        self._producer = producer(
            settings,
            client_id,
            message_timeout_ms=DELIVERY_TIMEOUT_MS,
            linger_ms=0,
            queue_buffering_max_messages=queue_messages,
        )
        self._topics = Topics(settings.topic_prefix)
        self._journal = self._topics.name(JOURNAL)
        self._turn = 0
        self._counts: dict[str, int] = {}
        self._counted_at = 0
        # Inside a completion the client must not be polled or asked: it aborts the process
        # ("CallState_get"). What does not fit its queue then waits here, in order.
        self._completing = False
        self._backlog: deque[_Outgoing] = deque()

    def __len__(self) -> int:
        """How many records await their acknowledgement."""
        return len(self._producer) + len(self._backlog)

    def serve(self, timeout_s: float) -> None:
        """Run completions that are there; wait up to `timeout_s` for the first."""
        self._complete(timeout_s)
        while self._backlog and self._enqueue(self._backlog[0]):
            self._backlog.popleft()

    def _complete(self, timeout_s: float) -> None:
        self._completing = True
        try:
            self._producer.poll(timeout_s)
        finally:
            self._completing = False

    def next_turn(self) -> None:
        """Tasks of one turn go to one partition of their topic, those of the next to another.

        A partition is one request to the broker: spread by key, a turn's few tasks would be as
        many requests. Tasks need no order, so any partition will do. With `pace` (8 partitions,
        64 executions in flight, beside the gateway's CPU of the same run) the broker took about
        15 % less CPU per execution, a worker 25 % less.
        """
        self._turn += 1
        if self._turn - self._counted_at >= RECOUNT_TURNS or 0 in self._counts.values():
            self._counted_at = self._turn
            for topic in self._counts:
                self._counts[topic] = self._count(topic)

    def flush(self, timeout_s: float) -> int:
        """Wait for all completions; how many are still missing."""
        deadline = time.monotonic() + timeout_s
        while len(self) and time.monotonic() < deadline:
            self.serve(FULL_QUEUE_WAIT_S)
        return len(self)

    def append(self, partition: int, key: bytes, value: bytes, appended: Appended) -> None:
        """Append to the journal; `appended` gets the offset, or None in doubt."""

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                log.warning("journal append on partition %d failed: %s", partition, error)
            appended(None if error is not None else message.offset())

        self._produce(self._journal, value, key, partition, delivered)

    def send(self, task: Task, sent: Sent) -> None:
        """Send a task until it is acknowledged."""
        topic = self._topics.tasks(task.realm)
        count = self._counts.setdefault(topic, 0)
        partition = self._turn % count if count else BY_KEY
        self._send(topic, encode(task), task.execution_id.encode(), sent, partition)

    def mark(self, partition: int, marker: StepReport) -> None:
        """Write a marker to the partition's steps."""
        self._produce(
            self._topics.name(STEPS), encode(marker), b"", partition, lambda error, message: None
        )

    def dead_letter(self, letter: DeadLetter) -> None:
        """Keep what could not be read."""
        log.warning(
            "%s/%d at %d goes to dead letters: %s",
            letter.topic,
            letter.partition,
            letter.offset,
            letter.reason,
        )
        self._send(self._topics.name(DEAD_LETTERS), encode(letter), b"", lambda: None)

    def _count(self, topic: str) -> int:
        """How many partitions the topic has; 0 while that is not known."""
        try:
            found = self._producer.list_topics(topic, timeout=METADATA_TIMEOUT_S)
        except KafkaException as error:
            log.warning("the partitions of %s are not known: %s", topic, error)
            return self._counts[topic]
        return len(found.topics[topic].partitions)

    def _send(
        self, topic: str, value: bytes, key: bytes, sent: Sent, partition: int = BY_KEY
    ) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                sent()
                return
            log.warning("sending to %s again after: %s", topic, error)
            self._send(topic, value, key, sent)

        self._produce(topic, value, key, partition, delivered)

    def _produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        partition: int,
        delivered: Delivered,
    ) -> None:
        outgoing = _Outgoing(topic, value, key, partition, delivered)
        while self._backlog or not self._enqueue(outgoing):
            if self._completing:
                self._backlog.append(outgoing)
                return
            self.serve(FULL_QUEUE_WAIT_S)  # decide nothing more until there is room

    def _enqueue(self, outgoing: _Outgoing) -> bool:
        """Hand it to the client; False if its queue is full."""
        try:
            self._producer.produce(
                outgoing.topic,
                outgoing.value,
                outgoing.key or None,
                outgoing.partition,
                outgoing.delivered,
            )
        except BufferError:
            return False
        return True
