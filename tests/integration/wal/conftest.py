"""A journal with everything that can befall one, in Kafka, in the read model, and archived."""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest
from tests.support.journals import History
from tests.support.system import eventually, isolated

from symphainy_processors.projection.projector import Projector
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import Endpoints
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.archive.archiver import Archiver
from symphainy_runtime.wal.archive.files import Archive
from symphainy_transport.clients import producer
from symphainy_transport.clock import SystemClock
from symphainy_transport.topics import JOURNAL, Topics

EVENTS = int(os.environ.get("WAL_EVENTS", "6000"))
PARTITIONS = 3


class Site(NamedTuple):
    """Where the journal is, and what stands in it."""

    settings: RuntimeSettings
    histories: list[History]


@pytest.fixture(scope="session")
def site(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """EVENTS events over all partitions; set WAL_EVENTS=100000 for the size of the issue."""
    settings = isolated(running, tmp_path_factory.mktemp("wal")).model_copy(
        update={"partitions": PARTITIONS, "archive_records": 700}
    )
    Cluster(settings).create()
    began = SystemClock().now_ms() - 86_400_000
    histories = [History(p, 7, began) for p in range(PARTITIONS)]
    for history in histories:
        history.grow(EVENTS // PARTITIONS)
    append(settings, histories)
    project(settings)
    archive(settings)
    return Site(settings, histories)


def append(settings: RuntimeSettings, histories: list[History]) -> None:
    """Write journals to Kafka."""
    out = producer(settings, "test", linger_ms=5, queue_buffering_max_messages=1_000_000)
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    for history in histories:
        for value in history.values:
            out.produce(topic, value, partition=history.partition)
    assert out.flush(60) == 0


def project(settings: RuntimeSettings) -> None:
    """Fill the read model."""
    projector = Projector(settings, "test-projector")
    projector.start()
    ends = projector.ends()

    def caught_up() -> bool:
        projector.step(0.25)
        return projector.behind(ends) == 0

    eventually(caught_up, "the read model has the journal", 300.0)
    projector.close()


def archive(settings: RuntimeSettings) -> Archiver:
    """Archive all that there is."""
    archiver = Archiver(settings, Archive(settings.archive_location()), SystemClock(), "test-arch")
    archiver.start()
    archiver.catch_up()
    archiver.close()
    assert not archiver.halted
    return archiver
