"""A bare Kafka pipeline: the same hops and payload sizes as the system, and no logic at all.

client -> intents -> owner -> journal -> (acknowledged) tasks -> worker -> steps -> owner -> journal
-> client. Keys carry the run; values are bytes of the sizes that the system writes. Confluent's
client throughout, one process per role: it is what the system could reach if it did nothing.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from symphainy_transport.clients import consumer, producer
from symphainy_transport.settings import TransportSettings

PREFIX = "bare."
TOPICS = ("intents", "steps", "journal", "tasks")
# Sizes of the system's own records for the same payload.
ADMITTED_BYTES = 900
ENDED_BYTES = 420
TASK_BYTES = 800
REPORT_BYTES = 330
IN_FLIGHT_WAIT_S = 0.001  # librdkafka counts in whole milliseconds
IDLE_WAIT_S = 0.05
_stopping: list[int] = []


def _assign_all(reader: Consumer, partitions: int, *names: str) -> None:
    reader.assign([TopicPartition(PREFIX + n, p, 0) for n in names for p in range(partitions)])


def _drive(reader: Consumer, writer: Producer, take: Callable[[Message], None]) -> None:
    while not _stopping:
        waiting = len(writer)
        first = reader.poll(0.0 if waiting else IDLE_WAIT_S)
        if first is None:
            writer.poll(IN_FLIGHT_WAIT_S if waiting else 0.0)
            continue
        for message in (first, *reader.consume(500, 0)):
            if message.error() is None:
                take(message)
        writer.poll(0.0)


def owner(settings: TransportSettings) -> None:
    """Intents to the journal, then to tasks; steps to the journal."""
    reader = consumer(settings, "bare-owner", auto_offset_reset="earliest")
    writer = producer(settings, "bare-owner")
    _assign_all(reader, settings.partitions, "intents", "steps")
    admitted, ended, task = b"a" * ADMITTED_BYTES, b"e" * ENDED_BYTES, b"t" * TASK_BYTES

    def take(message: Message) -> None:
        key, place = message.key(), message.partition()
        assert place is not None
        if message.topic() == PREFIX + "steps":
            writer.produce(PREFIX + "journal", ended, key, place)
            return

        def appended(error: object, _: Message) -> None:
            writer.produce(PREFIX + "tasks", task, key)

        writer.produce(PREFIX + "journal", admitted, key, place, appended)

    _drive(reader, writer, take)


def worker(settings: TransportSettings) -> None:
    """Tasks to steps."""
    reader = consumer(settings, "bare-worker", auto_offset_reset="earliest")
    writer = producer(settings, "bare-worker")
    _assign_all(reader, settings.partitions, "tasks")
    report = b"r" * REPORT_BYTES

    def take(message: Message) -> None:
        writer.produce(PREFIX + "steps", report, message.key())

    _drive(reader, writer, take)


def main() -> None:
    """`python -m bench.bare owner|worker`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stopping.append(1))
    roles: dict[str, Callable[[TransportSettings], None]] = {"owner": owner, "worker": worker}
    roles[sys.argv[1]](TransportSettings())


if __name__ == "__main__":
    main()
