"""A tenant's limits over time, with two gateways, a real Valkey that goes away, and a real log.

- Both gateways together take what the tenant may state, and what they refuse is not in the log.
- Without Redis a gateway counts by itself, says so, and asks Redis now and then only; back again,
  it gives no second burst.
- A change of the limits is in force at every gateway, by the command that operators use.
"""

from __future__ import annotations

import re
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

from symphainy_cli.keys import create_key
from symphainy_runtime.configuration import write_config
from symphainy_runtime.local import Endpoints, LocalServices
from symphainy_runtime.local.ports import free_ports
from symphainy_transport.clients import consumer
from symphainy_transport.topics import INTENTS, Topics

BURST, RIVAL = 10, "rival"
NDJSON = {"content-type": "application/x-ndjson"}
BODY: dict[str, Any] = {
    "intent_type": "work.add",
    "session_id": f"ses-1-{'a' * 32}",
    "payload": {},
}


def _limit(system: System, tenant: str) -> None:
    """A burst, and after it nothing for an hour."""
    command = [sys.executable, "-m", "symphainy_cli", "tenant", "limits", tenant]
    options = ["--rate", "0.0001", "--burst", str(BURST), "--json"]
    subprocess.run([*command, *options], env=system.environment, check=True, capture_output=True)


@contextmanager
def _gateway(system: System) -> Iterator[httpx.Client]:
    """One more gateway of the system, called with its key."""
    port = free_ports(1)[0]
    environment = {**system.environment, "SYMPHAINY_GATEWAY_PORT": str(port)}
    command = [sys.executable, "-m", "symphainy_cli", "up", "gateway"]
    process = subprocess.Popen(command, env=environment)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=system.http.headers, timeout=PATIENCE_S
        ) as client:
            eventually(lambda: _status(client, "/readyz") == 200, "the second gateway is ready")
            yield client
    finally:
        process.kill()
        process.wait()


def _status(client: httpx.Client, path: str) -> int:
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0


def _limited(client: httpx.Client, key: str) -> bool:
    """Whether the gateway has the limits; asks with what is refused before it is charged."""
    headers = {"authorization": f"Bearer {key}"}
    told = client.post("/v1/intents:batch", content=b"{}", headers={**headers, **NDJSON})
    return "ratelimit" in told.headers


def _metric(client: httpx.Client, name: str) -> float:
    text = client.get("/metrics").text
    found = re.search(rf"^symphainy_gateway_{name} (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found.group(1))


def _logged(system: System) -> int:
    """How many intents are on the session's partition of the log."""
    reader: Consumer = consumer(system.settings, "test", auto_offset_reset="earliest")
    place = TopicPartition(Topics(system.settings.topic_prefix).name(INTENTS), 1, 0)
    _, end = reader.get_watermark_offsets(place, timeout=PATIENCE_S)
    reader.close()
    return end


@pytest.fixture
def system(services: LocalServices, systems: Callable[[Endpoints], System]) -> System:
    one = systems(services.start())
    # Nobody decides; of a capability that is not known, each answer would wait for a decision.
    write_config(one.settings, capability("work.add", contract=True))
    one.up("gateway")
    return one


def test_the_rate_is_the_tenants_at_all_gateways(system: System, services: LocalServices) -> None:
    rival = create_key(system.settings, RIVAL, "bob")
    for tenant in (TENANT, RIVAL):
        _limit(system, tenant)
    with _gateway(system) as second, ThreadPoolExecutor(8) as pool:
        for client in (system.http, second):
            for key in (system.key, rival):
                eventually(lambda c=client, k=key: _limited(c, k), "the limits are known")  # type: ignore[misc]  # mypy infers no lambda with defaults
        calls = [(system.http, second)[n % 2] for n in range(3 * BURST)]
        answers = list(pool.map(lambda client: client.post("/v1/intents", json=BODY), calls))
    taken = [one for one in answers if one.status_code == 202]
    assert len(taken) == BURST == _logged(system)
    assert all(one.headers["ratelimit"].startswith('"rate";r=') for one in answers)
    refused = [one for one in answers if one.status_code != 202]
    assert {(one.status_code, one.json()["code"]) for one in refused} == {(429, "over_quota")}
    assert all(9_000 < int(one.headers["retry-after"]) <= 10_000 for one in refused)
    _require_a_stand_in(system, services, rival)


def _require_a_stand_in(system: System, services: LocalServices, key: str) -> None:
    assert services.valkey is not None
    headers = {"authorization": f"Bearer {key}"}

    def submit() -> int:
        return system.http.post("/v1/intents", json=BODY, headers=headers).status_code

    services.valkey.kill()
    statuses = [submit() for _ in range(2 * BURST)]
    assert statuses == [202] * BURST + [429] * BURST
    assert _metric(system.http, "quota_stand_in") == 1
    assert _metric(system.http, "quota_stand_ins_total") == 2 * BURST
    services.valkey.restart()

    def back() -> bool:
        assert submit() == 429
        return _metric(system.http, "quota_stand_in") == 0

    eventually(back, "Redis counts again")
    assert submit() == 429
    assert _logged(system) == 2 * BURST
