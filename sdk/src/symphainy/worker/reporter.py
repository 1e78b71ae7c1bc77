"""Reports to Kafka: sent from the event loop, acknowledged back on it.

The producer's own thread serves delivery callbacks; acknowledgements cross to the loop in
batches. A report that Kafka did not take in time is sent again, since the owner ignores repeats;
what Kafka refuses for good stops the worker, which then knows no more.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from symphainy_schemas.errors import OperatorError, SymphainyError, Unavailable
from symphainy_transport import clients
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import DEAD_LETTERS, STEPS, Topics

_log = logging.getLogger("symphainy.worker")

# How long the poll thread waits for callbacks; it bounds how late it notices `close`.
_POLL_S = 0.1
# Between two tries to queue a report while librdkafka's queue (100,000 records) is full.
_FULL_QUEUE_PAUSE_S = 0.05
_METADATA_S = 10.0
_SEND_AGAIN = frozenset(
    {
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.KAFKA_STORAGE_ERROR,
    }
)


class _Sent:
    """One record on its way. `delivered` runs in the poll thread, all else on the loop."""

    __slots__ = (
        "acknowledged",
        "error",
        "key",
        "partition",
        "placed",
        "settled",
        "topic",
        "value",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        key: str,
        value: bytes,
        acknowledged: Callable[[], None],
        settled: deque[_Sent],
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.acknowledged = acknowledged
        self.settled = settled
        self.error: KafkaError | None = None
        self.placed = False

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        self.error = error
        # librdkafka has reported success without a place for records that the log does not hold.
        self.placed = error is None and message.offset() is not None
        self.settled.append(self)

    @property
    def passing(self) -> bool:
        """Whether Kafka may take it the next time."""
        error = self.error
        return error is None or (error.code() in _SEND_AGAIN and not error.fatal())


class Reporter:
    """Sends a worker's reports and dead letters. Made and used on one event loop."""

    def __init__(
        self,
        settings: TransportSettings,
        client_id: str,
        broken: Callable[[SymphainyError], None],
    ) -> None:
        """`broken` is called on the loop, once, when Kafka refuses for good."""
        topics = Topics(settings.topic_prefix)
        self._steps = topics.name(STEPS)
        self._dead_letters = topics.name(DEAD_LETTERS)
        self._loop = asyncio.get_running_loop()
        self._broken = broken
        self._producer: Producer = clients.producer(settings, client_id)
        self._settled: deque[_Sent] = deque()
        self._settling = False
        self._queued: list[_Sent] = []
        self._outstanding = 0
        self._emptied: asyncio.Event | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="reporter", daemon=True)
        self.partitions = 0

    def connect(self) -> None:
        """Learn the number of `steps` partitions, and start serving callbacks. Blocks.

        Raises:
            Unavailable: Kafka did not answer.
            OperatorError: a topic is missing.
        """
        try:
            for topic in (self._dead_letters, self._steps):
                found = self._producer.list_topics(topic, timeout=_METADATA_S).topics[topic]
                if found.error is not None:
                    raise OperatorError(
                        f"Topic {topic} cannot be used: {found.error}.",
                        code="topic_missing",
                        cure="Run `symphainy topics create`.",
                    )
                self.partitions = len(found.partitions)
        except KafkaException as error:
            raise Unavailable(f"Kafka did not answer: {error}.") from error
        self._thread.start()

    @property
    def outstanding(self) -> int:
        """Records that are not acknowledged yet."""
        return self._outstanding

    def report(
        self, partition: int, key: str, value: bytes, acknowledged: Callable[[], None]
    ) -> None:
        """Send a report to `steps`; `acknowledged` is called on the loop when Kafka has it."""
        self._queue(_Sent(self._steps, partition, key, value, acknowledged, self._settled))

    def bury(self, key: str, value: bytes, acknowledged: Callable[[], None]) -> None:
        """Send a dead letter, likewise."""
        self._queue(_Sent(self._dead_letters, 0, key, value, acknowledged, self._settled))

    def _queue(self, sent: _Sent) -> None:
        """Send with what else this turn of the loop reports: few large requests, no linger."""
        self._outstanding += 1
        if not self._queued:
            self._loop.call_soon(self._flush)
        self._queued.append(sent)

    def _flush(self) -> None:
        queued, self._queued = self._queued, []
        for sent in queued:
            self._send(sent)

    def _send(self, sent: _Sent) -> None:
        try:
            self._producer.produce(
                sent.topic, sent.value, sent.key, sent.partition, on_delivery=sent.delivered
            )
        except BufferError:
            self._loop.call_later(_FULL_QUEUE_PAUSE_S, self._send, sent)
        except KafkaException as error:
            self._refused(error.args[0])

    def _serve(self) -> None:
        """The poll thread: callbacks fill `_settled`; one hop to the loop for all of them."""
        while not self._closing.is_set():
            try:
                if self._producer.poll(_POLL_S) and self._settled and not self._settling:
                    self._settling = True
                    self._loop.call_soon_threadsafe(self._settle)
            except KafkaException as error:  # the client is broken for good
                self._loop.call_soon_threadsafe(self._refused, error.args[0])
                return
            except RuntimeError:  # the loop was closed without us
                return

    def _settle(self) -> None:
        self._settling = False  # first: what settles from here on calls us again
        while self._settled:
            sent = self._settled.popleft()
            if sent.placed:
                self._outstanding -= 1
                sent.acknowledged()
                if self._emptied is not None and not self._outstanding:
                    self._emptied.set()
            elif sent.passing:
                why = "no offset was told" if sent.error is None else sent.error.name()
                _log.warning("a report of %s was not taken (%s); again", sent.key, why)
                self._send(sent)
            elif sent.error is not None:
                self._refused(sent.error)

    def _refused(self, error: KafkaError) -> None:
        self._broken(
            OperatorError(
                f"Kafka refused a report: {error.name()}: {error.str()}.",
                code="report_refused",
                cure="Check the worker's permission to write to steps and dead-letters, and the "
                "topics' max.message.bytes; then start the worker again.",
            )
        )

    async def close(self, timeout_s: float) -> None:
        """Wait for acknowledgements, at most so long, and stop."""
        if self._outstanding:
            self._emptied = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), timeout_s)
        self._closing.set()
        if self._outstanding:
            _log.warning("%d reports were not acknowledged in time", self._outstanding)
