"""When services or the gateway itself go away and come back.

- Before Kafka was reached the process answers, and says that it is not ready.
- Without Kafka an intent's fate is unknown: 503 with its id; repeated with it, it is there once.
- Without Redis intents are still taken; reading says that it is unavailable; both come back.
- SIGTERM lets waits and streams go with what is known, and the process ends by itself, also
  without Kafka.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.support.system import PATIENCE_S, TENANT, System, eventually
from tests.unit.gateway.fakes import capability

from symphainy_runtime.configuration import write_config
from symphainy_runtime.local import Endpoints, LocalServices
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.records import Intent
from symphainy_transport.clients import consumer
from symphainy_transport.topics import INTENTS, Topics

SESSION = f"ses-1-{'a' * 32}"
Systems = Callable[[Endpoints], System]


def _intent(**members: Any) -> dict[str, Any]:
    return {"intent_type": "work.add", "session_id": SESSION, "payload": {}, **members}


def _logged(settings: RuntimeSettings) -> list[str]:
    """The ids of the intents on the session's partition of the log."""
    topic = Topics(settings.topic_prefix).name(INTENTS)
    reader: Consumer = consumer(settings, "test", auto_offset_reset="earliest")
    here = TopicPartition(topic, 1, 0)
    reader.assign([here])
    _, end = reader.get_watermark_offsets(here, timeout=PATIENCE_S)
    found: list[str] = []
    while len(found) < end:
        for message in reader.consume(end - len(found), PATIENCE_S):
            value = message.value()
            assert value is not None
            found.append(decode(value, Intent).intent_id)
    reader.close()
    return found


def _ready(system: System) -> bool:
    return system.http.get("/readyz").status_code == 200


@pytest.fixture
def gateway(services: LocalServices, systems: Systems) -> System:
    """A gateway alone, on services that the test may kill: no owner decides anything."""
    system = systems(services.start())
    system.up("gateway")
    return system


def test_an_intent_outlives_kafkas_absence_once(gateway: System, services: LocalServices) -> None:
    assert services.kafka is not None
    taken = gateway.http.post("/v1/intents", json=_intent(intent_id="before"))
    services.kafka.kill()
    unknown = gateway.http.post("/v1/intents", json=_intent())
    problem = unknown.json()
    assert (unknown.status_code, problem["code"]) == (503, "wal_unavailable")
    assert unknown.headers["retry-after"].isdigit()
    assert ids.INTENT_ID.fullmatch(problem["intent_id"])
    ready = gateway.http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["kafka"]
    assert gateway.http.get("/healthz").status_code == 200
    services.kafka.restart()
    eventually(lambda: _ready(gateway), "the gateway has Kafka again")
    repeated = gateway.http.post("/v1/intents", json=_intent(intent_id=problem["intent_id"]))
    assert (taken.status_code, repeated.status_code) == (202, 202)
    assert repeated.json()["execution_id"] == problem["execution_id"]
    assert set(_logged(gateway.settings)) == {"before", problem["intent_id"]}


def test_intents_are_taken_without_redis(gateway: System, services: LocalServices) -> None:
    assert services.valkey is not None
    services.valkey.kill()
    for target in ("/v1/intents", "/v1/intents?wait=100ms"):
        taken = gateway.http.post(target, json=_intent(intent_id="blind"))
        assert (taken.status_code, taken.json()["status"]) == (202, "accepted")
    for path in ("/v1/executions", f"/v1/sessions/{SESSION}", taken.headers["location"]):
        reading = gateway.http.get(path)
        assert (reading.status_code, reading.json()["code"]) == (503, "read_model_unavailable")
    assert gateway.http.get("/readyz").json()["checks"]["redis"]
    services.valkey.restart()
    eventually(lambda: _ready(gateway), "the gateway has Redis and its notifications again")
    for role in ("owner", "projector"):
        gateway.up(role)
    session = gateway.open_session()
    refused = gateway.http.post("/v1/intents?wait=30s", json=_intent(session_id=session))
    assert (refused.status_code, refused.json()["code"]) == (404, "capability_not_found")


def test_a_gateway_waits_for_a_kafka_that_comes_later(
    services: LocalServices, systems: Systems
) -> None:
    system = systems(services.start())
    assert services.kafka is not None
    services.kafka.kill()
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(system.up, "gateway")
        eventually(lambda: _answers(system), "the process answers")
        refused = system.http.post("/v1/intents", json=_intent())
        assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
        services.kafka.restart()
        starting.result(PATIENCE_S)
    taken = system.http.post("/v1/intents", json=_intent(intent_id="after"))
    assert taken.status_code == 202


def test_sigterm_lets_everything_go(running: Endpoints, systems: Systems) -> None:
    system = systems(running)
    for role in ("owner", "projector"):
        system.up(role)
    write_config(system.settings, capability("work.add", contract=True))
    with _process(system) as process:
        # Nobody takes the task: the execution runs for as long as the gateway does.
        session = system.open_session()
        body = _intent(session_id=session, intent_id="long")
        partition = ids.partition_of(session)
        path = f"/v1/executions/{ids.execution_id(TENANT, session, 'long', partition)}"
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(system.http.post, "/v1/intents?wait=5m", json=body)
            eventually(lambda: system.http.get(path).status_code == 200, "the execution runs")
            with system.http.stream("GET", f"{path}/stream") as stream:
                lines = stream.iter_lines()
                assert next(lines) == "id: 0"
                process.send_signal(signal.SIGTERM)
                assert "event: end" not in list(lines)
            answer = waiting.result(PATIENCE_S)
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        assert process.wait(PATIENCE_S) == 0


def test_sigterm_ends_the_process_without_kafka(services: LocalServices, systems: Systems) -> None:
    system = systems(services.start())
    assert services.kafka is not None
    with _process(system) as process:
        services.kafka.kill()
        assert system.http.post("/v1/intents", json=_intent()).status_code == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


@contextmanager
def _process(system: System) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway that the test ends itself, to see how it does."""
    command = [sys.executable, "-m", "symphainy_cli", "up", "gateway"]
    process = subprocess.Popen(command, env=system.environment)
    try:
        eventually(lambda: _answers(system) and _ready(system), "the gateway is ready")
        yield process
    finally:
        process.kill()
        process.wait()


def _answers(system: System) -> bool:
    try:
        return system.http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
