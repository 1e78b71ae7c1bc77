"""Re-driving: failed, rejected or dead-lettered work is stated again, as intents of its own. Knows
no screen.

A new intent's id is made of the old execution and the run's name: to repeat the command, or to go
on after an interruption, states nothing twice. What the new one has of the old one: type, session
(or another one), payload, correlation and solution context; its metadata name the old one and its
place. It goes through the gateway as whoever runs the command, whom identity, quota and policy take
for any other caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple

import httpx
import msgspec

from symphainy import ApiError, Client
from symphainy.calling import ANSWER_S, call
from symphainy_schemas import ids
from symphainy_schemas.errors import SymphainyError, Unavailable
from symphainy_schemas.records import Intent
from symphainy_transport.artifacts import ArtifactStore

PAGE = 200
DEAD_LETTER = "dead-letter"
SHARED = frozenset({"cross_realm", "solution"})
_PATIENCE_S = 600.0  # a gateway that has too much to do sets the pace


class Place(NamedTuple):
    """Where an intent stands in the write-ahead log."""

    partition: int
    offset: int


class Old(NamedTuple):
    """Work that was in vain: its execution, how that ended, and its intent, if it can be read; else
    `why` not."""

    execution_id: str
    intent_type: str
    status: str
    code: str
    place: Place
    intent: Intent | None = None
    why: str = ""


class Within(NamedTuple):
    """Which places are meant: of one partition or all, from an offset on, below another."""

    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None

    def has(self, place: Place) -> bool:
        """Whether the place is among them."""
        return (
            self.partition in (None, place.partition)
            and (self.from_offset is None or place.offset >= self.from_offset)
            and (self.to_offset is None or place.offset < self.to_offset)
        )


class Outcome(StrEnum):
    """What became of one."""

    STATED = "stated"  # the new intent is in the write-ahead log
    ALREADY = "stated before"  # by this run, earlier
    ALLOWED = "policy allows"  # of a dry run
    DENIED = "policy refuses"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    IMPOSSIBLE = "cannot be stated"


FAILED = frozenset({Outcome.DENIED, Outcome.REFUSED, Outcome.UNKNOWN, Outcome.IMPOSSIBLE})


class Told(NamedTuple):
    """What became of one; the new execution's id, if it has one."""

    old: Old
    outcome: Outcome
    execution_id: str = ""
    code: str = ""
    message: str = ""


async def found(
    client: Client, statuses: Sequence[str], filters: Mapping[str, str], within: Within, limit: int
) -> AsyncIterator[Old]:
    """The executions of those statuses and places, newest first, at most `limit`."""
    left = limit
    for status in statuses:
        query = {**filters, "status": status, "limit": str(PAGE)}
        while left:
            page = await client.executions(query)
            for document in page["items"]:
                one = _of(document)
                if left and document["status"] == status and within.has(one.place):
                    left -= 1
                    yield one
            if not page["cursor"]:
                break
            query["cursor"] = page["cursor"]


def _of(document: Mapping[str, Any]) -> Old:
    wal = document["wal"] or {"partition": -1, "offset": -1}
    return Old(
        document["execution_id"],
        document["intent_type"],
        document["status"],
        (document["error"] or {}).get("code", ""),
        Place(wal["partition"], wal["offset"]),
    )


def new_id(run: str, old: Old) -> str:
    """The new intent's id: the same for the same old execution in the same run."""
    parts = "\0".join((run, old.execution_id)).encode()
    return f"redrive-{blake2b(parts, digest_size=16).hexdigest()}"


def statement(old: Old, intent: Intent, payload: bytes, run: str, session: str) -> dict[str, Any]:
    """The new intent, as the gateway takes it.

    Raises:
        ValueError: payload or metadata are no JSON.
    """
    known = _object(intent.metadata)
    before = known.get("redrive")
    link = {
        "run": run,
        "execution_id": old.execution_id,
        "intent_id": intent.intent_id,
        "status": old.status,
        "topic": "intents",
        "partition": old.place.partition,
        "offset": old.place.offset,
        # Of work that was re-driven again and again: where it began.
        "first": before.get("first", "") if isinstance(before, dict) else old.execution_id,
    }
    body: dict[str, Any] = {
        "intent_id": new_id(run, old),
        "intent_type": intent.intent_type,
        "session_id": session or intent.session_id,
        "payload": msgspec.json.decode(payload),
        "correlation_id": intent.correlation_id,
        "metadata": {**known, "redrive": link},
    }
    if intent.solution_context:
        body["solution_context"] = _object(intent.solution_context)
    if intent.intent_type.partition(".")[0] in SHARED:
        body["realm"] = intent.realm
    return body


def _object(raw: bytes) -> dict[str, Any]:
    found = msgspec.json.decode(raw) if raw else {}
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


class Redrive:
    """States old work again through one gateway. Use it with `async with`."""

    def __init__(
        self, where: tuple[str, str], artifacts: ArtifactStore, run: str, session: str
    ) -> None:
        """`where` is the gateway's URL and a key; `session` takes the place of the old ones."""
        url, key = where
        self._http = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_S
        )
        self._artifacts = artifacts
        self._run, self._session = run, session

    async def __aenter__(self) -> Redrive:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def each(
        self, olds: Sequence[Old], *, dry: bool, at_once: int, told: Callable[[Told], None]
    ) -> None:
        """State every one, or with `dry` only ask policy; at most `at_once` at a time."""
        left: Iterator[Old] = iter(olds)

        async def working() -> None:
            for old in left:
                told(await self._one(old, dry))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(olds))):
                group.create_task(working())

    async def _one(self, old: Old, dry: bool) -> Told:
        if old.intent is None:
            return Told(old, Outcome.IMPOSSIBLE, code="unreadable", message=old.why)
        try:
            payload = old.intent.payload
            if old.intent.payload_ref is not None:
                payload = await self._artifacts.get(old.intent.payload_ref)
            body = statement(old, old.intent, payload, self._run, self._session)
        except (SymphainyError, ValueError) as error:
            code = error.code if isinstance(error, SymphainyError) else "payload_unreadable"
            return Told(old, Outcome.IMPOSSIBLE, code=code, message=str(error))
        try:
            return await self._stated(old, body, dry)
        except ApiError as error:
            return Told(old, Outcome.REFUSED, code=error.code, message=error.message)
        except Unavailable as error:
            return Told(old, Outcome.UNKNOWN, code=error.code, message=error.message)

    async def _stated(self, old: Old, body: dict[str, Any], dry: bool) -> Told:
        assert old.intent is not None
        session = body["session_id"]
        execution = ids.execution_id(
            old.intent.tenant_id, session, body["intent_id"], ids.partition_of(session)
        )
        if await self._known(execution):
            return Told(old, Outcome.ALREADY, execution)
        denied = await self._denied(body)
        if denied or dry:
            outcome = Outcome.DENIED if denied else Outcome.ALLOWED
            return Told(old, outcome, code="policy_denied" if denied else "", message=denied)
        await call(
            self._http,
            "POST",
            "/v1/intents",
            body=body,
            params={"wait": "0s"},
            retry_s=_PATIENCE_S,
            cure="Run it again: what was stated is not stated twice.",
        )
        return Told(old, Outcome.STATED, execution)

    async def _known(self, execution: str) -> bool:
        try:
            path = f"/v1/executions/{execution}/status"
            await call(self._http, "GET", path, retry_s=_PATIENCE_S)
        except ApiError as error:
            if error.code == "execution_not_found":
                return False
            raise
        return True

    async def _denied(self, body: dict[str, Any]) -> str:
        """Why policy would refuse it to this caller; empty if it would not."""
        question = {name: body[name] for name in ("intent_type", "payload")}
        answer = await call(
            self._http, "POST", "/v1/policies/check", body=question, retry_s=_PATIENCE_S
        )
        decision = msgspec.json.decode(answer.content)
        if decision["allowed"]:
            return ""
        stages = [one for one in decision["stages"] if not one["allowed"]]
        return "; ".join(
            f"{one['stage']}: {', '.join((*one['reasons'], *one['policies'])) or 'nothing permits'}"
            for one in stages
        )
