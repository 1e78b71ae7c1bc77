"""Lag and positions on real parts.

- Each role is told with its partitions; what is all read has a lag of 0, what is not has more.
- An owner's and a worker's position is not moved, and the refusal says why and what to do.
- A projector begins anew while it runs, and comes to the same read model.
- Another's group goes where it is told, once nobody lives in it; a dry run moves nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from redis import Redis
from tests.support.cli import run
from tests.support.read_models import held
from tests.support.system import System, eventually

from symphainy_transport.clients import consumer
from symphainy_transport.topics import Topics

RESET = ("symphainy", "offsets", "reset")
BUSY = 20
pytestmark = pytest.mark.timeout(480)  # up to eight commands, each a process


@pytest.fixture(scope="module")
def worked(whole: System) -> System:
    session = whole.open_session()
    body = {"intent_type": "work.add", "session_id": session, "payload": {"numbers": [1]}}
    for _ in range(BUSY):
        assert whole.http.post("/v1/intents?wait=30s", json=body).status_code == 200
    return whole


@pytest.fixture
def redis(worked: System) -> Iterator[Any]:
    client = Redis.from_url(worked.settings.require_redis())
    yield client
    client.close()


def lags(system: System, *roles: str) -> list[Any]:
    options = [part for role in roles for part in ("--role", role)]
    document = json.loads(run(system, ["symphainy", "offsets", "lag", *options, "--json"]))
    assert document["unknown"] == []
    rows: list[Any] = document["lags"]
    return rows


def refused(system: System, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "symphainy_cli", "offsets", "reset", *command],
        env=system.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return " ".join(done.stderr.split())


def test_every_role_is_told(worked: System) -> None:
    topics = Topics(worked.settings.topic_prefix)

    def all_read() -> bool:
        found = lags(worked, "owner", "projector", "worker")
        assert not any(one["state"] for one in found)
        acting = topics.name("journal")  # at rest, too, the last decisions do not say it of them
        read = [one for one in found if (one["role"], one["topic"]) != ("owner", acting)]
        return all(not one["lag"] for one in read)

    eventually(all_read, "everything is read")
    found = lags(worked, "owner", "projector", "worker")
    assert {(one["role"], one["topic"]) for one in found} == {
        ("owner", topics.name("intents")),
        ("owner", topics.name("steps")),
        ("owner", topics.name("journal")),
        ("projector", topics.name("journal")),
        ("worker", topics.tasks("work")),
    }
    assert sum(one["position"] for one in found if one["role"] == "projector") > BUSY
    intents = [one for one in found if one["topic"] == topics.name("intents")]
    assert sum(one["position"] for one in intents) > BUSY
    assert sum(one["end"] for one in found if one["role"] == "worker") >= BUSY


def test_what_would_break_a_guarantee_is_refused(worked: System) -> None:
    told = refused(worked, "owner", "--to-earliest")
    assert "offset_refused" in told
    assert "G1" in told
    told = refused(worked, "worker", "--of", "work", "--to-earliest", "--execute")
    assert "offset_refused" in told
    assert "symphainy redrive" in told
    told = refused(worked, "projector", "--partition", "0", "--to-offset", "1", "--execute")
    assert "offset_refused" in told
    told = refused(worked, "group", "--of", "nobody", "--to-earliest")
    assert "no_such_position" in told


def test_a_projector_begins_anew_while_it_runs(worked: System, redis: Any) -> None:
    prefix = worked.settings.redis_prefix

    def at_the_end() -> bool:
        return all(one["lag"] == 0 for one in lags(worked, "projector"))

    eventually(at_the_end, "the read model is whole")
    before = held(redis, prefix)
    command = [*RESET, "projector", "--to-earliest", "--json"]
    dry = json.loads(run(worked, command))
    assert dry["executed"] is False
    assert sum(one["again"] for one in dry["moves"]) > BUSY
    assert held(redis, prefix) == before
    assert json.loads(run(worked, [*command, "--execute"]))["executed"] is True
    eventually(at_the_end, "the read model is whole again")
    after = held(redis, prefix)
    assert after.keys() >= before.keys()
    executions = [name for name in before if ":exe:" in name or ":evt:" in name]
    assert executions
    assert {name: after[name] for name in executions} == {name: before[name] for name in executions}


def test_another_group_goes_where_it_is_told(worked: System) -> None:
    group = f"{worked.settings.topic_prefix}reporting"
    topic = Topics(worked.settings.topic_prefix).name("journal")
    reader = consumer(worked.settings, "reporting", group_id=group, auto_offset_reset="earliest")
    reader.subscribe([topic])
    eventually(lambda: reader.poll(0.2) is not None or bool(reader.assignment()), "it is in")
    places = [TopicPartition(topic, p, 1) for p in range(worked.settings.partitions)]
    # Each journal has its owner's first record at least.
    reader.commit(offsets=places, asynchronous=False)
    command = [*RESET, "group", "--of", group, "--to-earliest", "--json"]
    assert "reporting" in refused(worked, *command[3:], "--execute"), "it lives"
    reader.close()
    dry = json.loads(run(worked, command))
    assert [one["again"] for one in dry["moves"]] == [1] * worked.settings.partitions
    assert {one["position"] for one in lags(worked, "group") if one["group"] == group} == {1}
    run(worked, [*command, "--execute"])
    assert {one["position"] for one in lags(worked, "group") if one["group"] == group} == {0}
