"""Intents in bulk, straight into the write-ahead log, and waiting until they are decided."""

from __future__ import annotations

import threading

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from symphainy_cli.keys import create_key
from symphainy_processors.owner.ports import MARKER_KEY
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.events import JournalRecord
from symphainy_schemas.records import Intent
from symphainy_schemas.state import State
from symphainy_transport.clients import bounds, consumer, producer
from symphainy_transport.clock import SystemClock
from symphainy_transport.topics import INTENTS, JOURNAL, STATE, STEPS, Topics

STALL_S = 300.0  # nothing gets on for so long: something is broken
_clock = SystemClock()


class Stalled(RuntimeError):
    """The owner does not get on."""


class Feeder:
    """States intents of one tenant as fast as Kafka takes them. Not for two threads."""

    def __init__(self, settings: RuntimeSettings, tenant: str) -> None:
        """Make the tenant, if it is new."""
        create_key(settings, tenant, "bench")
        self.tenant = tenant
        self._settings = settings
        self._topic = Topics(settings.topic_prefix).name(INTENTS)
        # That the broker is gone at the end is no news.
        silent = settings.model_copy(update={"kafka_extra": {"log_level": "0"}})
        self._producer = producer(silent, f"bench-feeder-{tenant}", linger_ms=5)
        self._number = 0
        self._refused: list[KafkaError] = []
        self.sessions: list[str] = []

    def open_sessions(self, a_partition: int) -> None:
        """Open so many sessions on every partition; `sessions` has them, partition by partition
        in turn."""
        wanted = {p: a_partition for p in range(self._settings.partitions)}
        found: dict[int, list[str]] = {p: [] for p in wanted}
        while any(len(found[p]) < n for p, n in wanted.items()):
            session = ids.new_session_id(self.tenant, self._settings.partitions)
            p = ids.partition_of(session)
            if len(found[p]) < wanted[p]:
                found[p].append(session)
                self.state("runtime.open_session", {}, session)
        self.sessions = [s for row in zip(*found.values(), strict=True) for s in row]
        self.flush()

    def state_on_each(self, intent_type: str, payload: object) -> None:
        """State one intent on every partition."""
        for _ in range(self._settings.partitions):
            self.state(intent_type, payload)
        self.flush()

    def state(self, intent_type: str, payload: object, session: str = "") -> None:
        """State one intent, of the next session by default; `flush` waits for Kafka."""
        number, self._number = self._number, self._number + 1
        session = session or self.sessions[number % len(self.sessions)]
        intent_id = f"{intent_type}-{number:09d}"
        intent = Intent(
            intent_id=intent_id,
            intent_type=intent_type,
            realm=intent_type.split(".")[0],
            session_id=session,
            tenant_id=self.tenant,
            principal="bench",
            correlation_id=intent_id,
            payload=msgspec.json.encode(payload),
            metadata=b"{}",
            solution_context=b"",
            created_at=_clock.now_ms(),
        )
        self._produce(encode(intent), ids.partition_of(session))

    def _produce(self, value: bytes, partition: int) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic, value, None, partition, on_delivery=self._delivered
                )
            except BufferError:
                self._producer.poll(1.0)
            else:
                self._producer.poll(0.0)
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused.append(error)

    def flush(self) -> None:
        """Wait until Kafka has acknowledged everything."""
        if self._producer.flush(STALL_S) or self._refused:
            raise Stalled(f"Kafka did not take the intents: {self._refused[:1]}")


class Flood(threading.Thread):
    """States intents at a rate, whatever becomes of them, until `end`."""

    def __init__(self, feeder: Feeder, rate: float, intent_type: str, payload: object) -> None:
        super().__init__(name="flood", daemon=True)
        self.stated = 0
        self._feeder = feeder
        self._rate = rate
        self._intent = intent_type, payload
        self._ending = threading.Event()

    def run(self) -> None:
        """Keep to the rate on the average, in ticks of some ms."""
        began = _clock.monotonic()
        while not self._ending.wait(0.005):
            due = int((_clock.monotonic() - began) * self._rate)
            for _ in range(due - self.stated):
                self._feeder.state(*self._intent)
            self.stated = max(due, self.stated)

    def end(self) -> None:
        """Stop, and wait for Kafka."""
        self._ending.set()
        self.join()
        self._feeder.flush()


def ends(settings: RuntimeSettings, topic: str) -> dict[int, int]:
    """The offsets after the last of a topic's partitions, now."""
    asking = consumer(settings, "bench-ends")
    try:
        name = Topics(settings.topic_prefix).name(topic)
        return {p: bounds(asking, TopicPartition(name, p))[1] for p in range(settings.partitions)}
    finally:
        asking.close()


class Progress:
    """Follows the journal: what of `intents` and `steps` is decided, and where the last decision
    stands, from the journal's last record on."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        topic = Topics(settings.topic_prefix).name(JOURNAL)
        self._consumer: Consumer = consumer(settings, "bench-progress")
        last = {p: max(0, end - 1) for p, end in ends(settings, JOURNAL).items()}
        self._consumer.assign([TopicPartition(topic, p, at) for p, at in last.items()])
        self.intents: dict[int, int] = dict.fromkeys(last, 0)
        self.steps: dict[int, int] = dict.fromkeys(last, 0)
        self.decisions: dict[int, int] = dict.fromkeys(last, -1)

    def decided(self) -> None:
        """Wait until everything that now stands in `intents` and `steps` is decided.

        Raises:
            Stalled: nothing gets on.
        """
        intents, steps = ends(self._settings, INTENTS), ends(self._settings, STEPS)
        while _behind(self.intents, intents) or _behind(self.steps, steps):
            self.read()

    def reported(self, count: int) -> None:
        """Wait until so many step reports are decided.

        Raises:
            Stalled: nothing gets on.
        """
        while sum(self.steps.values()) < count:
            self.read()

    def read(self) -> None:
        """Take what the journal has got.

        Raises:
            Stalled: nothing, for long.
        """
        first = self._consumer.poll(STALL_S)
        if first is None:
            raise Stalled("the owner decides nothing")
        found: dict[int, list[tuple[int, bytes]]] = {}
        for message in (first, *self._consumer.consume(10_000, 0)):
            value, p, offset = message.value(), message.partition(), message.offset()
            if value is not None and p is not None and offset is not None:
                found.setdefault(p, []).append((offset, value))
        for p, records in found.items():
            self._take(p, records)

    def _take(self, p: int, records: list[tuple[int, bytes]]) -> None:
        """Only the last is decoded, and what is needed to find the last decision."""
        record = decode(records[-1][1], JournalRecord)
        self.intents[p], self.steps[p] = record.intents_next, record.steps_next
        for offset, value in reversed(records):
            if decode(value, JournalRecord).execution_id:
                self.decisions[p] = offset
                return

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def _behind(reached: dict[int, int], wanted: dict[int, int]) -> bool:
    return any(reached[p] < end for p, end in wanted.items())


def await_state(settings: RuntimeSettings, offsets: dict[int, int]) -> None:
    """Wait until the `state` topic reflects every journal partition up to its offset.

    Raises:
        Stalled: it does not get on.
    """
    topic = Topics(settings.topic_prefix).name(STATE)
    reading = consumer(
        settings, "bench-state", auto_offset_reset="earliest", isolation_level="read_committed"
    )
    try:
        missing = dict(offsets)
        reading.assign([TopicPartition(topic, p, 0) for p in missing])
        while missing:
            first = reading.poll(STALL_S)
            if first is None:
                raise Stalled(f"`state` stays behind on {sorted(missing)}")
            for message in (first, *reading.consume(10_000, 0)):
                p = message.partition()
                if message.key() != MARKER_KEY or p not in missing:
                    continue
                if decode(message.value(), State).as_of >= missing[p]:
                    del missing[p]
    finally:
        reading.close()
