"""Journals as owners may leave them: takeovers, records of dead owners behind them, gaps, and the
executions of several tenants in between, some of which invoke others."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from tests.samples import EVENTS

from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions, ownership_taken
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.events import Position

TENANTS = ("acme", "rival", "third")
TYPES = ("content.ingest", "content.parse", "billing.charge")
SESSIONS = 8  # of a tenant, on a partition
LIVE = 24
OPEN_SESSION = "runtime.open_session"
_OPENED = next(one for one in EVENTS if isinstance(one, e.SessionOpened))
_RECEIVED = next(one for one in EVENTS if isinstance(one, e.IntentReceived))
_RESOLVED = next(one for one in EVENTS if isinstance(one, e.CapabilityResolved))
_INVOKED = next(one for one in EVENTS if isinstance(one, e.ChildInvoked))
_ONCE = (e.OwnershipTaken, e.IntentReceived, e.IntentRejected, e.IntentRepeated, e.ChildInvoked)
_ENDS = tuple(one for one in EVENTS if type(one).__name__.startswith("Execution"))
_OTHERS = tuple(
    one
    for one in EVENTS
    if not isinstance(one, _ONCE) and one not in _ENDS and "Session" not in type(one).__name__
)


class _Execution:
    """What the records of an execution share."""

    def __init__(self, heading: Heading) -> None:
        self.heading = heading
        self.offset = -1
        """Of its last record."""


class History:
    """One partition's journal in the making; `values` stand at offsets from 0."""

    def __init__(self, partition: int, seed: int, began_ms: int) -> None:
        self.partition = partition
        self.values: list[bytes] = []
        self.events = 0
        """Of records that count."""
        self.stale = 0
        self._chance = random.Random(f"{seed}/{partition}")
        self._sending = random.Random(f"{seed}/{partition}/sending")
        self._acknowledged: dict[int, int] = {}
        """By term, the last record of it that counts."""
        self._now = began_ms
        self._standing = Validity()
        self._live: list[_Execution] = []
        self._intents = 0
        self._sessions = {
            tenant: [
                f"ses-{partition}-{self._chance.getrandbits(128):032x}" for _ in range(SESSIONS)
            ]
            for tenant in TENANTS
        }
        self._writer = self._take_over()
        for tenant, sessions in self._sessions.items():
            for session in sessions:
                self._open(tenant, session)

    def grow(self, events: int) -> None:
        """Go on until there are so many events of records that count."""
        while self.events < events:
            self._now += self._chance.choice((0, 1, 7, 40))
            doing = self._chance.random()
            if doing < 0.002:
                self._dead_owner()
            elif doing < 0.003:
                self._gap()
            elif doing < 0.01:
                self._append(self._write(self._writer, Heading(), ()))
            else:
                self._go_on()

    def _open(self, tenant: str, session: str) -> None:
        one = self._received(Heading(tenant_id=tenant, session_id=session), OPEN_SESSION)
        self._record(one, (_OPENED, e.ExecutionSucceeded()))

    def _go_on(self) -> None:
        if len(self._live) < LIVE and self._chance.random() < 0.3:
            tenant = self._chance.choice(TENANTS)
            session = self._chance.choice(self._sessions[tenant])
            heading = Heading(tenant_id=tenant, session_id=session)
            self._live.append(self._received(heading, self._chance.choice(TYPES)))
        elif self._live:
            one = self._chance.choice(self._live)
            self._record(one, self._next_events(one))

    def _next_events(self, one: _Execution) -> tuple[e.Event, ...]:
        doing = self._chance.random()
        if doing < 0.08:
            self._live.remove(one)
            return (self._chance.choice(_OTHERS), self._chance.choice(_ENDS))
        if doing < 0.14:
            child = self._received(one.heading, self._chance.choice(TYPES))
            self._live.append(child)
            return (replace(_INVOKED, child=child.heading.execution_id),)
        return tuple(self._chance.choices(_OTHERS, k=self._chance.randint(1, 5)))

    def _received(self, of: Heading, intent_type: str) -> _Execution:
        """An execution begins, of an intent of its own, or of one that `of` invoked."""
        self._intents += 1
        intent_id = f"intent-{self._intents}"
        heading = Heading(
            cause=Position("intents", self.partition, self._intents),
            tenant_id=of.tenant_id,
            session_id=of.session_id,
            execution_id=ids.execution_id(of.tenant_id, of.session_id, intent_id, self.partition),
            correlation_id=of.correlation_id or intent_id,
        )
        one = _Execution(heading)
        received = replace(_RECEIVED, intent_id=intent_id, intent_type=intent_type)
        self._record(one, (received, _RESOLVED, e.ExecutionStarted()))
        return one

    def _record(self, one: _Execution, events: tuple[e.Event, ...]) -> None:
        heading = replace(one.heading, parent=one.offset)
        one.offset = len(self.values)
        self._append(self._write(self._writer, heading, events))

    def _write(self, writer: JournalWriter, heading: Heading, events: tuple[e.Event, ...]) -> bytes:
        acted_to = self._acted_to(writer.term)
        return writer.write(self._now, heading, events, Positions(self._intents, 0), acted_to)[1]

    def _acted_to(self, term: int) -> int:
        """What an owner says of its effects: up to a record of its term that it knows to stand."""
        last = self._acknowledged[term]
        return self._sending.randint(max(term, last - LIVE), last)

    def _append(self, value: bytes) -> None:
        stored = judge(value, len(self.values), self._standing)
        self._standing = stored.standing
        self.values.append(value)
        if stored.valid and stored.record is not None:
            self.events += len(stored.record.events)
            self._acknowledged[stored.standing.term] = stored.offset
        else:
            self.stale += 1

    def _take_over(self) -> JournalWriter:
        before = self._standing
        self._append(ownership_taken("o", self._now, before, Positions(self._intents, 0), -1))
        return JournalWriter(self._standing, before)

    def _dead_owner(self) -> None:
        """Somebody takes over, and what the last owner had sent still comes."""
        late = self._writer
        self._writer = self._take_over()
        for _ in range(self._chance.randint(0, 5)):
            self._append(self._lost(late))

    def _gap(self) -> None:
        """A record is lost, those behind it come; the owner takes a new term."""
        self._lost(self._writer)
        for _ in range(self._chance.randint(1, 5)):
            self._append(self._lost(self._writer))
        self._writer = self._take_over()

    def _lost(self, writer: JournalWriter) -> bytes:
        """A record that does not count, of an execution that goes on or of one that never was."""
        heading = Heading(tenant_id="acme", execution_id=f"exe-{self.partition}-{'e' * 32}")
        if self._live:
            heading = self._chance.choice(self._live).heading
        return self._write(writer, heading, self._chance.choice(_WITHIN)(self._chance))


_WITHIN: tuple[Callable[[random.Random], tuple[Any, ...]], ...] = (
    lambda chance: (chance.choice(_OTHERS),),
    lambda chance: (chance.choice(_ENDS),),
)
