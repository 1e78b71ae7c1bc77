"""G14: a session takes nothing once it is over, and is over by its time only when that has come.

What its record says of its time, of its attributes and of who is asked to end is worked out here
from the records before, not by the product's fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from symphainy_runtime.policy.actions import CLOSE_SESSION, REPLAY
from symphainy_schemas import events as e
from symphainy_schemas.state import ExecutionState, SessionState
from symphainy_simulation.checking.lives import ENDS, Book
from symphainy_simulation.checking.logs import Entry, PartitionLogs
from symphainy_simulation.checking.violation import Violation

G = "G14"
SPARED = (
    e.CancelRequested,
    e.DeadlinePassed,
    e.CompensationRequested,
    e.CompensationStarted,
    e.ExecutionStuck,
)
"""After these an execution need not be asked to end when its session is closed so."""
LATE_MS = 3_000
"""By the journal's time: so much later than its time a session is over, in a world at rest."""


@dataclass
class _Session:
    """What is known of a session where the journal is read."""

    tenant_id: str
    attributes: bytes
    idle_ms: int = 0
    expires_at: int = 0
    used_at: int = 0
    cancels: bool = False
    over_at: int = 0
    closing: bool = False
    asks: bool = False
    """Whether what closed it asks what runs to end."""
    running: dict[str, bool] = field(default_factory=dict)
    """What runs of its own accord, and whether it need not be asked any more."""
    awaited: set[str] = field(default_factory=set)
    """What runs as a part of something else."""

    @property
    def over(self) -> bool:
        return self.over_at > 0

    @property
    def due_at(self) -> int:
        idle_at = self.used_at + self.idle_ms if self.idle_ms else 0
        return min((at for at in (idle_at, self.expires_at) if at), default=0)


def check(book: Book) -> Iterator[Violation]:
    """Every session of every partition, and what tasks tell of them."""
    told: dict[tuple[int, int], bytes] = {}
    for logs, _ in book.partitions():
        yield from _Reading(logs, told, book.history.dedupe_window_ms).check(book.history.quiet)
    for place, _, task in book.logs.tasks:
        if task is None:
            continue
        expected = told.get((task.partition, task.dispatched_at))
        if expected is not None and task.session != expected:
            sentence = f"a task of {task.execution_id} tells other attributes of its session"
            yield Violation(G, sentence, (place,))


class _Reading:
    """The sessions of one partition, record by record."""

    def __init__(
        self, logs: PartitionLogs, told: dict[tuple[int, int], bytes], window_ms: int
    ) -> None:
        self._logs, self._told, self._window_ms = logs, told, window_ms
        states = logs.before.states.values()
        self._sessions = {x.session_id: _carried(x) for x in states if isinstance(x, SessionState)}
        for state in states:
            if isinstance(state, ExecutionState) and not state.status.ended:
                session = self._sessions.get(state.session_id)
                if session is not None and not state.awaited_by:
                    session.running[state.execution_id] = True  # at rest: stuck
                elif session is not None:
                    session.awaited.add(state.execution_id)

    def check(self, quiet: bool) -> Iterator[Violation]:
        last_at = self._logs.before.at
        for entry in self._logs.valid:
            last_at = max(last_at, entry.record.at)
            if entry.record.execution_id:
                yield from self._record(entry)
        if not quiet:
            return
        for name, session in self._sessions.items():
            if session.closing:
                yield Violation(G, f"{name} was closed, and not all that ran was asked to end")
            elif not session.over and 0 < session.due_at < last_at - LATE_MS:
                yield Violation(G, f"the time of {name} was over, and it did not expire")

    def _record(self, entry: Entry) -> Iterator[Violation]:
        record = entry.record
        received = next((x for x in record.events if isinstance(x, e.IntentReceived)), None)
        for event in record.events:
            session = self._sessions.get(record.session_id)
            match event:
                case e.SessionOpened():
                    yield from self._opened(entry, event, session)
                case e.SessionChanged() | e.SessionClosed() | e.SessionExpired():
                    yield from self._changed(entry, event, session, received)
                case e.SessionSwept():
                    yield from self._swept(entry, session)
                case e.ExecutionStarted():
                    yield from self._started(entry, session, received)
                case e.PolicyValidated() if session is not None and event.decision.allowed:
                    if record.tenant_id == session.tenant_id and not session.over:
                        session.used_at = session.used_at if _looks(entry) else record.at
                case e.StepDispatched() if session is not None:
                    self._told[self._logs.partition, entry.offset] = session.attributes
                case _:
                    yield from self._others(entry, event, session)

    def _opened(
        self, entry: Entry, event: e.SessionOpened, session: _Session | None
    ) -> Iterator[Violation]:
        if session is not None and not self._forgotten(session, entry.record.at):
            yield _wrong(entry, "is opened twice")
        at = entry.record.at
        self._sessions[entry.record.session_id] = _Session(
            entry.record.tenant_id,
            event.attributes,
            event.idle_ms,
            at + event.lifetime_ms if event.lifetime_ms else 0,
            at,
            event.cancels,
        )

    def _forgotten(self, session: _Session, at: int) -> bool:
        """Whether it is over for so long that its id is free."""
        left = session.over and not session.closing and session.over_at < at - self._window_ms
        return left and not session.running and not session.awaited

    def _changed(
        self,
        entry: Entry,
        event: e.SessionChanged | e.SessionClosed | e.SessionExpired,
        session: _Session | None,
        received: e.IntentReceived | None,
    ) -> Iterator[Violation]:
        if session is None or session.tenant_id != entry.record.tenant_id:
            yield _wrong(entry, "is not there, or another tenant's, and changes")
            return
        if session.over:
            yield _wrong(entry, "is over, and changes")
        if isinstance(event, e.SessionChanged):
            session.attributes = event.attributes
            return
        if isinstance(event, e.SessionExpired):
            if not 0 < session.due_at == event.due_at <= entry.record.at:
                yield _wrong(entry, f"expires at {event.due_at}; its time is {session.due_at}")
            asks = session.cancels
        else:
            asks = _asks(received)
        if event.cancels is not asks:
            yield _wrong(entry, "ends otherwise than it was to")
        session.over_at = entry.record.at
        session.asks = session.closing = event.cancels

    def _swept(self, entry: Entry, session: _Session | None) -> Iterator[Violation]:
        if session is None or not session.closing:
            yield _wrong(entry, "is swept, and was not closed so")
            return
        session.closing = False
        left = [name for name, spared in session.running.items() if not spared]
        if left:
            yield _wrong(entry, f"is swept, and {left[0]} was not asked to end")

    def _started(
        self, entry: Entry, session: _Session | None, received: e.IntentReceived | None
    ) -> Iterator[Violation]:
        if session is None:
            return  # it was opened before anything that was read
        if session.tenant_id != entry.record.tenant_id:
            yield _wrong(entry, "is another tenant's, and takes an intent")
        awaited = received is not None and received.awaited_by
        if session.over and not awaited:
            yield _wrong(entry, f"is over, and takes {entry.record.execution_id}")
        if awaited:
            session.awaited.add(entry.record.execution_id)
        else:
            session.running[entry.record.execution_id] = False

    def _others(
        self, entry: Entry, event: e.Event, session: _Session | None
    ) -> Iterator[Violation]:
        if session is None:
            return
        name = entry.record.execution_id
        if isinstance(event, ENDS):
            session.running.pop(name, None)
            session.awaited.discard(name)
        elif isinstance(event, SPARED) and name in session.running:
            session.running[name] = True
        by_itself = isinstance(event, e.CancelRequested) and event.principal == "runtime"
        if by_itself and not session.closing:
            yield _wrong(entry, f"asks {name} to end, and was not closed so")


def _carried(state: SessionState) -> _Session:
    return _Session(
        state.tenant_id,
        state.attributes,
        state.idle_ms,
        state.expires_at,
        state.used_at,
        state.cancels,
        state.closed_at,
        bool(state.closing),
    )


def _looks(entry: Entry) -> bool:
    """Whether a record lets somebody replay an execution, which is no use of its session."""
    first, last = entry.record.events[0], entry.record.events[-1]
    received = isinstance(first, e.IntentReceived) and first.intent_type == REPLAY
    return received and isinstance(last, e.ExecutionSucceeded)


def _asks(received: e.IntentReceived | None) -> bool:
    """Whether the intent that closes a session wants what runs to be asked to end."""
    if received is None or received.intent_type != CLOSE_SESSION:
        return False
    payload: Mapping[str, Any] = msgspec.json.decode(received.payload)
    return payload.get("mode") == "cancel"


def _wrong(entry: Entry, what: str) -> Violation:
    return Violation(G, f"{entry.record.session_id} {what}", (entry.place,))
