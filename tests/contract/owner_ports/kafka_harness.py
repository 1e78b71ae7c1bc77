"""The harness of the Kafka adapter: a real broker, topics of each test's own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from tests.contract.owner_ports.harness import REALM, Entry
from tests.support.system import isolated

from symphainy_processors.owner.kafka import KafkaShell
from symphainy_processors.owner.ports import Ports
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import Endpoints, LocalServices
from symphainy_transport.clients import admin, bounds, consumer, producer
from symphainy_transport.clock import SystemClock
from symphainy_transport.topics import STATE, Topics

ANSWER_S = 30.0
TASK_PARTITIONS = 3


class KafkaHarness:
    """Implements `harness.Harness`; also a context manager."""

    def __init__(self, services: LocalServices, folder: Path) -> None:
        assert services.kafka is not None
        assert services.kafka.pid is not None
        self._pid = services.kafka.pid
        self._clock = SystemClock()
        self._opened = ExitStack()
        self._half_writers: list[Producer] = []
        self.settings = isolated(Endpoints(services.kafka.bootstrap_servers, ""), folder)
        self.topics = Topics(self.settings.topic_prefix)
        cluster = Cluster(self.settings)
        cluster.create([*cluster.specs(), self.topics.realm_spec(REALM, TASK_PARTITIONS)])
        self.admin: AdminClient = admin(self.settings)
        # One request at a time: on a topic just created several may lose the first (see KafkaPort).
        self._producer = producer(self.settings, "outsider", max_in_flight=1)
        self._consumer = consumer(
            self.settings, "outsider", enable_partition_eof=True, fetch_wait_max_ms=10
        )

    def owner(self, name: str) -> Ports:
        """The ports of one more owner."""
        return self._opened.enter_context(KafkaShell(self.settings, name, self._clock)).ports

    def now_ms(self) -> int:
        """The machine's clock."""
        return self._clock.now_ms()

    def go_on(self) -> None:
        """Leave the processor to the broker and the clients' threads."""
        time.sleep(0.005)

    def write(
        self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None]]
    ) -> None:
        """Append records as others do."""
        for key, value in records:
            self._producer.produce(self.topics.name(topic), value, key, partition)
        assert self._producer.flush(ANSWER_S) == 0

    def read(self, topic: str) -> list[Entry]:
        """Every committed record."""
        name = self.topics.name(topic)
        partitions = sorted(self.admin.list_topics(name, timeout=ANSWER_S).topics[name].partitions)
        return [entry for p in partitions for entry in self._read(TopicPartition(name, p))]

    def _read(self, place: TopicPartition) -> list[Entry]:
        low, end = bounds(self._consumer, place)
        place.offset = low
        self._consumer.assign([place])
        found: list[Entry] = []
        position = low
        while position < end:
            message = self._consumer.poll(ANSWER_S)
            assert message is not None
            offset = message.offset()
            assert offset is not None
            if message.error() is None:
                found.append(Entry(place.partition, offset, message.key(), message.value()))
                position = offset + 1
            else:
                position = offset  # the partition's end
        self._consumer.unassign()
        return found

    def expire(self, topic: str, partition: int, first_kept: int) -> None:
        """Have the broker delete what stands before."""
        place = TopicPartition(self.topics.name(topic), partition, first_kept)
        for future in self.admin.delete_records([place]).values():
            future.result(ANSWER_S)

    def half_write_state(self, partition: int, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """A transaction of a writer that is dead."""
        dead = producer(
            self.settings,
            "half-writer",
            transactional_id=f"{self.settings.topic_prefix}state-{partition}",
        )
        dead.init_transactions(ANSWER_S)
        dead.begin_transaction()
        for key, value in rows:
            dead.produce(self.topics.name(STATE), value, key, partition)
        assert dead.flush(ANSWER_S) == 0
        self._half_writers.append(dead)

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self._pid, signal.SIGCONT)

    def __enter__(self) -> KafkaHarness:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.thaw()
        self._opened.close()
        self._consumer.close()
