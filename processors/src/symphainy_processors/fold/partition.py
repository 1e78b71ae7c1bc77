"""The folded state of one partition: its executions, its sessions, its positions, what is due.

`apply` is the only way in. It is handed valid records in order and never looks at a clock. What it
yields runs ahead of the acknowledgement and lies in memory, over the store; `settle` says what is
acknowledged, and only that is ever flushed (rule 17).
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from symphainy_processors.fold import layout
from symphainy_processors.fold.checkpoint import Checkpoint, pack_checkpoint
from symphainy_processors.fold.evolve import (
    EVOLVE_VERSION,
    SESSION_EVENTS,
    evolve_execution,
    evolve_session,
)
from symphainy_processors.fold.family import may_owe
from symphainy_processors.fold.layout import Body
from symphainy_processors.fold.leaving import Change, Leaving
from symphainy_processors.fold.overlay import Overlay
from symphainy_processors.fold.worklist import Worklist
from symphainy_runtime.journal.validity import Validity, takes_ownership
from symphainy_runtime.state.memory import MemoryStore
from symphainy_runtime.state.store import StateStore
from symphainy_schemas.events import (
    JournalRecord,
    follows,
)
from symphainy_schemas.state import (
    ExecutionState,
    SessionState,
    TenantState,
)


class Applied(Struct, frozen=True, gc=False):
    """What one record did, to be settled once it is acknowledged."""

    checkpoint: Checkpoint
    changes: tuple[Change, ...]


class PartitionState:
    """What the journal of one partition says up to the last applied record."""

    def __init__(
        self,
        dedupe_window_ms: int,
        store: StateStore | None = None,
        checkpoint: Checkpoint | None = None,
        identity: str = "",
    ) -> None:
        """Go on from `checkpoint`, which `store` reflects.

        Ended executions are remembered for `dedupe_window_ms` of journaled time (rule 10), unless
        they were admitted with a window of their own; so are sessions that are over, and for as
        long as anything runs in them.
        """
        self.store: StateStore = MemoryStore() if store is None else store
        self.states = Overlay(self.store)
        self.work = Worklist(self.states)
        self._leaving = Leaving(self.store, self.work, dedupe_window_ms)
        self.settled = checkpoint or Checkpoint()
        self.intents_next = self.settled.intents_next
        self.steps_next = self.settled.steps_next
        self.acted_to = self.settled.acted_to
        self.last_at = self.settled.at
        self.live = self.settled.live
        self.idle = self.settled.idle
        self._turn = self.settled.turn
        # What `state` in Kafka must still be told: the ids flushed with changes after that offset.
        # A dict: the collector goes through a set, which holds a million ids after an outage.
        self.changed: dict[str, None] = {}
        self.changed_since = self.settled.offset
        self._identity = identity
        self._window_ms = dedupe_window_ms
        self._governed: dict[str, TenantState | None] = {}  # asked with every intent
        self._dirty: dict[str, Change] = {}
        self._flushed_offset = self.settled.offset

    # --- reading --------------------------------------------------------------------------------

    def execution(self, execution_id: str, now: int | None = None) -> ExecutionState | None:
        """The execution; None too if at journaled time `now` it is no longer remembered."""
        state = self.states.get(execution_id)
        if not isinstance(state, ExecutionState):
            return None
        return None if now is not None and self._is_forgotten(state, now) else state

    def _is_forgotten(self, body: Body, now: int) -> bool:
        if isinstance(body, SessionState):
            left = layout.was_over(body, now - self._window_ms)
            return left and not self.work.runs_in(body.session_id)
        if not isinstance(body, ExecutionState) or not body.status.ended:
            return False
        return body.ended_at < now - (body.dedupe_window_ms or self._window_ms)

    def session(self, session_id: str, now: int | None = None) -> SessionState | None:
        """The session; None too if at journaled time `now` it is no longer remembered."""
        state = self.states.get(session_id)
        if not isinstance(state, SessionState):
            return None
        return None if now is not None and self._is_forgotten(state, now) else state

    def governed(self, session_id: str) -> TenantState | None:
        """What is in force of the tenant that is governed in that session; None: nothing yet."""
        if session_id not in self._governed:
            state = self.states.get(session_id)
            self._governed[session_id] = state if isinstance(state, TenantState) else None
        return self._governed[session_id]

    def everything(self) -> dict[str, Body]:
        """Every state that is still remembered, by id. For audits and tests: it reads it all."""
        return {
            name: body
            for name, body in self.states.all().items()
            if not self._is_forgotten(body, self.last_at)
        }

    # --- folding --------------------------------------------------------------------------------

    def apply(self, record: JournalRecord, standing: Validity) -> Applied:
        """Fold one valid record, after which the journal's standing is `standing`."""
        changes = self._changes(record, standing.offset) if record.execution_id else ()
        # An OwnershipTaken was written before its writer knew the last owner's very last records:
        # what it says of positions and time may be older than what stands before it.
        if record.intents_next > self.intents_next:
            self.intents_next = record.intents_next
        if record.steps_next > self.steps_next:
            self.steps_next = record.steps_next
        if record.acted_to > self.acted_to:
            self.acted_to = record.acted_to
        if record.at > self.last_at:
            self.last_at = record.at
        if self._turn or changes:
            self._turn = self._go_on(record, standing.offset, changes)
        for change in changes:
            self._take_up(change)
        return Applied(self._place(standing), changes)

    def _go_on(
        self, record: JournalRecord, offset: int, changes: tuple[Change, ...]
    ) -> tuple[int, ...]:
        """The turn after a record. An owner that takes over finishes its predecessor's first."""
        turn = self._turn if follows(record) or takes_ownership(record) else ()
        state = changes[0].after if changes else None
        owes = isinstance(state, ExecutionState) and may_owe(state)
        return (*turn, offset) if owes else turn

    def _take_up(self, change: Change) -> None:
        after = change.after
        self.states.put(change.name, after)
        if not isinstance(after, ExecutionState):
            self._governed.pop(change.name, None)
            if isinstance(after, SessionState):
                self.work.agenda.add_session(after)
            return
        self.live += layout.is_live(after) - layout.is_live(change.before)
        self.idle += layout.is_idle(after) - layout.is_idle(change.before)
        self.work.agenda.add(after)

    def _place(self, standing: Validity) -> Checkpoint:
        return Checkpoint(
            term=standing.term,
            seq=standing.seq,
            offset=standing.offset,
            hash=standing.hash,
            intents_next=self.intents_next,
            steps_next=self.steps_next,
            acted_to=self.acted_to,
            at=self.last_at,
            live=self.live,
            idle=self.idle,
            turn=self._turn,
        )

    def _changes(self, record: JournalRecord, offset: int) -> tuple[Change, ...]:
        before = self.states.get(record.execution_id)
        state = before if isinstance(before, ExecutionState) else None
        found, session_before = [], None
        session: SessionState | TenantState | None = None
        for event in record.events:
            state = evolve_execution(state, record, offset, event)
            if type(event) in SESSION_EVENTS:
                session_before = session_before or self._of_session(record.session_id)
                session = evolve_session(session or session_before, record, event)
        if state is not None and state is not before:
            found.append(Change(record.execution_id, before, state))
        if session is not None and session is not session_before:
            found.append(Change(record.session_id, session_before, session))
        return tuple(found)

    def _of_session(self, session_id: str) -> SessionState | TenantState | None:
        state = self.states.get(session_id)
        return None if isinstance(state, ExecutionState) else state

    def settle(self, applied: Applied) -> None:
        """The record is acknowledged: what it did may be flushed. Called in journal order."""
        self.settled = applied.checkpoint
        for change in applied.changes:
            known = self._dirty.get(change.name)
            if known is not None:
                change = Change(change.name, known.before, change.after)
            self._dirty[change.name] = change

    @property
    def unflushed(self) -> int:
        """How many settled states the store does not have yet."""
        return len(self._dirty)

    def flush(self) -> None:
        """Write all that is settled, and where it stands, at once (rule 17).

        Raises:
            StoreBroken: the store cannot be written; it still holds the last flush, or nothing.
        """
        if self.settled.offset == self._flushed_offset:
            return
        batch: list[tuple[bytes, bytes | None]] = []
        for change in self._dirty.values():
            batch.append((layout.state_key(change.name), layout.pack(change.after)))
            batch += layout.changed_keys(change.before, change.after)
        left, forgotten = self._leaving.of(self.settled, self._dirty)
        batch += left
        batch.append((layout.CHECKPOINT, pack_checkpoint(self._stamped())))
        self.store.write(batch)
        self._flushed(forgotten)

    def _flushed(self, forgotten: list[str]) -> None:
        self._flushed_offset = self.settled.offset
        for name, change in self._dirty.items():
            self.states.flushed(name, change.after)
        self.changed.update(dict.fromkeys(self._dirty))
        self._dirty = {}
        for name in forgotten:
            self.states.forget(name)
            self.changed[name] = None

    def _stamped(self) -> Checkpoint:
        return replace(self.settled, identity=self._identity, evolve_version=EVOLVE_VERSION)
