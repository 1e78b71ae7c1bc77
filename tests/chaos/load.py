"""The load: several tenants state intents over HTTP and straight into Kafka, and repeat them.

Who gets no answer repeats with the same intent id, as a client must. What Kafka acknowledged is
kept; nothing else is owed.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter, deque
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import msgspec
from tests.support.system import TENANT

from symphainy import IntentProducer
from symphainy.values import to_json
from symphainy_cli.keys import create_key
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.errors import SymphainyError
from symphainy_simulation.checking import Acknowledged

OTHER_TENANT = "bolt"
SESSIONS = 8  # of a tenant, open at a time
USERS = 24
REPEATS = 0.06
ANSWER_S = 15.0
PATIENCE_S = 60.0  # then the caller gives up; the intent may stand all the same
_AGAIN_S = 0.3
# Intent type, its share, and the payload's members beside its number.
KINDS: tuple[tuple[str, int, dict[str, tuple[int, int]]], ...] = (
    ("chaos.add", 50, {}),
    ("chaos.stepped", 18, {"succeed_at": (1, 3), "work_ms": (0, 60)}),
    ("chaos.blocking", 5, {"work_ms": (0, 200)}),
    ("chaos.flaky", 10, {"succeed_at": (1, 5)}),
    ("chaos.later", 4, {"succeed_at": (1, 3)}),
    ("chaos.refuse", 8, {"work_ms": (0, 300)}),
    ("chaos.slow", 3, {"succeed_at": (1, 3)}),
    (
        "chaos.trip",
        8,
        {
            "car": (1, 3),
            "hotel": (1, 5),
            "flight": (1, 5),
            "pay": (1, 6),
            "work_ms": (0, 60),
        },
    ),
    ("chaos.family", 4, {"succeed_at": (1, 5), "work_ms": (0, 60)}),
    ("chaos.nobody", 2, {}),
)


@dataclass(frozen=True)
class Stated:
    """An intent as it was stated first."""

    tenant: str
    session: str
    intent_id: str
    kind: str
    payload: dict[str, int]


@dataclass
class Tenant:
    """A tenant's ways in."""

    name: str
    producer: IntentProducer
    http: httpx.AsyncClient
    sessions: list[str]


class Load:
    """Users on an event loop of their own, in a thread."""

    def __init__(
        self,
        settings: RuntimeSettings,
        url: str,
        key: str,
        rate: float,
        seed: int,
        kinds: tuple[str, ...] = (),
    ) -> None:
        """`rate` is intents a second, as long as the system takes them; `kinds` are some of
        `KINDS`, all by default."""
        self._kinds = [kind for kind in KINDS if not kinds or kind[0] in kinds]
        self._settings = settings
        self._url = url
        self.keys = {TENANT: key, OTHER_TENANT: create_key(settings, OTHER_TENANT, "bob")}
        self._rate = rate
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="load", daemon=True)
        self._going = asyncio.Event()
        self._users: list[asyncio.Task[None]] = []
        self._tenants: list[Tenant] = []
        self._stated: deque[Stated] = deque(maxlen=20_000)
        self._number = 0
        self._acknowledged: list[Acknowledged] = []
        self.counts: Counter[str] = Counter()

    # --- as the soak sees it --------------------------------------------------------------------

    def begin(self) -> None:
        """State intents."""
        if not self._thread.is_alive():
            self._thread.start()
        self._call(self._begin())

    def recent(self) -> Acknowledged | None:
        """What was acknowledged last."""
        return self._acknowledged[-1] if self._acknowledged else None

    def rest(self) -> list[Acknowledged]:
        """Stop, and wait for the answers on their way; what was acknowledged since `begin`."""
        self._call(self._rest())
        acknowledged, self._acknowledged = self._acknowledged, []
        return acknowledged

    def end(self) -> None:
        """Disconnect."""
        if self._thread.is_alive():
            self._call(self._rest())
            self._call(self._disconnect())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # --- on the loop ----------------------------------------------------------------------------

    async def _begin(self) -> None:
        if not self._tenants:
            for name, key in self.keys.items():
                producer = IntentProducer(self._settings, name, "ann")
                await producer.start()
                headers = {"Authorization": f"Bearer {key}"}
                http = httpx.AsyncClient(base_url=self._url, headers=headers, timeout=ANSWER_S)
                self._tenants.append(Tenant(name, producer, http, []))
        for tenant in self._tenants:
            while len(tenant.sessions) < SESSIONS:
                tenant.sessions.append(await tenant.producer.open_session())
        self._going.set()
        self._users = [asyncio.create_task(self._user()) for _ in range(USERS)]

    async def _rest(self) -> None:
        self._going.clear()
        await asyncio.gather(*self._users)
        self._users = []

    async def _disconnect(self) -> None:
        for tenant in self._tenants:
            await tenant.producer.stop()
            await tenant.http.aclose()

    async def _user(self) -> None:
        chance = random.Random(self._chance.random())
        while self._going.is_set():
            await asyncio.sleep(chance.expovariate(self._rate / USERS))
            tenant = chance.choice(self._tenants)
            if chance.random() < 0.002:
                await self._change_session(tenant, chance)
            stated, first = self._next(tenant, chance)
            direct = chance.random() < 0.5
            await self._state(tenant, stated, direct)
            if first:
                self._stated.append(stated)

    def _next(self, tenant: Tenant, chance: random.Random) -> tuple[Stated, bool]:
        """A new intent, or a repeat of an earlier one, at times with another payload."""
        if self._stated and chance.random() < REPEATS:
            again = self._stated[chance.randrange(len(self._stated))]
            if again.tenant == tenant.name:
                self.counts["repeated"] += 1
                if chance.random() < 0.2:
                    other = {**again.payload, "number": -1}
                    again = Stated(again.tenant, again.session, again.intent_id, again.kind, other)
                return again, False
        self._number += 1
        weights = [weight for _, weight, _ in self._kinds]
        kind, _, members = chance.choices(self._kinds, weights)[0]
        payload = {name: chance.randint(*bounds) for name, bounds in members.items()}
        payload["number"] = self._number
        session = chance.choice(tenant.sessions)
        self.counts[kind] += 1
        return Stated(tenant.name, session, ids.new_intent_id(), kind, payload), True

    async def _change_session(self, tenant: Tenant, chance: random.Random) -> None:
        """Close a session and open another; who still states intents there is rejected."""
        place = chance.randrange(len(tenant.sessions))
        old = tenant.sessions[place]
        try:
            tenant.sessions[place] = await tenant.producer.open_session()
            await tenant.producer.submit("runtime.close_session", {}, session_id=old)
        except SymphainyError:
            self.counts["unanswered"] += 1

    async def _state(self, tenant: Tenant, stated: Stated, direct: bool) -> None:
        deadline = self._loop.time() + PATIENCE_S
        while self._loop.time() < deadline:
            try:
                if direct:
                    await self._produce(tenant, stated)
                else:
                    await self._post(tenant, stated)
            except (SymphainyError, httpx.TransportError):
                self.counts["unanswered"] += 1
                await asyncio.sleep(_AGAIN_S)
            else:
                return
        self.counts["given up"] += 1

    async def _produce(self, tenant: Tenant, stated: Stated) -> None:
        accepted = await tenant.producer.submit(
            stated.kind, stated.payload, session_id=stated.session, intent_id=stated.intent_id
        )
        payload = to_json(stated.payload, "The payload")
        self._keep(stated, accepted.execution_id, accepted.partition, accepted.offset, payload)

    async def _post(self, tenant: Tenant, stated: Stated) -> None:
        body = {
            "intent_id": stated.intent_id,
            "intent_type": stated.kind,
            "session_id": stated.session,
            "payload": stated.payload,
        }
        answer = await tenant.http.post("/v1/intents?wait=0s", json=body)
        if answer.status_code in (502, 503, 504):
            raise httpx.TransportError(f"{answer.status_code}")
        self.counts[f"http {answer.status_code}"] += 1
        told = answer.json()
        place = told.get("wal") if answer.is_success else None
        if place is not None:
            payload = msgspec.json.encode(stated.payload)
            offset = place["offset"]
            self._keep(stated, told["execution_id"], place["partition"], offset, payload)

    def _keep(
        self, stated: Stated, execution_id: str, partition: int, offset: int, payload: bytes
    ) -> None:
        self.counts["acknowledged"] += 1
        self._acknowledged.append(
            Acknowledged(
                stated.tenant,
                stated.session,
                stated.intent_id,
                execution_id,
                partition,
                offset,
                sha256(payload).digest(),
            )
        )
