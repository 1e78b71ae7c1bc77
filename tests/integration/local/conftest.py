"""What the tests of the local services share: records in and out of a broker, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from symphainy_runtime.local import Supervisor

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Broker:
    """The few things a test does with a broker."""

    bootstrap_servers: str

    def create(self, topic: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE_S)

    def topics(self) -> set[str]:
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        return set(admin.list_topics(timeout=PATIENCE_S).topics)

    def produce(self, topic: str, value: bytes) -> None:
        producer = self.producer()
        producer.produce(topic, value)
        assert producer.flush(PATIENCE_S) == 0

    def producer(self) -> Producer:
        return Producer({"bootstrap.servers": self.bootstrap_servers, "acks": "all"})

    def read(self, topic: str, count: int) -> list[bytes]:
        """The first ``count`` records of ``topic``, without a group."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": f"reads-{topic}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        try:
            consumer.assign([TopicPartition(topic, 0, 0)])
            records = consumer.consume(count, PATIENCE_S)
        finally:
            consumer.close()
        values = [record.value() for record in records]
        assert all(record.error() is None for record in records)
        return [value for value in values if value is not None]


@pytest.fixture(scope="session")
def broker_at() -> type[Broker]:
    """``broker_at(bootstrap_servers)``: the broker to create, produce and read at."""
    return Broker


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """Ask again until a condition holds, or fail by the sentence that was to become true."""

    def wait(condition: Callable[[], bool], sentence: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"never came true: {sentence}"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def gone() -> Callable[[int], bool]:
    """Whether a process is no more (a zombie whose new parent is slow to reap it is no more)."""

    def is_gone(pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    return is_gone


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.stop_all()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"
