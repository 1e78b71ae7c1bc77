"""A history read from a real cluster is what stands there.

- Every topic through to its end, in order, with keys, times and tombstones; tasks by owner.
- Of `state` only what was committed: aborted batches, and transaction markers, are not there.
- A window begins and ends where it is told; what comes later is another window's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace
from tests.samples import INTENT, TASK

from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import LocalServices
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.codec import encode
from symphainy_simulation.checking.reading import ClusterReader
from symphainy_transport.clients import producer
from symphainy_transport.topics import INTENTS, JOURNAL, STATE, STEPS, Topics

PREFIX = "reading."
REALM = "content"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeSettings]:
    with LocalServices(tmp_path_factory.mktemp("reading"), valkey=False) as endpoints:
        found = RuntimeSettings(
            kafka_bootstrap_servers=endpoints.bootstrap_servers, topic_prefix=PREFIX, partitions=2
        )
        cluster = Cluster(found)
        cluster.create([*cluster.specs(), Topics(PREFIX).realm_spec(REALM, 3)])
        yield found


@pytest.fixture
def reader(settings: RuntimeSettings) -> Iterator[ClusterReader]:
    with ClusterReader(settings) as one:
        yield one


def put(out: Producer, topic: str, p: int, value: bytes | None, key: bytes | None = None) -> None:
    out.produce(f"{PREFIX}{topic}", value, key, partition=p)


def test_topics_are_read_from_where_to_where_a_window_says(
    settings: RuntimeSettings, reader: ClusterReader
) -> None:
    out = producer(settings, "writer")
    for number in range(3):
        put(out, INTENTS, 0, encode(replace(INTENT, intent_id=f"i{number}")), b"k")
    put(out, INTENTS, 1, encode(INTENT))
    put(out, STEPS, 0, b"garbage")
    for p, task in enumerate((TASK, replace(TASK, partition=0), replace(TASK, partition=1))):
        put(out, f"tasks.{REALM}", p, encode(task))
    put(out, f"tasks.{REALM}", 0, b"garbage")
    assert out.flush(30) == 0
    first = reader.ends()
    assert (first[INTENTS, 0], first[INTENTS, 1], first[JOURNAL, 0]) == (3, 1, 0)
    put(out, INTENTS, 0, b"")
    assert out.flush(30) == 0

    window = reader.window({}, first)
    whole = reader.history(0, window, dedupe_window_ms=1, skew_ms=2)
    assert [w.offset for w in whole.intents[0]] == [0, 1, 2]
    assert all(w.key == b"k" and w.at_ms > 0 for w in whole.intents[0])
    assert [w.value for w in whole.steps[0]] == [b"garbage"]
    assert whole.journal == {0: []}
    tasks = [w.value for w in whole.tasks[f"tasks.{REALM}"]]
    assert tasks == [encode(replace(TASK, partition=0)), b"garbage"]

    window = reader.window(first, reader.ends())
    later = reader.history(0, window, dedupe_window_ms=1, skew_ms=2)
    assert [(w.offset, w.value) for w in later.intents[0]] == [(3, None)]
    assert later.tasks == {}


def test_only_committed_state_is_read(settings: RuntimeSettings, reader: ClusterReader) -> None:
    out = producer(settings, "writer", transactional_id="state-0")
    out.init_transactions(30)
    out.begin_transaction()
    put(out, STATE, 0, b"one", b"exe-0-a")
    put(out, STATE, 0, b"m1", b"marker")
    out.commit_transaction(30)
    out.begin_transaction()
    put(out, STATE, 0, b"dead", b"exe-0-a")
    out.flush(30)
    out.abort_transaction(30)
    out.begin_transaction()
    put(out, STATE, 0, None, b"exe-0-a")
    put(out, STATE, 0, b"m2", b"marker")
    out.commit_transaction(30)
    window = reader.window({}, reader.ends())
    state = reader.history(0, window, dedupe_window_ms=1, skew_ms=2).state[0]
    assert [(w.key, w.value) for w in state] == [
        (b"exe-0-a", b"one"),
        (b"marker", b"m1"),
        (b"exe-0-a", None),
        (b"marker", b"m2"),
    ]
