"""What is lost, killed or garbage must not lose, double or stop anything.

- kill -9 of owner, worker or projector under load: every acknowledged intent ends, once.
- Garbage on `intents` and `steps` goes to `dead-letters` with its place; the next is handled.
- A valid record on another partition is journaled as rejected.
- Redis emptied while running: rebuilt from the journal, every status as before.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from redis import Redis
from tests.support.system import TENANT, System, eventually

from symphainy import Client, IntentProducer
from symphainy_cli.proof import prove
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import DeadLetter, Intent
from symphainy_transport.clients import bounds, consumer, producer
from symphainy_transport.topics import DEAD_LETTERS, INTENTS, STEPS, Topics

LOAD = 300


async def load_while(system: System, breaking: Any) -> list[str]:
    """Submit LOAD intents both ways, break something in the middle, await every end."""
    executions: list[str] = []
    half = asyncio.Event()
    async with (
        Client(system.url, system.key) as client,
        IntentProducer(system.settings, TENANT, "ann") as direct,
    ):
        sessions = [await client.open_session() for _ in range(6)]
        todo = iter(range(LOAD))

        async def user() -> None:
            for number in todo:
                session = sessions[number % len(sessions)]
                body = {"numbers": [number]}
                intent_id = ids.new_intent_id()
                if number % 2:
                    accepted = await direct.submit(
                        "work.add", body, session_id=session, intent_id=intent_id
                    )
                    executions.append(accepted.execution_id)
                else:
                    result = await client.submit(
                        "work.add", body, session_id=session, intent_id=intent_id, wait="0s"
                    )
                    executions.append(result.execution_id)
                if len(executions) == LOAD // 2:
                    half.set()

        async def breaker() -> None:
            await half.wait()
            await asyncio.to_thread(breaking)

        await asyncio.gather(breaker(), *(user() for _ in range(8)))
        ends = await asyncio.gather(*(client.ended(one) for one in executions))
    assert set(ends) == {"succeeded"}
    return executions


@pytest.mark.parametrize("role", ["owner", "worker", "projector"])
def test_a_kill_under_load_loses_and_doubles_nothing(system: System, role: str) -> None:
    system.start("tests.support.work_realm:realm")

    def kill_and_start_again() -> None:
        system.supervisor.kill(role)
        system.supervisor.restart(role)

    executions = asyncio.run(load_while(system, kill_and_start_again))
    assert len(set(executions)) == LOAD
    proof = prove(system.settings, executions)
    assert proof.exact, proof
    assert proof.received == LOAD


def test_two_owners_share_and_one_takes_over(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    system.up("owner", "second")
    executions = asyncio.run(load_while(system, lambda: system.supervisor.kill("owner")))
    proof = prove(system.settings, executions)
    assert proof.exact, proof


def test_garbage_is_dead_lettered_and_the_next_record_is_handled(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    session = system.open_session()
    partition = ids.partition_of(session)
    topics = Topics(system.settings.topic_prefix)
    out = producer(system.settings, "vandal")
    wrong_schema = b"\xc3\x01" + b"12345678" + b"x"
    for topic in (INTENTS, STEPS):
        for value in (b"\x00\xffgarbage", wrong_schema, b""):
            out.produce(topics.name(topic), value, partition=partition)
    assert out.flush(30) == 0
    body = {"intent_type": "work.add", "session_id": session, "payload": {"numbers": [2]}}
    answer = system.http.post("/v1/intents?wait=30s", json=body)
    assert answer.json()["result"] == {"total": 2}
    letters = read_dead_letters(system, 6)
    found = sorted((letter.topic, letter.partition, letter.reason) for letter in letters)
    reasons = ["empty_record", "not_single_object", "unknown_schema"]
    assert found == sorted((t, partition, r) for t in (INTENTS, STEPS) for r in reasons)
    assert len({(letter.topic, letter.offset) for letter in letters}) == 6


def read_dead_letters(system: System, count: int) -> list[DeadLetter]:
    """The first `count` dead letters."""
    client = consumer(system.settings, "letters", auto_offset_reset="earliest")
    place = TopicPartition(Topics(system.settings.topic_prefix).name(DEAD_LETTERS), 0, 0)
    eventually(lambda: bounds(client, place)[1] >= count, f"{count} dead letters")
    client.assign([place])
    messages = client.consume(count, 30.0)
    client.close()
    return [decode(message.value(), DeadLetter) for message in messages]


def test_a_record_on_another_partition_is_journaled_as_rejected(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    session = system.open_session()
    wrong = (ids.partition_of(session) + 1) % system.settings.partitions
    intent = Intent(
        intent_id="lost",
        intent_type="work.add",
        realm="work",
        session_id=session,
        tenant_id=TENANT,
        principal="ann",
        correlation_id="lost",
        payload=b'{"numbers":[1]}',
        metadata=b"{}",
        solution_context=b"",
        created_at=0,
    )
    out = producer(system.settings, "vandal")
    topic = Topics(system.settings.topic_prefix).name(INTENTS)
    out.produce(topic, encode(intent), partition=wrong)
    assert out.flush(30) == 0
    execution = ids.execution_id(TENANT, session, "lost", wrong)

    def rejected() -> bool:
        found = system.http.get(f"/v1/executions/{execution}").json()
        return bool(
            found.get("status") == "rejected" and found["error"]["code"] == "wrong_partition"
        )

    eventually(rejected, "rejected as on the wrong partition")


def test_redis_emptied_is_rebuilt_from_the_journal(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    executions = asyncio.run(load_while(system, lambda: None))
    paths = [f"/v1/executions/{one}{rest}" for one in executions[:40] for rest in ("", "/events")]
    before = {path: system.http.get(path).json() for path in paths}
    redis: Any = Redis.from_url(system.settings.redis_url)
    keys = list(redis.scan_iter(match=f"{system.settings.redis_prefix}*", count=1_000))
    assert len(keys) > LOAD
    redis.delete(*keys)
    assert system.http.get(paths[0]).status_code == 404
    done = subprocess.run(
        [sys.executable, "-m", "symphainy_cli", "read-model", "rebuild"],
        env=system.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path: system.http.get(path).json() for path in paths} == before
    redis.close()
