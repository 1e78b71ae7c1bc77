"""Transactions on the `state` topic, each fenced by its partition's transactional id (rule 16).

Blocking: for a thread of its own. After any failure the producer is given up, and the next `open`
makes a new one, which aborts what the old one has left open.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from symphainy_processors.owner.kafka.ranges import RangeReader
from symphainy_processors.owner.ports import (
    MARKER_KEY,
    StateBatch,
    StateFailed,
    StateOpened,
    StateOutcome,
    StateWritten,
)
from symphainy_processors.owner.rows import read_row, rows
from symphainy_schemas.state import State
from symphainy_transport.clients import producer
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import STATE, Topics

# Above the longest batch (a million keys after a long outage: 3 min), below the broker's own limit
# of 15 min. A dead owner's transaction is in the way so long, if no successor aborts it by opening.
TRANSACTION_TIMEOUT_MS = 600_000
ANSWER_TIMEOUT_S = 30.0  # of opening and of committing; well above a broker's restart
SLICE_S = 0.5  # so soon is it noticed that a partition was stopped
FULL_QUEUE_WAIT_S = 0.05
ASK_AGAIN_S = 0.05
MESSAGE_MAX_BYTES = 1_048_588  # as the topic's
QUEUE_KBYTES = 64 * 1024
LINGER_MS = 5  # nobody waits for a row
# Making rows holds the interpreter, and the owner's loop needs it for every acknowledgement. With
# these, an append beside a batch takes 0.7 ms (p50) as without one, and the batch gets half of the
# time; without a pause an append takes 6 ms.
RUN_S = 0.001
PAUSE_S = 0.001
FIRST_SPAN = 64  # records; the end of a transaction, and the few aborted ones that there may be
SPAN_GROWTH = 8
_FENCED = (
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
)
GivenUp = Callable[[], bool]


class Abandoned(Exception):
    """The partition was stopped; nobody wants the outcome."""


class _Reports:
    """What Kafka said of the rows of one transaction."""

    def __init__(self) -> None:
        self.unplaced = False

    def take(self, error: KafkaError | None, message: Message) -> None:
        """An acknowledgement without an offset acknowledges nothing, see `KafkaPort`: committed,
        the row would be missing from what every restore believes."""
        self.unplaced = self.unplaced or (error is None and message.offset() is None)


class _Pauses:
    """Leaves the interpreter to the owner's loop, half of the time."""

    def __init__(self, client: Producer, given_up: GivenUp) -> None:
        self._client = client
        self._given_up = given_up
        self._last = time.monotonic()

    def __call__(self) -> None:
        """A pause, if it is time for one.

        Raises:
            Abandoned: the partition was stopped.
        """
        if time.monotonic() - self._last < RUN_S:
            return
        _look_up(self._given_up)
        self._client.poll(0)
        time.sleep(PAUSE_S)
        self._last = time.monotonic()


class StateWriter:
    """Writes batches; one producer a partition."""

    def __init__(self, settings: TransportSettings, client_id: str) -> None:
        """Connect lazily."""
        self._settings = settings
        self._client_id = client_id
        self._topic = Topics(settings.topic_prefix).name(STATE)
        self._ranges = RangeReader(settings, f"{client_id}-marker", self._topic)
        self._producers: dict[int, Producer] = {}

    def open(self, p: int, given_up: GivenUp) -> StateOutcome:
        """Fence off older writers, then find the last committed marker.

        Raises:
            Abandoned: `given_up` says so.
        """
        self.drop(p)
        client = producer(
            self._settings,
            f"{self._client_id}-{p}",
            transactional_id=f"{self._settings.topic_prefix}state-{p}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            message_max_bytes=MESSAGE_MAX_BYTES,
            queue_buffering_max_kbytes=QUEUE_KBYTES,
            linger_ms=LINGER_MS,
        )
        try:
            _answered(client.init_transactions, given_up)
        except KafkaException as error:
            client.purge()
            return _failed(p, error)
        self._producers[p] = client
        return StateOpened(p, self._last_marker(p))

    def write(self, p: int, batch: StateBatch, given_up: GivenUp) -> StateOutcome:
        """Write one batch as one transaction.

        Raises:
            Abandoned: `given_up` says so.
        """
        client = self._producers.get(p)
        if client is None:
            return StateFailed(p, overtaken=False, reason="it is not open")
        try:
            client.begin_transaction()
            refused = self._send(client, p, batch, given_up)
            if refused:
                self.drop(p)
                return StateFailed(p, overtaken=False, reason=refused)
            _answered(client.commit_transaction, given_up)
        except KafkaException as error:
            self.drop(p)
            return _failed(p, error)
        except Exception:
            self.drop(p)
            raise
        return StateWritten(p)

    def drop(self, p: int) -> None:
        """Give up the partition's producer, and what it has not committed."""
        client = self._producers.pop(p, None)
        if client is not None:
            client.purge()  # else giving it up would wait

    def close(self) -> None:
        """Disconnect."""
        for p in list(self._producers):
            self.drop(p)
        self._ranges.close()

    def _send(self, client: Producer, p: int, batch: StateBatch, given_up: GivenUp) -> str:
        """Send every row and hear of each; why they must not be committed, or nothing.

        What failed is not told here: the commit fails by it.
        """
        reports = _Reports()
        for key, value in rows(batch, _Pauses(client, given_up)):
            while not self._enqueued(client, p, key, value, reports):
                _look_up(given_up)
                client.poll(FULL_QUEUE_WAIT_S)
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        # Not `flush`: it goes on calling us after it has raised a fatal error, and crashes.
        while len(client):
            client.poll(FULL_QUEUE_WAIT_S)
            _look_up(given_up)
            if time.monotonic() > deadline:
                return "Kafka did not take all rows in time"
        return "a row was acknowledged without an offset" if reports.unplaced else ""

    def _enqueued(
        self, client: Producer, p: int, key: bytes, value: bytes | None, reports: _Reports
    ) -> bool:
        try:
            client.produce(self._topic, value, key, p, reports.take)
        except BufferError:
            return False
        return True

    def _last_marker(self, p: int) -> State | None:
        """The marker of the last committed transaction.

        It is the last record of its transaction, so it is sought from the end backwards, through
        aborted transactions and the holes of compaction; reading a million keys for it would take
        seconds. Nothing follows: older writers are fenced off.
        """
        low, start = self._ranges.bounds(p)
        span = FIRST_SPAN
        while start > low:
            start, end = max(low, start - span), start
            span *= SPAN_GROWTH
            found = None
            for messages in self._ranges.read(p, start, end):
                for message in messages:
                    if message.key() == MARKER_KEY:
                        found = message.value()
            if found is not None:
                return read_row(found)
        return None


def _answered(call: Callable[[float], None], given_up: GivenUp) -> None:
    """Wait for Kafka's answer in slices; the client goes on where it was when called again."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        _look_up(given_up)
        try:
            call(SLICE_S)
            return
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise
            if error.args[0].code() != KafkaError._TIMED_OUT:
                time.sleep(ASK_AGAIN_S)


def _look_up(given_up: GivenUp) -> None:
    if given_up():
        raise Abandoned


def _failed(p: int, error: KafkaException) -> StateFailed:
    cause: KafkaError = error.args[0]
    return StateFailed(p, overtaken=cause.code() in _FENCED, reason=cause.str())
