"""What a tenant has that another must not see: live sessions, executions in many states, secrets.

Every text that is the tenant's own holds its `marker`, so that one search of an answer tells.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from symphainy_schemas.records import Capability, Determinism, PlannedStep, Recovery

PATIENCE_S = 40.0
LONG_MS = 3_600_000
SAME_INTENT_ID = "the-same-in-every-tenant"
SAME_KEY = "the-same-key-in-every-tenant"
WAITING = {"nap_ms": 1, "patience_ms": LONG_MS}
SLEEPING = {"nap_ms": LONG_MS, "patience_ms": 1}
# kind: intent type, payload, the status that it comes to
KINDS: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "succeeded": ("work.add", {"numbers": [1, 2]}, "succeeded"),
    "claimed": ("work.add", {"numbers": [10_000_000] * 10_000}, "succeeded"),  # by reference
    "failed": ("work.refuse", {"numbers": []}, "failed"),
    "rejected": ("work.nothing", {}, "rejected"),
    "waiting": ("work.approve", WAITING, "waiting"),
    "signalled": ("work.approve", WAITING, "waiting"),
    "sleeping": ("work.approve", SLEEPING, "waiting"),
    "paused": ("work.approve", SLEEPING, "waiting"),
    "cancelled": ("work.approve", SLEEPING, "cancelled"),
    "stuck": ("orders.fail", {"numbers": [1]}, "stuck"),
    "retried": ("orders.fail", {"numbers": [2]}, "stuck"),
    "compensated": ("orders.fail", {"numbers": [3]}, "failed"),
}
VERBS = {
    "signalled": ("executions", "signals/other"),
    "paused": ("executions", "pause"),
    "cancelled": ("executions", "cancel"),
    "compensated": ("sagas", "compensate"),
}


def failing_plan() -> Capability:
    """A plan whose second step fails for good, and which is then held."""

    def step(name: str, intent_type: str, *needs: str) -> PlannedStep:
        return PlannedStep(
            step=name,
            intent_type=intent_type,
            needs=needs,
            input=b'{"numbers": [4]}',
            condition=b"",
        )

    return Capability(
        name="orders.fail",
        version=1,
        realm="orders",
        handler="",
        description="",
        input_contract=b"{}",
        output_contract=b"",
        determinism=Determinism.NON_DETERMINISTIC,
        timeout_ms=0,
        attempts=1,
        backoff_ms=0,
        backoff_factor=1.0,
        backoff_max_ms=0,
        registered_at=1,
        registered_by="test",
        plan=(step("count", "work.add"), step("refuse", "work.refuse", "count")),
        recovery=Recovery.HOLD_FOR_OPERATOR,
    )


@dataclass
class Estate:
    """A tenant, its key, and what it has, by kind."""

    tenant: str
    key: str
    http: httpx.AsyncClient
    marker: str = field(default_factory=lambda: f"secret-{secrets.token_hex(8)}")
    sessions: dict[str, str] = field(default_factory=dict)
    executions: dict[str, str] = field(default_factory=dict)
    intents: dict[str, str] = field(default_factory=dict)
    cursor: str = ""

    async def call(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """The document of a successful answer, or of a problem, with the key of the tenant."""
        headers = {"authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        answer = await self.http.request(method, path, json=body, headers=headers, **more)
        return answer.json()

    async def build(self) -> Estate:
        """Make everything, and wait until it is so."""
        for name in ("open", "spare", "closed"):
            headers = {"idempotency-key": SAME_KEY} if name == "open" else {}
            body = {"attributes": {"note": self.marker}}
            opened = await self.call("POST", "/v1/sessions", body, headers=headers)
            self.sessions[name] = opened["session_id"]
        await asyncio.gather(*(self._make(kind) for kind in KINDS))
        closing = f"/v1/sessions/{self.sessions['closed']}?reason={self.marker}"
        assert (await self.call("DELETE", closing))["status"] == "closed"
        self.cursor = (await self.call("GET", "/v1/executions?limit=1"))["cursor"]
        return self

    async def _make(self, kind: str) -> None:
        intent_type, payload, status = KINDS[kind]
        body = {
            "intent_type": intent_type,
            "session_id": self.sessions["open"],
            "payload": payload,
            "metadata": {"note": self.marker},
            "correlation_id": f"{kind}-{self.marker}",
        }
        if kind == "succeeded":
            body["intent_id"] = SAME_INTENT_ID
        told = await self.call("POST", "/v1/intents", body)
        self.executions[kind], self.intents[kind] = told["execution_id"], told["intent_id"]
        if kind in VERBS:
            before = "stuck" if intent_type == "orders.fail" else "waiting"
            await self.reach(kind, before)
            under, verb = VERBS[kind]
            asked = {"data": self.marker} if verb.startswith("signals") else {"reason": self.marker}
            path = f"/v1/{under}/{self.executions[kind]}/{verb}"
            assert (await self.call("POST", path, asked))["status"] == "succeeded"
        await self.reach(kind, status)

    async def reach(self, kind: str, status: str) -> None:
        """Wait until the execution of that kind is in a status."""
        path = f"/v1/executions/{self.executions[kind]}/status"
        found: dict[str, Any] = {}
        async with asyncio.timeout(PATIENCE_S):
            while found.get("status") != status:
                found = await self.call("GET", path)
                await asyncio.sleep(0.05)

    async def snapshot(self) -> dict[str, str]:
        """Everything that the tenant sees of what it has, as text by path."""
        paths = ["/v1/executions?limit=200"]
        for one in self.executions.values():
            paths += [f"/v1/executions/{one}{rest}" for rest in ("", "/status", "/events")]
            paths.append(f"/v1/sagas/{one}")
        for one in self.sessions.values():
            paths += [f"/v1/sessions/{one}", f"/v1/sessions/{one}/events"]
            paths.append(f"/v1/executions?session={one}&limit=200")
        found = await asyncio.gather(*(self.call("GET", path) for path in paths))
        return {
            path: json.dumps(one, sort_keys=True) for path, one in zip(paths, found, strict=True)
        }

    def secrets(self) -> list[str]:
        """What must stand in no answer to anybody else, nor in any log."""
        return [self.marker, self.key.split("_")[2]]

    def ids(self) -> list[str]:
        """What names its things."""
        return [*self.sessions.values(), *self.executions.values()]


def to_json(value: object) -> bytes:
    """The bytes of a document."""
    return msgspec.json.encode(value)
