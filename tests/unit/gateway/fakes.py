"""A backend in memory.

The fake owner decides within `publish`, so nothing here needs time to pass.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from symphainy_gateway.backend import Trial
from symphainy_gateway.backlog import Sighting
from symphainy_gateway.callers import caller_by_key
from symphainy_gateway.quotas.counting import Counts, Taken, full, take
from symphainy_gateway.quotas.ledger import Ask, Stored
from symphainy_runtime.api_keys import KeyOptions, new_key
from symphainy_runtime.configuration import Configuration, config_key
from symphainy_runtime.read_model.notifications import Watch
from symphainy_runtime.read_model.reader import Document, Listing, Page, execution_document
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.query import Answer, Query
from symphainy_runtime.wal.rows import Row
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import Capability, Determinism, Intent, Tenant
from symphainy_transport.clock import Clock, SystemClock
from symphainy_transport.publishing import Accepted

PARTITIONS = 8
SESSION = f"ses-3-{'a' * 32}"
CLOSED_SESSION = f"ses-3-{'c' * 32}"
UNKNOWN_SESSION = f"ses-3-{'f' * 32}"
KEY, KEY_RECORD = new_key(KeyOptions(tenant_id="acme", principal="ada"), 1)
OTHER_KEY, OTHER_KEY_RECORD = new_key(KeyOptions(tenant_id="rival", principal="bob"), 1)
CALLER = caller_by_key(KEY_RECORD)
Verdict = tuple[str, dict[str, Any] | None]  # status and error
CONTRACT = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def capability(name: str = "content.ingest", contract: object = CONTRACT) -> Capability:
    return Capability(
        name=name,
        version=1,
        realm=name.split(".", 1)[0],
        handler="ingest",
        description="Takes a number.",
        input_contract=msgspec.json.encode(contract),
        output_contract=b"",
        determinism=Determinism.DETERMINISTIC,
        timeout_ms=1_000,
        attempts=1,
        backoff_ms=0,
        backoff_factor=1.0,
        backoff_max_ms=0,
        registered_at=1,
        registered_by="test",
    )


def key_of(backend: FakeBackend, *roles: str) -> str:
    """A fresh key of the tenant's with these roles."""
    text, record = new_key(KeyOptions(tenant_id="acme", principal="olga", roles=roles), 1)
    backend.configuration.apply(config_key(record), encode(record))
    return text


def configuration() -> Configuration:
    made = Configuration()
    tenant = Tenant(tenant_id="acme", version=1, display_name="Acme", shard_size=0, created_at=1)
    for record in (capability(), tenant, KEY_RECORD, OTHER_KEY_RECORD):
        made.apply(config_key(record), encode(record))
    return made


@dataclass
class FakeNotifier:
    watches: dict[str, set[Watch]] = field(default_factory=lambda: defaultdict(set))

    @asynccontextmanager
    async def watch(self, execution_id: str) -> AsyncIterator[Watch]:
        one = Watch()
        self.watches[execution_id].add(one)
        try:
            yield one
        finally:
            self.watches[execution_id].discard(one)

    def tell(self, execution_id: str, told: dict[bytes, bytes] | None = None) -> None:
        for one in self.watches[execution_id]:
            one.notify(told)


@dataclass
class FakeReadModel:
    documents: dict[str, Document] = field(default_factory=dict)
    opened: dict[str, Document] = field(default_factory=dict)
    journal: dict[str, list[Document]] = field(default_factory=dict)
    reads: list[list[str]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    events_failure: Exception | None = None

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def executions(self, tenant_id: str, execution_ids: Sequence[str]) -> dict[str, Document]:
        self.reads.append(list(execution_ids))
        self.asked.set()
        await asyncio.sleep(0)
        self._check()
        found = {one: self.documents[one] for one in execution_ids if one in self.documents}
        return {one: it for one, it in found.items() if it["tenant_id"] == tenant_id}

    async def document(self, tenant_id: str, fields: Mapping[bytes, bytes]) -> Document | None:
        found = execution_document(fields)
        return found if found is not None and found["tenant_id"] == tenant_id else None

    async def events(
        self, tenant_id: str, execution_id: str, after: int = 0
    ) -> list[Document] | None:
        self._check()
        if self.events_failure is not None:
            raise self.events_failure
        return self.journal.get(execution_id, [])[after:]

    async def session(self, tenant_id: str, session_id: str) -> Document | None:
        self._check()
        session = self.opened.get(session_id)
        return session if session and session["tenant_id"] == tenant_id else None

    async def running(self, session_id: str, limit: int) -> tuple[int, list[str]]:
        self._check()
        names = [
            name
            for name, one in self.documents.items()
            if one["session_id"] == session_id and one["status"] == "running"
        ]
        return len(names), names[:limit]

    async def sessions(self, tenant_id: str, what: Listing) -> Page:
        self._check()
        found = [
            one
            for one in self.opened.values()
            if one["tenant_id"] == tenant_id and what.status in (None, one["status"])
        ]
        return Page(tuple(found[: what.limit]), None)

    async def session_events(self, tenant_id: str, session_id: str) -> list[Document] | None:
        return None if await self.session(tenant_id, session_id) is None else []

    async def listing(self, tenant_id: str, what: Listing) -> Page:
        self._check()
        mine = [it for it in self.documents.values() if it["tenant_id"] == tenant_id]
        return Page(tuple(mine), None)


class FakeOwner:
    """Publishes into a list, and decides at once as the owner would.

    Tests may replace `before`, which is awaited before an append, `verdict`, which decides, and
    `outcome`, the status of what may run (empty: nothing is known of it yet).
    """

    partitions = PARTITIONS

    def __init__(self, backend: FakeBackend) -> None:
        self._backend = backend
        self.published: list[Intent] = []
        self.before: Callable[[Intent], Awaitable[None]] = _at_once
        self.verdict: Callable[[Intent], Verdict | None] = self._judge
        self.outcome = "succeeded"

    async def publish(self, intent: Intent) -> Accepted:
        await self.before(intent)
        self.published.append(intent)
        partition = ids.partition_of(intent.session_id)
        execution_id = execution_id_of(intent)
        self.tell(intent, self.verdict(intent))
        offset = len(self.published) - 1
        return Accepted(execution_id, intent.intent_id, "intents", partition, offset)

    async def adds(self, intent: Intent) -> int:
        large = len(intent.payload) > self._backend.settings.inline_limit_bytes
        return len(intent.payload) if large else 0

    async def same_payload(self, intent: Intent, digest: bytes) -> bool:
        return sha256(intent.payload).digest() == digest

    def tell(self, intent: Intent, verdict: Verdict | None) -> None:
        """Project a decision, unless the intent was decided before."""
        backend, execution_id = self._backend, execution_id_of(intent)
        if verdict is None:
            return
        if intent.intent_type == "runtime.open_session":
            backend.read_model.opened[intent.session_id] = session(intent.session_id)
        backend.read_model.documents.setdefault(execution_id, execution(intent, *verdict))
        backend.notifier.tell(execution_id)

    def _judge(self, intent: Intent) -> Verdict | None:
        known = self._backend.read_model.opened.get(intent.session_id)
        refusal = ""
        if intent.intent_type != "runtime.open_session":
            if known is None or known["tenant_id"] != intent.tenant_id:
                refusal = "session_not_found"
            elif known["status"] != "open":
                refusal = "session_closed"
        if intent.realm == "runtime" and not refusal:
            return "succeeded", None
        if not refusal and intent.intent_type not in self._backend.configuration.capabilities:
            refusal = "capability_not_found"
        if not refusal and set(msgspec.json.decode(intent.payload)) != {"n"}:
            refusal = "contract_violation"
        if refusal:
            return "rejected", error(refusal)
        return (self.outcome, None) if self.outcome else None


class FakeLedger:
    """A ledger in memory; a test may move its clock, or let it fail, or hold its answers."""

    def __init__(self, now_us: Callable[[], int] | None = None) -> None:
        clock = SystemClock()
        self.now_us = now_us or (lambda: clock.now_ms() * 1_000)
        self.counts: dict[str, Counts] = {}
        self.stored: dict[str, int] = {}
        self.asked: list[Sequence[Ask]] = []
        self.failure: Exception | None = None
        self.released: asyncio.Event | None = None

    async def take(self, asks: Sequence[Ask]) -> Sequence[Taken]:
        self.asked.append(asks)
        if self.released is not None:
            await self.released.wait()
        if self.failure is not None:
            raise self.failure
        return [self._taken(one) for one in asks]

    def _taken(self, ask: Ask) -> Taken:
        now = self.now_us()
        counts = self.counts.get(ask.tenant_id) or full(ask.limits, now)
        come = take(counts, ask.limits, 0, 0, now).counts
        tokens, control = come.tokens, come.control
        if ask.ceiling is not None:
            tokens, control = min(tokens, ask.ceiling[0]), min(control, ask.ceiling[1])
        spent = tuple(
            one._replace(used=max(one.used, owed.least) + owed.more)
            if one.number == owed.number
            else one
            for one, owed in zip(come.spent, ask.owed, strict=True)
        )
        settled = Counts(tokens, control, now, spent)
        taken = take(settled, ask.limits, ask.intents, ask.controls, now)
        self.counts[ask.tenant_id] = taken.counts
        return taken

    async def store(self, tenant_id: str, size: int, limit: int, owed: int) -> Stored:
        if self.failure is not None:
            raise self.failure
        used = self.stored.get(tenant_id, 0) + owed
        fits = used + size <= limit
        self.stored[tenant_id] = used + size if fits else used
        return Stored(fits, self.stored[tenant_id])


class FakeWal:
    """A log of a few rows; it takes note of what is asked."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.asked: list[Query] = []
        self.failure: Exception | None = None

    async def query(self, query: Query) -> Answer:
        self.asked.append(query)
        if self.failure is not None:
            raise self.failure
        found = [row for row in self.rows if query.matches(row)]
        return Answer(rows=found[: query.limit])


class FakeReplays:
    """Answers what it was asked; the fold is the composition root's to hand in."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    async def replay(
        self,
        execution_id: str,
        offsets: Sequence[int],
        mode: str,
        at_offset: int | None,
        at_ms: int | None,
    ) -> Document:
        if self.failure is not None:
            raise self.failure
        asked = {"offset": at_offset, "at": at_ms}
        told = {"mode": mode, "execution_id": execution_id, "partition": 3, "records": len(offsets)}
        return {**told, "asked": asked, "offsets": list(offsets)}

    async def validate(
        self,
        document: Document,
        events: Sequence[Document],
        configuration: Configuration,
        at_ms: int,
    ) -> Document:
        if self.failure is not None:
            raise self.failure
        told = {"execution_id": document["execution_id"], "made_at": at_ms}
        return {**told, "format": "", "valid": True, "complete": True, "journal": {}, "checks": []}


class FakeBacktests:
    """Reads nothing; a test says what is found, and when it is (`found`), or what goes wrong."""

    def __init__(self) -> None:
        self.asked: list[Trial] = []
        self.refusal: Exception | None = None
        self.failure: Exception | None = None
        self.found = asyncio.Event()
        self.found.set()
        self.began = asyncio.Event()
        self.ended = 0
        self.records = 10

    async def prepare(self, trial: Trial, configuration: Configuration) -> FakeBacktests:
        self.asked.append(trial)
        if self.refusal is not None:
            raise self.refusal
        return self

    async def run(self, progress: Callable[[int, int], None]) -> Document:
        try:
            progress(4, 2)
            self.began.set()
            await self.found.wait()
            progress(6, 1)
            if self.failure is not None:
                raise self.failure
            counts = dict.fromkeys(("looked_at", "unchanged", "changed", "undetermined"), 0)
            return {"scope": self.asked[-1].scope, **counts, "groups": [], "notes": []}
        finally:
            self.ended += 1


class FakeBackend:
    """A backend in memory."""

    def __init__(self, clock: Clock | None = None, **settings: Any) -> None:
        self.settings = RuntimeSettings(**settings)
        self.clock = clock or SystemClock()
        self.configuration = configuration()
        self.read_model = FakeReadModel()
        self.wal = FakeWal()
        self.notifier = FakeNotifier()
        self.publisher = FakeOwner(self)
        self.ledger = FakeLedger()
        self.replays = FakeReplays()
        self.backtests = FakeBacktests()
        self.reasons: dict[str, str] = {"kafka": "", "redis": ""}
        self.seen: list[Sighting] = []
        self.looked = asyncio.Event()
        self.read_model.opened[SESSION] = session(SESSION)
        self.read_model.opened[CLOSED_SESSION] = session(CLOSED_SESSION, "closed")

    async def sightings(self) -> Sequence[Sighting]:
        self.looked.set()
        return self.seen

    async def checks(self) -> Mapping[str, str]:
        return self.reasons


async def _at_once(_: Intent) -> None:
    return


def raising(error: Exception) -> Callable[[Intent], Awaitable[None]]:
    """What to await before an append that fails."""

    async def fail(_: Intent) -> None:
        raise error

    return fail


def session(session_id: str, status: str = "open") -> Document:
    return {"session_id": session_id, "tenant_id": "acme", "status": status, "attributes": {}}


def error(code: str) -> dict[str, Any]:
    return {
        "code": code,
        "message": f"It is {code}.",
        "field": "/x",
        "cure": "Mend it.",
        "operator_action": "",
    }


def execution_id_of(intent: Intent) -> str:
    partition = ids.partition_of(intent.session_id)
    return ids.execution_id(intent.tenant_id, intent.session_id, intent.intent_id, partition)


def execution(intent: Intent, status: str, failure: dict[str, Any] | None = None) -> Document:
    return {
        "execution_id": execution_id_of(intent),
        "intent_id": intent.intent_id,
        "intent_type": intent.intent_type,
        "session_id": intent.session_id,
        "tenant_id": intent.tenant_id,
        "correlation_id": intent.correlation_id,
        "status": status,
        "success": status == "succeeded",
        "payload_sha256": sha256(intent.payload).hexdigest(),
        "error": failure,
        "started_at": 1,
        "execution_time_ms": 1,
        "as_of": 7,
        "wal": {"topic": "intents", "partition": 3, "offset": 5},
    }


def intent_body(**members: Any) -> dict[str, Any]:
    return {
        "intent_type": "content.ingest",
        "session_id": SESSION,
        "payload": {"n": 1},
        **members,
    }


def unavailable() -> Unavailable:
    return Unavailable("It did not answer.", code="read_model_unavailable")
