"""The owner's port on Kafka: one idempotent producer, served by the loop's own thread.

Appends to the journal give up below the session timeout, which is a doubt for the partition;
everything else is sent again until Kafka acknowledges it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message

from symphainy_processors.owner.ports import Appended, Sent, SentOnce
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import CancelNotice, DeadLetter, Intent, StepReport, Task
from symphainy_transport.clients import producer
from symphainy_transport.sealing import Sign
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import CANCELS, DEAD_LETTERS, INTENTS, JOURNAL, STEPS, Topics

log = logging.getLogger(__name__)
# Below SESSION_TIMEOUT_MS, so that a dead owner's last append cannot come long after its
# successor's OwnershipTaken (rule 1); above a broker's restart of about 2 s.
DELIVERY_TIMEOUT_MS = 5_000
# What the topics take. The client's own limit, 1,000,000 with the key, is below the largest
# decision: `produce` would raise where a decision must be journaled.
MESSAGE_MAX_BYTES = 1_048_588
QUEUE_MESSAGES = 100_000
# What fails at once (a topic that is not there, a missing right) would otherwise be sent again
# thousands of times a second.
RESEND_S = 0.1
FLUSH_SLICE_S = 0.05
SHORTEST_WAIT_S = 0.001  # librdkafka counts in whole ms: less would be 0, a loop that burns a core
BY_KEY = -1  # the partitioner chooses
RECOUNT_TURNS = 10_000  # partitions are seldom added: seen within seconds of load, asked rarely
UNKNOWN_TURNS = 100  # a topic that is not there yet is asked for more often, not in every turn
METADATA_TIMEOUT_S = 2.0

# Told before a record was handed to a broker, or by one that has refused it.
NOT_TAKEN = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._QUEUE_FULL,
        KafkaError._PURGE_QUEUE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.POLICY_VIOLATION,
    }
)

Delivered = Callable[[KafkaError | None, Message | None], None]


class _Outgoing(NamedTuple):
    """A record on its way to the client's queue."""

    topic: str
    value: bytes
    key: bytes
    partition: int
    delivered: Delivered


@dataclass(slots=True)
class _Append:
    """An append whose completion waits for those before it."""

    appended: Appended
    answer: tuple[int | None, int] | None = None


class KafkaPort:
    """Implements `ports.Port`.

    Nothing but `serve` polls the client. Were `append` or `send` to, completions would run in the
    middle of a decision; and inside a completion a poll aborts the process ("CallState_get").

    An acknowledgement without an offset acknowledges nothing. The client gives it for what it takes
    for a repeat; but a broker that does not know the producer yet takes a second batch while the
    first is refused for a moment, and then the first is neither a repeat nor in the log. (Seen with
    Kafka 4.3 and librdkafka 2.16, on topics just created.)
    """

    def __init__(
        self,
        settings: TransportSettings,
        client_id: str,
        queue_messages: int = QUEUE_MESSAGES,
        seal: Sign | None = None,
    ) -> None:
        """Connect lazily. `queue_messages` fit the client's queue; the rest waits in ours. `seal`
        is put on the intents of handlers."""
        self._seal = seal
        self._producer = producer(
            settings,
            client_id,
            message_timeout_ms=DELIVERY_TIMEOUT_MS,
            message_max_bytes=MESSAGE_MAX_BYTES,
            linger_ms=0,
            queue_buffering_max_messages=queue_messages,
        )
        self._topics = Topics(settings.topic_prefix)
        self._journal = self._topics.name(JOURNAL)
        self._turn = 0
        self._counts: dict[str, int] = {}
        self._recount_at = 0
        self._waiting = 0
        self._appends: dict[int, deque[_Append]] = {}
        self._backlog: deque[_Outgoing] = deque()  # did not fit the client's queue, in order
        self._refused: deque[tuple[_Outgoing, KafkaError]] = deque()
        self._again: deque[tuple[float, _Outgoing]] = deque()  # when to send it again

    def __len__(self) -> int:
        """How many records await their completion. (The client's own count is another: what was
        acknowledged and not yet told counts twice.)"""
        return self._waiting

    def serve(self, timeout_s: float) -> None:
        """Run the completions that are there; wait at most `timeout_s` for the first.

        Raises:
            Unavailable: the client is broken for good; only a new process helps.
        """
        try:
            self._producer.poll(0.0 if self._refused else timeout_s)
        except KafkaException as fatal:  # nothing else is raised here
            raise Unavailable(f"The producer to Kafka failed for good: {fatal}") from fatal
        for _ in range(len(self._refused)):
            outgoing, error = self._refused.popleft()
            outgoing.delivered(error, None)
        now = time.monotonic()
        while self._again and self._again[0][0] <= now:
            self._produce(self._again.popleft()[1])
        while self._backlog and self._enqueue(self._backlog[0]):
            self._backlog.popleft()

    def flush(self, timeout_s: float) -> int:
        """Wait for completions; how many are still missing when the time is over.

        Raises:
            Unavailable: as `serve`.
        """
        deadline = time.monotonic() + timeout_s
        while len(self) and (left := deadline - time.monotonic()) > 0:
            self.serve(max(min(left, FLUSH_SLICE_S), SHORTEST_WAIT_S))
        return len(self)

    def gather(self, pause_s: float) -> None:
        """Serve completions for `pause_s`, while inputs gather into a larger turn.

        Raises:
            Unavailable: as `serve`.
        """
        until = time.monotonic() + pause_s
        self.serve(0.0)
        while (left := until - time.monotonic()) > 0:
            self.serve(max(left, SHORTEST_WAIT_S))

    def close(self) -> None:
        """Drop what is not acknowledged; its completions never come."""
        self._producer.purge()
        self._backlog.clear()
        self._again.clear()

    def next_turn(self) -> None:
        """Tasks of one turn go to one partition of their topic, those of the next to another.

        A partition is one request to the broker: spread by key, a turn's few tasks would be as
        many requests. Tasks need no order, so any partition will do. With `pace` (8 partitions,
        64 executions in flight, beside the gateway's CPU of the same run) the broker took about
        15 % less CPU per execution, a worker 25 % less.
        """
        self._turn += 1
        if self._turn >= self._recount_at:
            for topic in self._counts:
                self._counts[topic] = self._count(topic)
            unknown = 0 in self._counts.values()
            self._recount_at = self._turn + (UNKNOWN_TURNS if unknown else RECOUNT_TURNS)

    def append(self, partition: int, key: bytes, value: bytes, appended: Appended) -> None:
        """Append to the journal; `appended` gets the offset and the broker's append time, ms."""
        appends = self._appends.setdefault(partition, deque())
        append = _Append(appended)
        appends.append(append)

        def delivered(error: KafkaError | None, message: Message | None) -> None:
            append.answer = _answer(partition, error, message)
            # A failure may be told before the success of an earlier record that is in flight.
            while appends and appends[0].answer is not None:
                first = appends.popleft()
                assert first.answer is not None
                self._waiting -= 1
                first.appended(*first.answer)

        self._waiting += 1
        self._produce(_Outgoing(self._journal, value, key, partition, delivered))

    def send(self, task: Task, sent: SentOnce) -> None:
        """Send a task until it is acknowledged, or in doubt."""
        topic = self._topics.tasks(task.realm)
        if topic not in self._counts:
            self._counts[topic] = 0
            self._recount_at = self._turn + 1
        count = self._counts[topic]
        partition = self._turn % count if count else BY_KEY
        key = task.execution_id.encode()
        self._send(topic, encode(task), key, partition, lambda: sent(True), lambda: sent(False))

    def submit(self, partition: int, intent: Intent, sent: Sent) -> None:
        """State an intent on that partition until it is acknowledged."""
        topic, key = self._topics.name(INTENTS), intent.session_id.encode()
        value = encode(intent if self._seal is None else self._seal(intent))
        self._send(topic, value, key, partition, sent, again_to=partition)

    def notify(self, notice: CancelNotice) -> None:
        """Tell workers that what they may run is to end."""
        topic, key = self._topics.name(CANCELS), notice.execution_id.encode()
        self._send(topic, encode(notice), key, BY_KEY, _nothing)

    def mark(self, partition: int, marker: StepReport) -> None:
        """Write a marker to the partition's steps; it may be lost."""

        def delivered(error: KafkaError | None, _: Message | None) -> None:
            if error is not None:
                log.warning("a marker of partition %d is lost: %s", partition, error)
            self._waiting -= 1

        self._waiting += 1
        steps = self._topics.name(STEPS)
        self._produce(_Outgoing(steps, encode(marker), b"", partition, delivered))

    def dead_letter(self, letter: DeadLetter, sent: Sent) -> None:
        """Keep what could not be read."""
        log.warning(
            "%s/%d at %d goes to dead letters: %s",
            letter.topic,
            letter.partition,
            letter.offset,
            letter.reason,
        )
        self._send(self._topics.name(DEAD_LETTERS), encode(letter), b"", BY_KEY, sent)

    def _count(self, topic: str) -> int:
        """How many partitions the topic has; 0 while that is not known."""
        try:
            found = self._producer.list_topics(topic, timeout=METADATA_TIMEOUT_S)
        except KafkaException as error:
            log.warning("the partitions of %s are not known: %s", topic, error)
            return self._counts[topic]
        return len(found.topics[topic].partitions)

    def _send(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        partition: int,
        sent: Sent,
        in_doubt: Sent | None = None,
        again_to: int = BY_KEY,
    ) -> None:
        """Send until it is acknowledged; what has an `in_doubt` may not stand there twice, and is
        sent again only while it certainly does not."""

        def delivered(error: KafkaError | None, message: Message | None) -> None:
            if message is not None and error is None and message.offset() is not None:
                self._waiting -= 1
                sent()
                return
            if in_doubt is not None and (error is None or error.code() not in NOT_TAKEN):
                log.warning("whether %s has a record is in doubt: %s", topic, error or "no offset")
                self._waiting -= 1
                in_doubt()
                return
            log.warning("sending to %s again after: %s", topic, error or "no offset")
            again = _Outgoing(topic, value, key, again_to, delivered)
            self._again.append((time.monotonic() + RESEND_S, again))

        self._waiting += 1
        self._produce(_Outgoing(topic, value, key, partition, delivered))

    def _produce(self, outgoing: _Outgoing) -> None:
        if self._backlog or not self._enqueue(outgoing):
            self._backlog.append(outgoing)

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
        except KafkaException as error:
            self._refused.append((outgoing, error.args[0]))
        return True


def _nothing() -> None:
    """A record on whose acknowledgement nothing depends."""


def _answer(
    partition: int, error: KafkaError | None, message: Message | None
) -> tuple[int | None, int]:
    if error is not None:
        log.warning("journal append on partition %d failed: %s", partition, error)
        return None, 0
    assert message is not None
    offset = message.offset()
    return (None, 0) if offset is None else (offset, message.timestamp()[1])
