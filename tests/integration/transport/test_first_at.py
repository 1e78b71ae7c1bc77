"""Invariants of the offset of a time.

- It is the first that Kafka appended then or later; none where nothing was appended since.
- Before the epoch it is the first that is kept; negative times, which mean something else to Kafka,
  are never asked.
- A topic that is not there is said, and is no time without records.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.support.system import isolated

from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import Endpoints
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import Unavailable
from symphainy_transport.clients import admin, consumer, first_at, producer
from symphainy_transport.topics import JOURNAL, Topics

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def settings(running: Endpoints, tmp_path: Path) -> RuntimeSettings:
    made = isolated(running, tmp_path).model_copy(update={"partitions": 1})
    Cluster(made).create()
    return made


@pytest.fixture
def asking(settings: RuntimeSettings) -> Iterator[Consumer]:
    client = consumer(settings, "test-asking")
    yield client
    client.close()


def appended(settings: RuntimeSettings, topic: str, count: int) -> list[int]:
    """When Kafka appended so many records, one after the other."""
    out, times = producer(settings, "test"), []
    for _ in range(count):
        out.produce(
            topic, b"x", partition=0, on_delivery=lambda _, told: times.append(told.timestamp()[1])
        )
        assert out.flush(30) == 0
    return times


def test_the_first_appended_then_or_later(settings: RuntimeSettings, asking: Consumer) -> None:
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    assert first_at(asking, topic, 0, 1_000) is None
    times = appended(settings, topic, 5)
    for at_ms in {*times, times[0] - 1, times[-1] + 1}:
        expected = next((offset for offset, one in enumerate(times) if one >= at_ms), None)
        assert first_at(asking, topic, 0, at_ms) == expected
    client = admin(settings)
    (done,) = client.delete_records([TopicPartition(topic, 0, 3)]).values()
    assert done.result(30).low_watermark == 3
    for at_ms in (-2, -1, 0, times[0]):
        assert first_at(asking, topic, 0, at_ms) == 3


def test_a_topic_that_is_not_there_is_said(asking: Consumer) -> None:
    with pytest.raises(Unavailable, match="at a time"):
        first_at(asking, "nobody.made.this", 0, 1_000, 2.0)
