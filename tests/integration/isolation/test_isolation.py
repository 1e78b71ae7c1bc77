"""Two tenants on real parts, each trying everything on what the other has (guarantee G9).

- Every route of the OpenAPI document is tried with every identity (either tenant's key, none, a key
  of one's id and the other's secret) on the things of either tenant; no combination is left out.
- With a key that is not the owner's, an answer about something is that about what never was: the
  same status, headers and body. Without a valid key it is 401 whatever it is about.
- No answer to anybody else holds a secret or an id of a tenant, other than the id that was stated.
- What a tenant has, sees and is charged for is the same after the other has tried everything.
- The same intent id, and the same idempotency key, are two tenants' own.
- With its own key a tenant gets what the route promises, so that none of this is shown on a route
  that refuses everybody.
- Metrics name no tenant, and logs hold no payload and no key.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from msgspec.structs import replace
from redis import Redis
from tests.integration.isolation.estate import SAME_INTENT_ID, Estate, failing_plan
from tests.integration.isolation.rows import ROWS, Call, Try
from tests.support.system import TENANT, System, isolated

from symphainy_cli.keys import create_key
from symphainy_cli.tenant_records import change_tenant
from symphainy_gateway.quotas.ledger import rate_key
from symphainy_runtime.configuration import write_config
from symphainy_runtime.local import Endpoints
from symphainy_runtime.policy.defaults import TENANT_ADMIN
from symphainy_schemas.records import Budget

# About 45 s on two cores, and three times that where others use them, too.
pytestmark = pytest.mark.timeout(600)
AT_ONCE = 48
RIVAL = "rival"
PLENTY = 1_000_000
SUBMITTING = {
    ("POST", "/v1/intents"),
    ("POST", "/v1/intents:batch"),
    ("DELETE", "/v1/sessions/{session_id}"),
    ("PATCH", "/v1/sessions/{session_id}"),
}
_NAMES = (
    (re.compile(r"(exe|ses)-\d+-[0-9a-f]{32}"), r"<\1>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r'"(offset|as_of|[a-z_]*at)":\d+'), r'"\1":<n>'),
    (re.compile(r"r=\d+;t=\d+"), "<left>"),
)
_OF_PATH = re.compile(r'"instance":"[^"]*",?')
_OWN_HEADERS = {"date", "content-length", "connection"}  # of the connection, and of the moment


class Told(NamedTuple):
    """An answer, without what differs between any two."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    raw: str


class Site(NamedTuple):
    """The system, and what either tenant has."""

    system: System
    estates: dict[str, Estate]
    http: httpx.AsyncClient

    def identities(self) -> dict[str, str]:
        """Who calls: the presented key by name; empty for none."""
        acme, rival = self.estates[TENANT].key, self.estates[RIVAL].key
        mixed = "_".join([*acme.split("_")[:2], rival.split("_")[2]])
        return {TENANT: acme, RIVAL: rival, "nobody": "", "mixed": mixed}


@pytest.fixture(scope="module")
def system(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    one = System(isolated(running, tmp_path_factory.mktemp("isolation")))
    write_config(one.settings, failing_plan())
    one.start("tests.support.work_realm:realm")
    yield one
    one.stop()


@pytest.fixture(scope="module")
async def site(system: System) -> AsyncIterator[Site]:
    keys = {
        name: create_key(system.settings, name, f"principal-{name}", (TENANT_ADMIN,))
        for name in (TENANT, RIVAL)
    }
    for name in keys:  # counted, and never in the way
        change_tenant(
            system.settings,
            name,
            lambda before: replace(
                before, rate_per_s=PLENTY, budgets=(Budget("month", PLENTY),), max_concurrency=90
            ),
        )
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=system.url, timeout=60.0, limits=limits) as http:
        await _known(http, keys)
        made = await asyncio.gather(
            *(Estate(name, key, http).build() for name, key in keys.items())
        )
        yield Site(system, {one.tenant: one for one in made}, http)


async def _known(http: httpx.AsyncClient, keys: dict[str, str]) -> None:
    """The gateway follows the configuration: wait until it has the limits of both."""
    async with asyncio.timeout(20):
        for key in keys.values():
            told: Any = None
            while told is None or "ratelimit" not in told.headers:
                told = await http.post("/v1/sessions", headers={"authorization": f"Bearer {key}"})


async def _send(site: Site, gate: asyncio.Semaphore, call: Call, key: str) -> Told:
    headers = {**call.headers, **({"authorization": f"Bearer {key}"} if key else {})}
    async with gate:
        answer = await site.http.request(call.method, call.path, content=call.body, headers=headers)
    body = answer.text
    for pattern, name in _NAMES:
        body = pattern.sub(name, body)
    headers_told = tuple(
        sorted(
            (name, _NAMES[3][0].sub("<left>", _NAMES[0][0].sub("<id>", value)))
            for name, value in answer.headers.items()
            if name not in _OWN_HEADERS
        )
    )
    return Told(answer.status_code, headers_told, body, answer.text)


def _require_no_leak(told: Told, call: Call, other: Estate) -> None:
    stated = call.path + call.body.decode()
    for secret in other.secrets():
        assert secret not in told.raw, f"{call} shows a secret of {other.tenant}"
    for name in other.ids():
        assert name in stated or name not in told.raw, f"{call} shows {name} of {other.tenant}"


async def _try_foreign(
    site: Site, gate: asyncio.Semaphore, one: Try, key: str, other: Estate, status: int | None
) -> int:
    """Try one request with a key that is not the owner's; how many requests that took."""
    real = await _send(site, gate, one.real, key)
    _require_no_leak(real, one.real, other)
    if status is not None:
        plain = await _send(site, gate, Call("GET", "/v1/capabilities"), key)
        assert (real.status, real.headers) == (status, plain.headers), one.real
        assert _OF_PATH.sub("", real.body) == _OF_PATH.sub("", plain.body), one.real
    if one.twin is None or status is not None:
        return 1 if status is None else 2
    twin = await _send(site, gate, one.twin, key)
    assert real[:3] == twin[:3], f"{one.real} and {one.twin} are told apart"
    return 2


async def _try_all(site: Site, identity: str, owner: str) -> Counter[tuple[str, str]]:
    """Every route, by an identity that is not the owner; the requests of each route."""
    estates, key = site.estates, site.identities()[identity]
    mine = estates.get(identity) or next(one for one in estates.values() if one.tenant != owner)
    gate = asyncio.Semaphore(AT_ONCE)
    sent: Counter[tuple[str, str]] = Counter()

    async def trying(route: tuple[str, str], one: Try) -> None:
        known = identity in estates or ROWS[route].open
        status = None if known else 401
        count = await _try_foreign(site, gate, one, key, estates[owner], status)
        sent[route] += count

    # What is submitted in another's session is one's own, rejected, and names that session: last.
    for last in (False, True):
        await asyncio.gather(
            *(
                trying(route, one)
                for route, row in ROWS.items()
                for one in row.tries(mine, estates[owner])
                if (route in SUBMITTING) is last
            )
        )
    return sent


def _charged(site: Site, tenant: str) -> Any:
    redis: Any = Redis.from_url(site.system.settings.require_redis())
    try:
        return redis.hget(rate_key(site.system.settings.redis_prefix, tenant), "month")
    finally:
        redis.close()


async def test_every_route_has_a_row(site: Site) -> None:
    document = (await site.http.get("/openapi.json")).json()
    routes = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert set(ROWS) == routes


async def test_nobody_sees_or_changes_what_another_has(site: Site, record_property: Any) -> None:
    """The table. Own things come last, because they change."""
    tried: dict[tuple[str, str, tuple[str, str]], int] = {}
    for owner, estate in site.estates.items():
        before, charged = await estate.snapshot(), _charged(site, owner)
        for identity in site.identities():
            if identity != owner:
                for route, count in (await _try_all(site, identity, owner)).items():
                    tried[identity, owner, route] = count
        after = await estate.snapshot()
        assert {path for path in before if before[path] != after[path]} == set()
        assert _charged(site, owner) == charged
    gate = asyncio.Semaphore(1)
    for owner, estate in site.estates.items():
        for route, row in ROWS.items():
            told = await _send(site, gate, row.own(estate), estate.key)
            assert told.status in row.answers, (route, told)
            tried[owner, owner, route] = 1
    expected = {
        (identity, owner, route)
        for identity in site.identities()
        for owner in site.estates
        for route in ROWS
    }
    assert set(tried) == expected
    assert all(tried.values())
    record_property("combinations", len(tried))
    record_property("requests", sum(tried.values()))
    print(
        f"isolation: {len(tried)} combinations of route, identity and owner, in "
        f"{sum(tried.values())} requests"
    )


async def test_the_same_names_are_each_tenants_own(site: Site) -> None:
    acme, rival = site.estates[TENANT], site.estates[RIVAL]
    assert acme.intents["succeeded"] == rival.intents["succeeded"] == SAME_INTENT_ID
    assert acme.executions["succeeded"] != rival.executions["succeeded"]
    assert acme.sessions["open"] != rival.sessions["open"]


def _logs(site: Site) -> list[str]:
    folder = site.system.settings.data_dir / "logs"
    return [one.read_text(errors="replace") for one in folder.glob("*.log")]


async def test_metrics_and_logs_name_nobody(site: Site) -> None:
    metrics = (await site.http.get("/metrics")).text
    logs = _logs(site)
    assert len(logs) == 4
    for estate in site.estates.values():
        for secret in estate.secrets():
            assert secret not in metrics
            assert not any(secret in log for log in logs)
        assert not any(name in metrics for name in estate.ids())
        assert f'"{estate.tenant}"' not in metrics
