"""Who governs: broadcasts to the governing session of a scope on every partition, under one id.

Each broadcast is a process of its own. It may die half way; whoever comes after it states all of it
again. What is not acknowledged is stated again until it is.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from random import Random

import msgspec
from msgspec.structs import replace

from symphainy_runtime.policy.actions import ACTIVATE_POLICY, RESUME_TENANT, REVOKE_KEY
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.records import PLATFORM, Intent
from symphainy_schemas.state import TenantState
from symphainy_simulation.actors import policies
from symphainy_simulation.checking.history import Acknowledged
from symphainy_simulation.plan import Governs, Kind, Stated
from symphainy_simulation.world.events import EPOCH_MS, MS
from symphainy_simulation.world.process import Process
from symphainy_simulation.world.producing import Producer
from symphainy_simulation.world.universe import Universe
from symphainy_transport.topics import INTENTS

MESSAGE_TIMEOUT_MS = 350
LATE_US = 400 * MS  # what the dead had sent may land so much later


class Governors:
    """All of them."""

    def __init__(
        self,
        universe: Universe,
        partitions: int,
        stated: tuple[Stated, ...],
        acknowledged: list[Acknowledged],
    ) -> None:
        self.waiting = 0
        """Broadcasts that somebody still has to complete."""
        self._universe, self._partitions = universe, partitions
        self._acknowledged = acknowledged
        self._resumed = 0
        for one in stated:
            if one.kind is Kind.GOVERN:
                self.waiting += 1
                universe.events.at(one.at_ms * MS, lambda one=one: self._first(one))  # type: ignore[misc]

    def resume(self, kept: TenantState, partition: int) -> None:
        """Let a tenant go on that was left suspended on one partition, when all is over."""
        self._resumed += 1
        governs = Governs(RESUME_TENANT, kept.scope)
        one = Stated(0, 0, Kind.GOVERN, PLATFORM, 0, roles=(PLATFORM_OPERATOR,), governs=governs)
        intent = replace(_intent(one, governs, partition), intent_id=f"resume{self._resumed}")
        self.waiting += 1
        _Broadcast(self, one, f"last{self._resumed}").state({partition: intent}, 0, self._over)

    # --- one broadcast --------------------------------------------------------------------------

    def _first(self, one: Stated) -> None:
        governs = one.governs
        assert governs is not None
        order = list(range(self._partitions))
        Random(governs.order).shuffle(order)
        intents = {p: _intent(one, governs, p) for p in order}
        first = _Broadcast(self, one, f"{one.number}")
        if not 0 <= governs.crashes_after < self._partitions:
            first.state(intents, governs.apart_ms, self._over)
            return
        kept = dict(list(intents.items())[: governs.crashes_after + 1])
        first.state(kept, governs.apart_ms, lambda: None)
        events = self._universe.events
        events.after(governs.crashes_after * governs.apart_ms * MS + 1, first.die)
        if not governs.again_ms:
            self._over()
            return
        again = _Broadcast(self, one, f"{one.number}/again")
        events.after(
            governs.again_ms * MS, lambda: again.state(intents, governs.apart_ms, self._over)
        )

    def _over(self) -> None:
        self.waiting -= 1

    def producer(self, process: Process, name: str) -> Producer:
        """A producer for one process."""
        universe = self._universe
        stream = universe.stream(f"governors/{name}")
        made = Producer(process, universe.network, stream, MESSAGE_TIMEOUT_MS, lambda done: done())
        made.landed = universe.landed("who governs")
        return made

    def process(self, name: str) -> Process:
        """A process for one broadcast."""
        made = Process(f"who governs ({name})", self._universe.events)
        made.begin()
        return made

    def produce(self, producer: Producer, intent: Intent, p: int, sent: Callable[[], None]) -> None:
        """State it on a partition until it is acknowledged."""

        def done(offset: int | None, at_ms: int) -> None:
            if offset is None:
                self.produce(producer, intent, p, sent)
                return
            self._acknowledged.append(_acknowledged(intent, p, offset))
            sent()

        log = self._universe.log(INTENTS, p)
        producer.produce(log, intent.session_id.encode(), encode(intent), done)

    def tell(self, sentence: str) -> None:
        """Put something into the story."""
        self._universe.tell(sentence)

    def after(self, ms: int, what: Callable[[], None]) -> None:
        """In so long."""
        self._universe.events.after(ms * MS, what)


class _Broadcast:
    """One process that states one thing on several partitions."""

    def __init__(self, governors: Governors, one: Stated, name: str) -> None:
        self._governors, self._one, self._name = governors, one, name
        self._process: Process | None = None
        self._producer: Producer | None = None
        self._left = 0

    def state(self, intents: dict[int, Intent], apart_ms: int, over: Callable[[], None]) -> None:
        """Reach these partitions in this order; `over` when all have acknowledged it."""
        self._process = self._governors.process(self._name)
        self._producer = self._governors.producer(self._process, self._name)
        self._left = len(intents)
        self._governors.tell(f"{self._what()} is broadcast to {list(intents)}")

        def sent() -> None:
            self._left -= 1
            if not self._left:
                over()

        for place, (p, intent) in enumerate(intents.items()):
            self._governors.after(
                place * apart_ms,
                lambda p=p, intent=intent: self._reach(intent, p, sent),  # type: ignore[misc]
            )

    def _reach(self, intent: Intent, p: int, sent: Callable[[], None]) -> None:
        assert self._process is not None
        assert self._producer is not None
        if self._process.alive:
            self._governors.produce(self._producer, intent, p, sent)

    def die(self) -> None:
        """Half way."""
        assert self._process is not None
        assert self._producer is not None
        self._process.die()
        self._producer.die(LATE_US)
        self._governors.tell(f"who broadcasts {self._what()} dies")

    def _what(self) -> str:
        governs = self._one.governs
        assert governs is not None
        asks = governs.intent_type.partition(".")[2]
        return f"{asks} {governs.scope} {governs.version or governs.key_id}".strip()


def _intent(one: Stated, governs: Governs, partition: int) -> Intent:
    asks, session = governs.intent_type, ids.governing_session(governs.scope, partition)
    payload = _payload(governs)
    match governs.spoilt:
        case "another session":
            session = ids.governing_session(f"not-{governs.scope}", partition)
        case "no session of these":
            session = f"ses-{partition}-{0:032x}"
        case "no object":
            payload = b"[1]"
        case "no JSON":
            payload = b'{"scope'
    return Intent(
        intent_id=f"g{one.number}",
        intent_type=asks,
        realm="runtime",
        session_id=session,
        tenant_id=one.tenant,
        principal="root",
        correlation_id=f"g{one.number}",
        payload=payload,
        metadata=b"{}",
        solution_context=b"",
        created_at=EPOCH_MS + one.at_ms,
        roles=one.roles,
        authentication="key" if one.credential else "",
        credential=one.credential,
    )


def _payload(governs: Governs) -> bytes:
    stated: dict[str, object] = {"scope": governs.scope, "reason": "asked"}
    if governs.intent_type == ACTIVATE_POLICY:
        known = policies.of(governs.scope, governs.version)
        digest = bytes(32) if known is None else known.sha256
        if governs.spoilt == "another hash":
            digest = sha256(digest).digest()
        stated |= {"version": governs.version, "sha256": digest.hex()}
    elif governs.intent_type == REVOKE_KEY:
        stated["key_id"] = governs.key_id
    for spoilt, name in (("no scope", "scope"), ("no version", "version"), ("no hash", "sha256")):
        if governs.spoilt == spoilt:
            stated[name] = ["x"]
    return msgspec.json.encode(stated)


def _acknowledged(intent: Intent, partition: int, offset: int) -> Acknowledged:
    place = intent.tenant_id, intent.session_id, intent.intent_id
    name = ids.execution_id(*place, partition)
    return Acknowledged(*place, name, partition, offset, sha256(intent.payload).digest())
