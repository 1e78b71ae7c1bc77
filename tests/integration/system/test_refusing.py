"""What an owner refuses, and that it touches nothing then.

- A journal record of a newer schema stops that partition alone, with an operator's message.
- A journal into which somebody else wrote, or whose end is gone, is found at the restore.
- Co-partitioned topics of different partition counts are refused at the start.
- Metrics tell what an owner holds.
"""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]  # re-exported
from msgspec.structs import replace
from tests.support.system import System, eventually

from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import ChildFailed
from symphainy_runtime.local.ports import free_ports
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.events import JournalRecord
from symphainy_transport.clients import admin, bounds, consumer, producer
from symphainy_transport.topics import JOURNAL, STATE, STEPS, Topics

UNKNOWN = b"\xc3\x01" + b"\x01\x02\x03\x04\x05\x06\x07\x08" + b"from a later release"


def place_of(system: System, topic: str, p: int) -> TopicPartition:
    """A topic's partition in Kafka."""
    return TopicPartition(Topics(system.settings.topic_prefix).name(topic), p, 0)


def end_of(system: System, topic: str, p: int) -> int:
    """Behind its last record."""
    client = consumer(system.settings, "looks-on")
    try:
        return bounds(client, place_of(system, topic, p))[1]
    finally:
        client.close()


def last_record(system: System, p: int) -> bytes:
    """Its bytes."""
    client: Consumer = consumer(system.settings, "looks-on")
    try:
        place = place_of(system, JOURNAL, p)
        place.offset = bounds(client, place)[1] - 1
        client.assign([place])
        (message,) = client.consume(1, 30.0)
        value = message.value()
        assert value is not None
        return value
    finally:
        client.close()


def write_to_journal(system: System, p: int, value: bytes) -> None:
    """What nobody but the partition's owner should do."""
    out = producer(system.settings, "vandal")
    out.produce(place_of(system, JOURNAL, p).topic, value, partition=p)
    assert out.flush(30) == 0


def works(system: System, session: str) -> bool:
    """Whether an intent of the session is run."""
    body = {"intent_type": "work.add", "session_id": session, "payload": {"numbers": [2]}}
    answer = system.http.post("/v1/intents?wait=20s", json=body)
    return bool(answer.status_code == 200 and answer.json()["status"] == "succeeded")


def session_elsewhere(system: System, p: int) -> str:
    """A session on another partition than `p`."""
    while True:
        session = system.open_session()
        if ids.partition_of(session) != p:
            return session


def stop_owner(system: System) -> None:
    """Cleanly, so that everything is flushed and the log is quiet."""
    system.supervisor.stop("owner")


def says(system: System, *words: str) -> Callable[[], bool]:
    """Whether one line of the owner's log holds all the words."""

    def said() -> bool:
        lines = system.log("owner").read_text().splitlines()
        return any(all(word in line for word in words) for line in lines)

    return said


class Worked(NamedTuple):
    """A system that has worked, whose owner is stopped."""

    system: System
    partition: int
    """Where it worked."""
    elsewhere: str
    """A session on another partition."""


@pytest.fixture
def worked(system: System) -> Worked:
    """A system that has worked."""
    system.start("tests.support.work_realm:realm")
    session = system.open_session()
    assert works(system, session)
    partition = ids.partition_of(session)
    elsewhere = session_elsewhere(system, partition)
    stop_owner(system)
    return Worked(system, partition, elsewhere)


def test_a_record_of_a_newer_schema_stops_its_partition_alone(worked: Worked) -> None:
    system, p, elsewhere = worked
    write_to_journal(system, p, UNKNOWN)
    end = end_of(system, JOURNAL, p)
    system.again("owner")
    eventually(says(system, f"partition {p} is stopped", "Upgrade"), "the operator is told")
    assert works(system, elsewhere)
    assert end_of(system, JOURNAL, p) == end


def test_a_record_that_no_owner_wrote_is_found_at_the_restore(worked: Worked) -> None:
    system, p, elsewhere = worked
    last = decode(last_record(system, p), JournalRecord)
    # It has the right term and number, so it counts for every reader; only the chain tells.
    write_to_journal(system, p, encode(replace(last, seq=last.seq + 1, prev_hash=b"x" * 32)))
    end = end_of(system, JOURNAL, p)
    system.again("owner")
    eventually(says(system, f"partition {p} is stopped", "A broken chain"), "it is found")
    assert works(system, elsewhere)
    assert end_of(system, JOURNAL, p) == end


def make_anew(system: System, *names: str) -> None:
    """Topics that somebody deletes, and that are then created as if they had never been there."""
    client, topics = (
        admin(system.settings),
        [Topics(system.settings.topic_prefix).name(n) for n in names],
    )
    for deleted in client.delete_topics(topics).values():
        deleted.result()
    eventually(
        lambda: not set(topics) & set(client.list_topics(timeout=10).topics), "the topics are gone"
    )
    Cluster(system.settings).create()


def test_a_journal_whose_end_is_gone_is_found_by_the_owners_disk(worked: Worked) -> None:
    system, p, _ = worked
    make_anew(system, JOURNAL, STATE)
    system.again("owner", says(system, f"partition {p} is stopped", "records are gone"))
    assert end_of(system, JOURNAL, p) == 0


def test_a_journal_whose_end_is_gone_is_found_by_the_state_topic(worked: Worked) -> None:
    system, p, _ = worked
    # What the owner decided just before it went, it had no time to write to `state`.
    system.again("owner")
    eventually(lambda: end_of(system, STATE, p) > 0, "the partition's state is in `state`")
    stop_owner(system)
    make_anew(system, JOURNAL)
    shutil.rmtree(system.settings.data_dir / "state")
    system.again("owner", says(system, f"partition {p} is stopped", "records are gone"))
    assert end_of(system, JOURNAL, p) == 0


def test_other_partition_counts_are_refused_at_the_start(worked: Worked) -> None:
    system = worked.system
    topic = Topics(system.settings.topic_prefix).name(STEPS)
    more = NewPartitions(topic, system.settings.partitions + 1)
    client = admin(system.settings)
    client.create_partitions([more])[topic].result()
    with pytest.raises(ChildFailed):
        system.again("owner")
    assert says(system, "steps", "partitions")()


def test_an_owner_tells_its_figures(system: System) -> None:
    port = free_ports(1)[0]
    system.settings = system.settings.model_copy(update={"owner_metrics_port": port})
    system.start("tests.support.work_realm:realm")
    assert works(system, system.open_session())
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    told = [line for line in text.splitlines() if not line.startswith("#")]
    live = [line for line in told if line.startswith("symphainy_owner_live_executions{")]
    assert len(live) == system.settings.partitions
    decided = [float(line.split()[-1]) for line in told if "symphainy_owner_decisions_tot" in line]
    assert sum(decided) > 0
    assert any('realm="work"' in line for line in told)
    assert any(line.startswith("symphainy_owner_timer_lateness_seconds_bucket") for line in told)
